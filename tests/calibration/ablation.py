"""Switches the judge's rules off, one at a time: `python -m tests.calibration.ablation`.

Every rule is judged without on the same sweeps, of the same seeds, so that a verdict that differs
differs by the rule. A function whose answer is the same without the rule changes nothing: while
the whole judge judges, it is noted in which sweeps the answer differs, and only these are judged
again. The table goes to the end of docs/calibration.md.
"""

from __future__ import annotations

import argparse
import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

import pytest

from reports.judge.fit_groups import fit_groups
from reports.judge.result import Verdict
from reports.tables.read import Table, read_table
from tests.calibration.foreign import foreign_trials, foreign_tried
from tests.calibration.rules import RULES, Rule
from tests.calibration.scenarios import (
    CACHED,
    GRIDS,
    HIDING,
    NEAR,
    NOISES,
    ONE_VARIABLE,
    THREE_VARIABLES,
    TRUTHS,
)
from tests.calibration.tally import Outcome, trials, tried

ROOT = Path(__file__).resolve().parents[2]
TABLES = (
    ("reports/gallery/quick", "time_s"),
    ("reports/gallery/quick", "workspace_bytes"),
    ("reports/gallery/cuda", "time_s"),
    ("reports/gallery/cuda", "graph_time_s"),
    ("reports/gallery/cuda", "workspace_bytes"),
    ("tests/reports/shared_machine.csv", "time_s"),
)
TESTS = (
    "tests/reports/judge",
    "tests/reports/test_gallery.py",
    "tests/reports/verdicts",
    "tests/calibration/test_foreign.py",
)
MOST_AGAIN = 800
"""So many sweeps are judged again at most, evenly drawn: a rule that always has a say has more."""
HEADING = "## Each rule switched off"


def _patched(rule: Rule, target: str) -> Any:
    """What stands at a target without the rule."""
    if rule.without is None:
        return patch(target, rule.value)
    original = resolve_name(target)

    def answer(*args: Any, **options: Any) -> Any:
        assert rule.without is not None
        return rule.without(original(*args, **options), *args, **options)

    return patch(target, answer)


@contextmanager
def switched_off(rule: Rule) -> Iterator[None]:
    """The judge without a rule."""
    with ExitStack() as stack:
        for target in rule.targets:
            stack.enter_context(_patched(rule, target))
        yield


@contextmanager
def watched(rules: Sequence[Rule]) -> Iterator[set[str]]:
    """The whole judge; the set names the rules without which some function answered otherwise."""
    told: set[str] = set()
    by_target: dict[str, list[Rule]] = {}
    for rule in rules:
        for target in rule.targets if rule.without is not None else filter(None, [rule.asked]):
            by_target.setdefault(target, []).append(rule)

    def watcher(original: Callable[..., Any], those: Sequence[Rule]) -> Callable[..., Any]:
        def answer(*args: Any, **options: Any) -> Any:
            found = original(*args, **options)
            found = list(found) if isinstance(found, Iterator) else found
            for rule in those:
                if rule.name not in told:
                    without = rule.without
                    if without is None or not _same(without(found, *args, **options), found):
                        told.add(rule.name)
            return found

        return answer

    with ExitStack() as stack:
        for target, those in by_target.items():
            stack.enter_context(patch(target, watcher(resolve_name(target), those)))
        yield told


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(one == other)
    except ValueError:  # arrays
        return pickle.dumps(one) == pickle.dumps(other)


Case = Callable[[], Outcome[Any]]


def cases(sweeps: int) -> list[Case]:
    """The simulated sweeps, each with a true or a false claim."""
    plane, first = [GRIDS["7x6"], GRIDS["triangle"]], 300_000
    growing = [truth for truth in TRUTHS if truth.true != "1"]
    asked = [
        *trials(TRUTHS, plane, NOISES, sweeps, first_seed=first),
        *trials(CACHED, plane[:1], NOISES, sweeps, first_seed=first),
        *trials(NEAR, plane[:1], NOISES[:3], 2 * sweeps, first_seed=first),
        *trials(ONE_VARIABLE, [GRIDS["ten sizes"]], NOISES, 4 * sweeps, first_seed=first),
        *trials(THREE_VARIABLES[:1], [GRIDS["4x4x4"]], NOISES[:4], sweeps, first_seed=first),
        *(one for one in trials(growing, plane[:1], HIDING, sweeps, first_seed=first) if one.true),
    ]
    foreign = foreign_trials(8 * sweeps, first_seed=first)
    return [
        *(lambda one=one: tried(one) for one in asked),
        *(lambda one=one: foreign_tried(one) for one in foreign),
    ]


@cache
def _read(table: str) -> Table:
    return read_table(ROOT / table)


def verdicts_of(table: str, value: str) -> tuple[str, ...]:
    """The verdicts on one committed table."""
    read = _read(table)
    fits = fit_groups(read.frame, value=value, info=read.shared_info)
    return tuple(str(one.verdict) for one in fits)


class _Noting:
    """A pytest plugin: which tests give which rules a say, or which of them fail."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules, self.told, self.failed = rules, {}, set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        with watched(self.rules) as told:
            yield
        self.told[item.nodeid] = set(told)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)


def failing(rule: Rule | None, tests: Sequence[str], noting: _Noting) -> set[str]:
    """The tests that fail without a rule."""
    if not tests:
        return set()
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "--tb=no", "--benchmark-disable"]
    with switched_off(rule) if rule else ExitStack():
        pytest.main([*options, "--capture=fd", *tests], plugins=[noting])
    return noting.failed


def _kind(outcome: Outcome[Any]) -> str:
    if outcome.verdict is Verdict.INCONCLUSIVE:
        return "open"
    good = Verdict.CONFIRMED if outcome.trial.true else Verdict.REFUTED
    return "right" if outcome.verdict is good else "wrong"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of the verdicts without a rule."""

    rule: str
    say: int
    judged: int
    changes: Mapping[str, int]
    cover: tuple[int, int, int, int]
    tables: int
    failed: Sequence[str]

    def text(self) -> str:
        """A row of the table."""
        moved = ", ".join(f"{count} {what}" for what, count in sorted(self.changes.items()))
        a, b, c, d = self.cover
        cover = f"{a}/{b} → {c}/{d}" if (a, b) != (c, d) else "same"
        return (
            f"| {self.rule} | {self.say} | {self.judged} | {moved or 'none'} | {cover} | "
            f"{self.tables or 'none'} | {len(self.failed) or 'none'} |"
        )


def ablated(
    rules: Sequence[Rule], sweeps: int, *, tests: bool, note: Callable[[Row], None]
) -> tuple[Counter[str], int]:
    """Judge all with the whole judge, then what a rule may change without it."""
    asked = cases(sweeps)
    whole: list[Outcome[Any]] = []
    says: list[set[str]] = []
    for case in asked:
        with watched(rules) as told:
            whole.append(case())
        says.append(told)
    noting = _Noting(rules)
    broken = failing(None, TESTS if tests else (), noting)
    tables = {}
    for one in TABLES:
        with watched(rules) as told:
            tables[one] = (verdicts_of(*one), told)
    print(f"{len(asked)} sweeps: {Counter(map(_kind, whole))}; failing: {broken}", flush=True)
    for rule in rules:
        anywhere = rule.without is None and rule.asked is None
        say = [k for k, told in enumerate(says) if anywhere or rule.name in told]
        step = -(-len(say) // MOST_AGAIN) if say else 1
        again = say[::step]
        changes: Counter[str] = Counter()
        cover = [0, 0, 0, 0]
        with switched_off(rule):
            for k in again:
                before, after = whole[k], asked[k]()
                if _kind(before) != _kind(after):
                    changes[f"{_kind(before)} → {_kind(after)}"] += 1
                cover = [
                    a + b
                    for a, b in zip(
                        cover,
                        (before.covered, before.stated, after.covered, after.stated),
                        strict=True,
                    )
                ]
            moved = sum(
                a != b
                for one, (verdicts, told) in tables.items()
                if anywhere or rule.name in told
                for a, b in zip(verdicts, verdicts_of(*one), strict=True)
            )
        those = (
            [] if anywhere else [test for test, told in noting.told.items() if rule.name in told]
        )
        failed = sorted(failing(rule, those, _Noting()) - broken)
        a, b, c, d = cover
        note(
            Row(
                rule=rule.name,
                say=len(say),
                judged=len(again),
                changes=changes,
                cover=(a, b, c, d),
                tables=moved,
                failed=failed,
            )
        )
    return Counter(map(_kind, whole)), len(asked)


def main(arguments: Sequence[str] | None = None) -> None:
    """Switch off, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=2, help="a law, grid and noise")
    parser.add_argument("--only", nargs="*", help="rules, by a part of their names")
    parser.add_argument("--no-tests", action="store_true")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    rules = [
        rule for rule in RULES if not options.only or any(one in rule.name for one in options.only)
    ]

    def note(row: Row) -> None:
        print(row.text(), *row.failed[:8], flush=True)

    ablated(rules, options.sweeps, tests=not options.no_tests, note=note)


if __name__ == "__main__":
    main()
