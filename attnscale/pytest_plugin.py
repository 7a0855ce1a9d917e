"""The pytest plugin: `@pytest.mark.complexity("n*log(n)", n="size")` on parametrised benchmarks.

Says how the times that pytest-benchmark measured grow, once all tests have run. Every pytest loads
this module that finds the package installed. So the module is light, and a process of its own
reads the claims and judges: see `attnscale.judging_process`.
"""

from __future__ import annotations

import argparse
import math
import numbers
import os
from collections import Counter
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from attnscale.judging_process import JudgeError, MarkedTest, ask

MARK = "complexity"
OPTION = "--complexity-fail"
REFUTED, INCONCLUSIVE = "refuted", "inconclusive"
NARROWEST = 80  # columns that the table of verdicts needs
# What came of a test, in the words of the verdicts.
MEASURED, FAILED, SKIPPED = "measured", "failed", "skipped"
NOT_RUN, NOT_BENCHMARKED = "not run", "not benchmarked"
NOTHING: dict[str, Any] = {"wrong": [], "claims": 0, "refuted": 0, "undecided": 0}


class _FailAction(argparse.Action):
    """Takes the option with or without `=VALUE`, and never the argument after it.

    With nargs="?" argparse would take the path in `pytest --complexity-fail tests` for the value.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, (option_string or "").partition("=")[2] or REFUTED)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--complexity-fail`."""
    group = parser.getgroup(MARK, "verdicts on the growth of benchmarks")
    group.addoption(
        OPTION,
        *(f"{OPTION}={value}" for value in (REFUTED, INCONCLUSIVE)),
        action=_FailAction,
        nargs=0,
        dest="complexity_fail",
        default=None,
        help="fail the session if a claim of @pytest.mark.complexity is refuted; "
        f"with ={INCONCLUSIVE} also if one is neither confirmed nor refuted",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and begin to watch the tests that have it."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(law, LETTER=parameter, tolerance=0.1, confidence=0.95, value='median', by=None): "
        "judge whether the time of this benchmark grows by the law, such as 'n^2*d'",
    )
    config.pluginmanager.register(Complexity(config), "attnscale-complexity")


class Complexity:
    """Watches the marked tests of one session, and judges their claims when all have run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: dict[pytest.Item, MarkedTest] = {}
        self._fixtures: dict[pytest.Item, object] = {}
        self._wrong: dict[pytest.Item, str] = {}
        self._ran: set[str] = set()  # nodeids, from other processes too
        self._verdicts: dict[str, Any] | None = None
        self._problem = ""
        self._failing = ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the marks of all tests that are about to run."""
        for item in session.items:
            marks = list(item.iter_markers(MARK))
            if marks:
                self._tests[item] = _marked(item, marks)
        lines = self._ask("claims")["wrong"] if self._tests else []
        self._wrong = {
            item: f"{item.nodeid}: @pytest.mark.{MARK}: {line}"
            for item, line in zip(self._tests, lines, strict=False)
            if line
        }
        for item in self._wrong:
            del self._tests[item]
        # A worker of pytest-xdist that ends here would end without a word.
        if self._wrong and not hasattr(self._config, "workerinput"):
            raise pytest.UsageError(next(iter(self._wrong.values())))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail a test whose mark is wrong, where the session could not be ended for it."""
        if item in self._wrong:
            pytest.fail(self._wrong[item], pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Keep the benchmark of a marked test, which has its times."""
        fixture = yield
        if fixturedef.argname == "benchmark" and request.node in self._tests:
            self._fixtures[request.node] = fixture
        return fixture

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what came of a marked test, and take its times from the fixture."""
        report = yield
        if item in self._tests:
            # Reports travel between processes with whatever attributes they have.
            report.complexity_mark = True  # type: ignore[attr-defined]  # see above
            _note(self._tests[item], report, self._fixtures.get(item))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the marked tests that ran, wherever they did."""
        if getattr(report, "complexity_mark", False):
            self._ran.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Put the fits into the document that pytest-benchmark is about to write."""
        verdicts = self._judge()
        if verdicts["claims"]:
            output_json[MARK] = verdicts["documents"]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge, and fail the session if the option asks for it."""
        limit = self._config.getoption("complexity_fail")
        verdicts = self._judge()
        if limit is None:
            return
        what = ("refuted", "undecided") if limit == INCONCLUSIVE else ("refuted",)
        told = " and ".join(f"{verdicts[name]} {name}" for name in what if verdicts[name])
        if told:
            told += f" of {verdicts['claims']} claim{'s' * (verdicts['claims'] > 1)}"
        elif limit == INCONCLUSIVE and self._problem:
            told = "nothing was judged"
        else:
            return
        self._failing = f"{OPTION}: {told}, so this session fails"
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        """Show the verdicts below the other tables, even if another plugin's table raises."""
        try:
            yield
        finally:
            self._show(terminalreporter)

    def _show(self, terminal: pytest.TerminalReporter) -> None:
        verdicts = self._judge()
        if verdicts["claims"]:
            terminal.section(MARK, sep="-")
            for line in verdicts["text"].splitlines():
                terminal.write_line(line)
        elif self._ran:
            why = self._problem or self._why_nothing()
            terminal.write_line(f"{MARK}: nothing was judged: {why}")
        if self._failing:
            terminal.write_line(self._failing, red=True)

    def _judge(self) -> dict[str, Any]:
        """What is said of all claims, once; of none if not one benchmark was measured."""
        if self._verdicts is None:
            self._verdicts = NOTHING
            measured = any(test.outcome == MEASURED for test in self._tests.values())
            if measured and not self._problem:
                self._verdicts = self._ask("verdicts", **self._page())
        return self._verdicts

    def _ask(self, question: str, **more: Any) -> dict[str, Any]:
        try:
            return ask(question, list(self._tests.values()), **more)
        except JudgeError as problem:
            self._problem = f"the judge failed ({problem})"
            return NOTHING

    def _page(self) -> dict[str, Any]:
        if self._config.pluginmanager.get_plugin("terminalreporter") is None:
            return {"width": NARROWEST, "colour": False}
        writer = self._config.get_terminal_writer()
        return {"width": max(writer.fullwidth, NARROWEST), "colour": writer.hasmarkup}

    def _why_nothing(self) -> str:
        marked = len(self._ran)
        tests = "the marked test was not" if marked == 1 else f"none of {marked} marked tests was"
        return f"{tests} benchmarked ({self._cause()})"

    def _cause(self) -> str:
        def given(option: str) -> bool:
            return bool(self._config.getoption(option, default=False))

        if not self._config.pluginmanager.has_plugin("pytest-benchmark"):
            return "pytest-benchmark is not loaded"
        if (
            self._config.getoption("dist", default="no") != "no"
            or "PYTEST_XDIST_WORKER" in os.environ
        ):
            return "pytest-xdist switches pytest-benchmark off"
        if given("benchmark_skip") and not given("benchmark_only"):
            return "--benchmark-skip"
        if given("benchmark_disable") and not given("benchmark_enable"):
            return "--benchmark-disable"
        outcomes = Counter(test.outcome for test in self._tests.values())
        return ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())


def _marked(item: pytest.Item, marks: Sequence[pytest.Mark]) -> MarkedTest:
    callspec = getattr(item, "callspec", None)
    name = getattr(item, "originalname", None) or item.name.partition("[")[0]
    within = item.parent.nodeid if item.parent else ""
    return MarkedTest(
        test=f"{within}::{name}",
        ident=callspec.id if callspec else "",
        params=dict(callspec.params) if callspec else {},
        marks=marks,
    )


def _note(test: MarkedTest, report: pytest.TestReport, fixture: object) -> None:
    """Note what came of one phase of a test."""
    if report.when == "setup":  # also of a test that is run once more after it failed
        test.outcome = NOT_RUN
    if report.failed or (report.skipped and hasattr(report, "wasxfail")):
        test.outcome = FAILED
    elif report.skipped:
        test.outcome = SKIPPED
    elif report.when == "call":
        test.outcome = _measured(test, fixture)
    # What failed has its place among the sizes too.
    test.extra_info = getattr(fixture, "extra_info", {})


def _measured(test: MarkedTest, fixture: object) -> str:
    """Take the times from the fixture; what came of it."""
    try:
        from pytest_benchmark.fixture import BenchmarkFixture
    except ImportError:
        return NOT_BENCHMARKED
    if not isinstance(fixture, BenchmarkFixture) or not fixture.stats:  # off, or never called
        return NOT_BENCHMARKED
    readings = fixture.stats.stats
    times = {"median": readings.median, "min": readings.min}
    # A clock of the user's own may say what is no time at all.
    if fixture.has_error or not all(map(_is_time, times.values())):
        return FAILED
    test.times = times
    return MEASURED


def _is_time(value: object) -> bool:
    return isinstance(value, numbers.Real) and 0 < float(value) < math.inf
