"""The plugin in projects that have nothing to do with attention, and on a clock that is told."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daily import daily

ROOT = Path(__file__).resolve().parents[2]
BENCHMARK, OURS = "pytest_benchmark.plugin", "attnscale.pytest_plugin"
OURS_OR_HEAVY = {"bench", "implementations", "reports", "numpy", "pandas", "torch"}
# Rounds are few and short: the clock never differs between two of them.
CLOCK = (
    "--benchmark-timer=clock.now",
    "--benchmark-max-time=0.00001",
    "--benchmark-min-rounds=3",
    "--benchmark-quiet",
)
Project = Callable[..., subprocess.CompletedProcess[str]]

FILES = {
    "clock.py": """
        time_s = 0.0

        def spend(seconds):
            global time_s
            time_s += seconds

        def now():
            spend(1e-7)
            return time_s
    """,
    "sorting.py": """
        import math

        from clock import spend

        def merge_sort(size):
            spend(2e-6 * size * math.log2(size) + 1e-5)

        def insertion_sort(size):
            spend(3e-8 * size**2 + 1e-5)
    """,
    "conftest.py": """
        import sys

        def pytest_unconfigure(config):
            with open("modules.txt", "w") as file:
                print(*sorted(sys.modules), sep="\\n", file=file)
    """,
    # All that pytest-benchmark looks at to tell pytest-xdist.
    "parallel.py": """
        def pytest_addoption(parser):
            parser.addoption("--dist", default="load")
    """,
    "test_sorting.py": """
        import pytest
        from sorting import insertion_sort, merge_sort

        SIZES = [2**power for power in range(5, 15)]

        @pytest.mark.complexity("n*log(n)", n="size")
        @pytest.mark.parametrize("size", SIZES)
        def test_merge(benchmark, size):
            benchmark(merge_sort, size)

        @pytest.mark.complexity("size^2")
        @pytest.mark.complexity("O(size)", tolerance=0.2)
        @pytest.mark.parametrize("size", SIZES)
        def test_insertion(benchmark, size):
            benchmark(insertion_sort, size)

        @pytest.mark.complexity("n^2", n="size")
        @pytest.mark.parametrize("sort", [insertion_sort, merge_sort])
        @pytest.mark.parametrize("size", SIZES)
        def test_both(request, size, sort):
            request.getfixturevalue("benchmark")(sort, size)

        def test_something_else(benchmark):
            benchmark(merge_sort, 5)
    """,
}


@pytest.fixture
def project(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Run pytest, with options and plugins, in a project that sorts."""
    for name, text in FILES.items():
        write(name, text)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    monkeypatch.setenv("COLUMNS", "140")
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)

    def run(
        *options: str, plugins: tuple[str, ...] = (BENCHMARK, OURS)
    ) -> subprocess.CompletedProcess[str]:
        loaded = [word for name in plugins for word in ("-p", name)]
        clock = CLOCK if BENCHMARK in plugins else ()
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, *loaded, *clock, "-q", "--strict-markers"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )

    return run


def loaded_in(folder: Path) -> set[str]:
    """The packages that the session had imported when it ended."""
    return {name.partition(".")[0] for name in (folder / "modules.txt").read_text().split()}


def test_verdicts_are_shown_and_saved_and_a_refuted_claim_fails_the_session(project, tmp_path):
    options = ("--complexity-fail=refuted", "--benchmark-json=out.json", "--benchmark-save=kept")

    done = project("-W", "error", *options)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    rows = re.findall(r"^(test_\S+(?: \[.*?\])?) +[✓✗?] (\w+) .* \d+$", done.stdout, re.MULTILINE)
    assert rows == [
        ("test_merge", "confirmed"),
        ("test_insertion [size^2]", "confirmed"),
        ("test_insertion [size]", "refuted"),
        ("test_both [sort=insertion_sort]", "confirmed"),
        ("test_both [sort=merge_sort]", "refuted"),
    ]
    said = " ".join(done.stdout.split())
    assert re.search(r"exponent_outside_tolerance \(test_insertion \[size\][^)]*\): ", said)
    assert (
        "test_insertion [size]: The exponent of size lies above the claimed 1. Claim size^2: "
        in said
    )
    assert "--complexity-fail: 2 refuted of 5 claims, so this session fails" in done.stdout
    assert "41 passed" in done.stdout
    assert not loaded_in(tmp_path) & OURS_OR_HEAVY

    (kept,) = (tmp_path / ".benchmarks").rglob("*_kept.json")
    for file in (tmp_path / "out.json", kept):
        document = json.loads(file.read_text(), parse_constant=pytest.fail)
        assert len(document["benchmarks"]) == 41
        insertion = [f for f in document["complexity"] if f["test"].endswith("test_insertion")]
        assert [(f["claim"], f["tolerance"]) for f in insertion] == [("size^2", 0.1), ("size", 0.2)]
        assert insertion[0]["exponents"]["size"]["estimate"] == pytest.approx(2, abs=0.01)
        last = document["complexity"][-1]
        assert last["test"] == "test_sorting.py::test_both"
        assert (last["params"], last["verdict"]) == ({"sort": "merge_sort"}, "refuted")
        assert (last["sizes"], last["outcomes"]) == ({"n": "size"}, {"measured": 10})


@pytest.mark.parametrize("mode", daily(["prepend", "importlib"]))
def test_a_project_with_packages_of_our_names_gets_its_verdicts(
    project, write, monkeypatch, tmp_path, mode
):
    write("reports/__init__.py", "raise ImportError('the project reports of its own')")
    write("reports/claims_in_pytest/__init__.py", "")
    write("bench/no_package.txt", "")
    write("implementations.py", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))

    done = project(
        f"--import-mode={mode}", "-o", "pythonpath=.", "--complexity-fail", "-k", "test_merge"
    )

    assert re.search(r"^test_merge +✓ confirmed ", done.stdout, re.MULTILINE), done.stdout
    assert done.returncode == pytest.ExitCode.OK


def test_a_judge_that_fails_is_one_line_and_fails_only_a_session_that_needs_verdicts(
    project, write
):
    write("sitecustomize.py", "import sys\nsys.modules['pandas'] = None\n")

    for option, code in (("", pytest.ExitCode.OK), ("=inconclusive", 1)):
        done = project(f"--complexity-fail{option}", "-k", "test_merge")

        begin = "complexity: nothing was judged: the judge failed (ModuleNotFoundError: "
        told = [line for line in done.stdout.splitlines() if line.startswith(begin)]
        assert len(told) == 1, done.stdout + done.stderr
        assert done.returncode == code
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "tests", "code"),
    [
        ("", "test_both and merge_sort", pytest.ExitCode.OK),  # refuted
        ("--complexity-fail", "32", pytest.ExitCode.OK),  # nothing to tell from one size
        ("--complexity-fail=inconclusive", "32", pytest.ExitCode.TESTS_FAILED),
    ],
)
def test_the_option_says_which_verdicts_fail_the_session(project, write, option, tests, code):
    # In addopts it stands before the paths, none of which it may take for its value.
    write("pytest.ini", f"[pytest]\naddopts = {option}\n")
    write("test_unasked.py", "raise RuntimeError('collected without being asked for')")

    done = project("test_sorting.py", "-k", tests)

    assert done.returncode == code, done.stdout + done.stderr
    assert ("so this session fails" in done.stdout) == (code != pytest.ExitCode.OK)


@pytest.mark.parametrize(
    ("plugins", "option", "why"),
    [
        ((BENCHMARK, OURS), "--benchmark-disable", "--benchmark-disable"),
        ((BENCHMARK, OURS), "--benchmark-skip", "--benchmark-skip"),
        ((BENCHMARK, OURS, "parallel"), "-v", "pytest-xdist switches pytest-benchmark off"),
        ((OURS,), "-v", "pytest-benchmark is not loaded"),
    ],
)
def test_without_benchmarks_one_line_says_that_nothing_was_judged(
    project, tmp_path, plugins, option, why
):
    done = project(option, "--complexity-fail", "-k", "test_merge", plugins=plugins)

    line = f"complexity: nothing was judged: none of 10 marked tests was benchmarked ({why})"
    assert done.stdout.splitlines().count(line) == 1, done.stdout + done.stderr
    missing = BENCHMARK not in plugins  # then pytest itself knows no fixture `benchmark`
    assert done.returncode == missing
    assert not loaded_in(tmp_path) & OURS_OR_HEAVY


def test_a_session_without_marked_tests_imports_nothing_and_says_nothing(project, tmp_path):
    done = project("--complexity-fail=inconclusive", "-k", "something_else")

    assert done.returncode == pytest.ExitCode.OK
    assert "complexity" not in done.stdout
    assert not loaded_in(tmp_path) & OURS_OR_HEAVY


WRONG = """
    import pytest

    @pytest.mark.complexity("size^2@d")
    @pytest.mark.parametrize("size", [3, 5])
    def test_wrong(benchmark, size):
        raise AssertionError("never")
"""
WRONG_LINE = (
    'test_wrong.py::test_wrong[3]: @pytest.mark.complexity: unexpected "@" at column 7 '
    'of "size^2@d"; laws look like n^2*d + n*d^2'
)


def test_a_wrong_mark_ends_the_session_with_one_line_before_any_test_runs(project, write):
    write("test_wrong.py", WRONG)

    done = project("test_wrong.py")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.strip().splitlines() == [f"ERROR: {WRONG_LINE}"]
    assert "never" not in done.stdout


def test_a_wrong_mark_fails_its_tests_where_the_session_is_a_worker_of_xdist(project, write):
    write("test_wrong.py", WRONG)
    write("conftest.py", "def pytest_configure(config):\n    config.workerinput = {}\n")

    done = project("test_wrong.py")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert WRONG_LINE in done.stdout.splitlines()
    assert "2 errors" in done.stdout
    assert "never" not in done.stdout
    assert "nothing was judged" not in done.stdout


def test_what_has_no_time_is_left_out_and_counted_and_the_rest_is_judged(project, write):
    write(
        "test_holes.py",
        """
        import pytest
        from clock import spend

        @pytest.fixture
        def fragile(case):
            yield
            assert case != 12

        @pytest.mark.complexity("n^2", n="extra_info.length", by="extra_info.kind", value="min")
        @pytest.mark.parametrize("case", range(28))
        def test_holes(benchmark, fragile, case):
            n = 2 ** (case // 2 + 3)
            benchmark.extra_info.update(length=n, kind=case % 2)
            if case == 2:
                pytest.skip("not today")
            if case == 4:
                return
            if case == 6:
                del benchmark.extra_info["length"]
            benchmark(spend, 1e-6 * n**2)
            benchmark.has_error = case == 8
            assert case != 10
        """,
    )

    done = project("test_holes.py")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED  # by its own assertion
    assert re.search(r"^test_holes \[kind=0\] +✓ confirmed .* 8$", done.stdout, re.MULTILINE)
    assert re.search(r"^test_holes \[kind=1\] +✓ confirmed .* 14$", done.stdout, re.MULTILINE)
    told = "1 skipped, 1 not benchmarked, 1 without a size in extra_info, 3 failed"
    assert f"test_holes [kind=0]: left out 6 of 14 ({told})" in done.stdout


def test_a_session_that_stops_early_judges_what_it_has(project, write):
    write(
        "test_stops.py",
        """
        import pytest
        from clock import spend

        @pytest.mark.complexity("n^2")
        @pytest.mark.parametrize("n", [2**power for power in range(12)])
        def test_stops(benchmark, n):
            benchmark(spend, 1e-3 * n)
            if n == 1024:
                raise KeyboardInterrupt

        @pytest.mark.complexity("n")
        @pytest.mark.parametrize("n", [5, 7])
        def test_never_begun(benchmark, n):
            benchmark(spend, 1e-3 * n)
        """,
    )

    done = project("test_stops.py", "--complexity-fail")

    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert re.search(r"^test_stops +✗ refuted ", done.stdout, re.MULTILINE), done.stdout
    assert "--complexity-fail: 1 refuted of 1 claim, so this session fails" in done.stdout
    assert "test_stops: left out 2 of 12 (2 not run)" in done.stdout
    assert "test_never_begun" not in done.stdout
