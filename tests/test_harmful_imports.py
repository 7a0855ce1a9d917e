"""Files that do harm when they are imported, and a kernel that forks: the sweep stays whole."""

import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.records import Record, read_run

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 3
CELLS = 3
PATIENCE_S = 600.0

PLAN = f"""
    rounds = {ROUNDS}
    turn_s = 0.3
    time_budget_s = 600
    threads = 1

    [[series]]
    implementations = ["matmul", "sdpa"]
    seq_lens = [6, 9, 12]
    d_models = [11]
    head_dim = 11
"""
# The command line, with short imports and without the machine's own rates, to save time.
COMMAND = """
from attnscale.__main__ import main
from bench.process import supervisor
from bench.sweep import preparations
supervisor.IMPORT_LIMIT_S = 6.0
preparations.Preparations.ceilings = lambda *_: {}
main()
"""
KERNELS = {
    "endless": """
        while True:
            pass
        """,
    "exits_here_and_there": """
        import os, pathlib
        told = pathlib.Path(__file__).with_suffix(".told")
        with told.open("a") as file:
            file.write("imported ")
        if told.read_text().count("imported") == 4:
            os._exit(3)  # in the second of the processes that measure
        """,
    "patches_the_clock": """
        import time
        time.perf_counter = time.process_time = time.monotonic = lambda: 0.0
        """,
    "forks_at_call_400": """
        import os
        calls = 0
        def kernel(query, key, value):
            global calls
            calls += 1
            if calls == 400:
                os.fork()
            return matmul(query, key, value)
        """,
    "leaves_processes": """
        import os, subprocess, sys, time
        sleep = "import time; time.sleep(1000)"
        subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
        """,
    "writes_without_end": """
        import os
        def kernel(query, key, value):
            for number in (1, 2):
                os.write(number, b"x" * 2**20)
            return matmul(query, key, value)
        """,
}
BEGINNING = """
from implementations.attention.matmul import matmul
def kernel(query, key, value):
    return matmul(query, key, value)
"""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A sweep that ended: its records, what it said, and who outlived it."""

    code: int
    stderr: str
    records: Sequence[Record]
    left_behind: Sequence[int]

    def of(self, name: str) -> Counter[tuple[str, str | None, int | None]]:
        """How many records of a kernel have a status, a reason and a round."""
        own = [one for one in self.records if one.implementation == name]
        return Counter((one.status, one.reason, one.round) for one in own)


def of_this_test(folder: Path) -> list[int]:
    """The processes that have the test's folder in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TEST_OF_IMPORTS") == str(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("imports")
    words = ["sweep", "--config", str(folder / "plan.toml"), "--out", str(folder / "run")]
    (folder / "plan.toml").write_text(textwrap.dedent(PLAN))
    for name, text in KERNELS.items():
        path = folder / f"{name}.py"
        path.write_text(BEGINNING + textwrap.dedent(text))
        words += ["--impl", f"{name}={path}:kernel"]
    own = {"PYTHONPATH": str(ROOT), "TEST_OF_IMPORTS": str(folder)}
    with (folder / "log").open("w") as log:
        sweep = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **own},
        )
        try:
            code = sweep.wait(timeout=PATIENCE_S)
        finally:
            sweep.kill()
            sweep.wait()
            left = of_this_test(folder)
            for pid in left:
                psutil.Process(pid).kill()
    return Planted(
        code=code,
        stderr=(folder / "log").read_text(),
        records=read_run(folder / "run").records,
        left_behind=left,
    )


EVERY_ROUND = {("measured", None, number): CELLS for number in range(ROUNDS)}


@pytest.mark.parametrize("name", ["matmul", "sdpa"])
def test_records_of_others_are_their_own(planted: Planted, name: str) -> None:
    assert planted.of(name) == EVERY_ROUND
    for one in planted.records:
        if one.implementation == name:
            assert one.time_s is not None
            assert 1e-6 < one.time_s < 0.1


@pytest.mark.parametrize(
    "name", ["patches_the_clock", "forks_at_call_400", "leaves_processes", "writes_without_end"]
)
def test_what_does_no_harm_to_the_result_is_measured_like_any_other(
    planted: Planted, name: str
) -> None:
    assert planted.of(name) == EVERY_ROUND


def test_an_import_that_never_ends_gives_each_cell_one_record_that_says_so(
    planted: Planted,
) -> None:
    reason = "importing it did not end within 6 s"

    assert planted.of("endless") == {("timeout", reason, 0): CELLS}
    assert "importing it did not end within 6 s" in planted.stderr


def test_an_import_that_fails_in_one_process_costs_the_cells_there(planted: Planted) -> None:
    found = planted.of("exits_here_and_there")

    measured = {key: count for key, count in found.items() if key[0] == "measured"}
    assert measured == {key: CELLS for key in EVERY_ROUND if key[2] != 1}
    (((status, reason, number), count),) = (found - Counter(measured)).items()
    assert (status, number, count) == ("crashed", 1, CELLS)
    assert "importing it took the process down: the worker exited with 3" in str(reason)


def test_nothing_that_an_import_started_outlives_the_sweep(planted: Planted) -> None:
    assert planted.left_behind == []


def test_the_sweep_says_what_failed_and_has_no_traceback(planted: Planted) -> None:
    assert planted.code == 1, planted.stderr
    assert "Traceback" not in planted.stderr
