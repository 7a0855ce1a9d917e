"""Files that do harm when they are imported, and a kernel that forks: the sweep stays whole."""

import textwrap
from collections import Counter

import pytest

from tests.planted_sweep import FEW_CHECKS, NO_CEILINGS, PlantedSweep, sweep_planted

# A sweep of its own, beside that of test_harmful_kernels; tests of bench/process ask each import.
pytestmark = pytest.mark.slow

ROUNDS = 3
CELLS = 3

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
# Imports are given up soon, to save time.
SETTINGS = """
    from bench.process import supervisor
    supervisor.IMPORT_LIMIT_S = 6.0
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


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedSweep:
    return sweep_planted(
        tmp_path_factory.mktemp("imports"),
        plan=PLAN,
        files={f"{name}.py": BEGINNING + textwrap.dedent(text) for name, text in KERNELS.items()},
        specs=[f"{name}={name}.py:kernel" for name in KERNELS],
        settings=FEW_CHECKS + NO_CEILINGS + SETTINGS,
    )


def outcomes(sweep: PlantedSweep, name: str) -> Counter[tuple[str, str | None, int | None]]:
    """How many records of a kernel have a status, a reason and a round."""
    return Counter((one.status, one.reason, one.round) for one in sweep.of(name))


EVERY_ROUND = {("measured", None, number): CELLS for number in range(ROUNDS)}


@pytest.mark.parametrize("name", ["matmul", "sdpa"])
def test_records_of_others_are_their_own(planted: PlantedSweep, name: str) -> None:
    assert outcomes(planted, name) == EVERY_ROUND
    for one in planted.of(name):
        assert one.time_s is not None
        assert 1e-6 < one.time_s < 0.1


@pytest.mark.parametrize(
    "name", ["patches_the_clock", "forks_at_call_400", "leaves_processes", "writes_without_end"]
)
def test_what_does_no_harm_to_the_result_is_measured_like_any_other(
    planted: PlantedSweep, name: str
) -> None:
    assert outcomes(planted, name) == EVERY_ROUND


def test_an_import_that_never_ends_gives_each_cell_one_record_that_says_so(
    planted: PlantedSweep,
) -> None:
    reason = "importing it did not end within 6 s"

    assert outcomes(planted, "endless") == {("timeout", reason, 0): CELLS}
    assert "importing it did not end within 6 s" in planted.stderr


def test_an_import_that_fails_in_one_process_costs_the_cells_there(planted: PlantedSweep) -> None:
    found = outcomes(planted, "exits_here_and_there")

    measured = {key: count for key, count in found.items() if key[0] == "measured"}
    assert measured == {key: CELLS for key in EVERY_ROUND if key[2] != 1}
    (((status, reason, number), count),) = (found - Counter(measured)).items()
    assert (status, number, count) == ("crashed", 1, CELLS)
    assert "importing it took the process down: the worker exited with 3" in str(reason)


def test_nothing_that_an_import_started_outlives_the_sweep(planted: PlantedSweep) -> None:
    assert planted.left_behind == []


def test_the_sweep_says_what_failed_and_has_no_traceback(planted: PlantedSweep) -> None:
    assert planted.code == 1, planted.stderr
    assert "Traceback" not in planted.stderr
