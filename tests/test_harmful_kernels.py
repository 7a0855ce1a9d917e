"""Kernels that crash, hang, eat memory or lie at one size; a real sweep goes on around them."""

import re

import pytest

from bench.records import Record
from tests.planted_sweep import NO_CEILINGS, PlantedSweep, sweep_planted

# A sweep of its own, beside that of test_end_to_end, where a kernel forks and exits.
pytestmark = pytest.mark.slow

ROUNDS = 2
SEQ_LENS, HEADS = (6, 9, 12), (1, 2)
CELLS = [(seq_len, heads) for seq_len in SEQ_LENS for heads in HEADS]
# No check has these sizes.
PLANTED = (12, 1)
LARGER = (12, 2)

PLAN = """
    rounds = 2
    turn_s = 1e-9
    time_budget_s = 600
    threads = 1

    [[series]]
    implementations = ["matmul"]
    seq_lens = [6, 9, 12]
    d_models = [11, 22]
    head_dim = 11
"""

# Hangs are cut short, to save time.
SETTINGS = """
    from bench.checks.run_in_worker import Checker
    from bench.sweep import preparations, turns
    turns.SHORTEST_LIMIT_S, turns.PATIENCE, preparations.COUNTING_LIMIT_S = 20.0, 0.0, 20.0
    Checker.__init__.__kwdefaults__["case_limit_s"] = 2.0
"""

KERNELS = '''
    import ctypes, functools, os, re, signal, sys, time
    import torch
    from implementations.attention.matmul import matmul

    def planted(fault):
        """Right, but for what `fault` does at one size."""
        @functools.wraps(fault)
        def kernel(query, key, value):
            if query.shape == (1, 1, 12, 11):
                return fault(query, key, value)
            return matmul(query, key, value)
        return kernel

    def _sleep_in_a_child():
        if os.fork() == 0:
            while True:
                time.sleep(60)

    @planted
    def segfaults(query, key, value):
        ctypes.string_at(0)

    @planted
    def exits(query, key, value):
        os._exit(7)

    @planted
    def aborts(query, key, value):
        os.abort()

    @planted
    def raises(query, key, value):
        raise RuntimeError("the first line" + chr(10) + "the second")

    @planted
    def leaves(query, key, value):
        sys.exit(4)

    @planted
    def interrupts(query, key, value):
        raise KeyboardInterrupt

    @planted
    def takes_100_gib(query, key, value):
        torch.empty(100 * 2**30, dtype=torch.uint8).fill_(1)

    @planted
    def runs_out(query, key, value):
        raise MemoryError

    @planted
    def loops(query, key, value):
        while True:
            pass

    @planted
    def holds_the_interpreter(query, key, value):
        re.match(r"(a+)+$", "a" * 60 + "b")

    @planted
    def gives_nan(query, key, value):
        return matmul(query, key, value) * torch.nan

    @planted
    def gives_half(query, key, value):
        return matmul(query, key, value)[..., :6, :]

    @planted
    def gives_a_list(query, key, value):
        return [1]

    @planted
    def takes_threads(query, key, value):
        torch.set_num_threads(2)
        return matmul(query, key, value)

    @planted
    def closes_stdout(query, key, value):
        sys.stdout.close()
        return matmul(query, key, value)

    @planted
    def prints_a_mebibyte(query, key, value):
        print("x" * 2**20)
        return matmul(query, key, value)

    @planted
    def forks(query, key, value):
        _sleep_in_a_child()
        return matmul(query, key, value)

    @planted
    def forks_and_exits(query, key, value):
        _sleep_in_a_child()
        os._exit(7)

    @planted
    def patches_the_clock(query, key, value):
        time.perf_counter = time.process_time = time.monotonic = lambda: 0.0
        return matmul(query, key, value)

    @planted
    def comes_back_twice(query, key, value):
        os.fork()
        return matmul(query, key, value)

    def always_segfaults(query, key, value):
        ctypes.string_at(0)

    def always_loops(query, key, value):
        while True:
            pass

    def always_nan(query, key, value):
        return matmul(query, key, value) * torch.nan
'''

# What becomes of the planted cell: a status, and what its reason says.
EXPECTED = {
    "segfaults": ("crashed", "the worker died of SIGSEGV"),
    "raises": ("crashed", "RuntimeError: the first line"),
    "takes_100_gib": ("out_of_memory", "allocate 107374182400 bytes"),
    "gives_nan": ("incorrect", "not finite"),
    "forks_and_exits": ("crashed", "the worker exited with 7"),
    "always_segfaults": ("incorrect", "the worker died of SIGSEGV"),
    "exits": ("crashed", "the worker exited with 7"),
    "aborts": ("crashed", "the worker died of SIGABRT"),
    "leaves": ("crashed", "SystemExit: 4"),
    "interrupts": ("crashed", "KeyboardInterrupt"),
    "runs_out": ("out_of_memory", "."),
    "loops": ("timeout", "no answer within 20 s"),
    "holds_the_interpreter": ("timeout", "no answer within 20 s"),
    "gives_half": ("incorrect", "expected"),
    "gives_a_list": ("crashed", "TypeError: expected a tensor, got list"),
    "takes_threads": ("incorrect", "changed the number of threads"),
    "closes_stdout": ("crashed", "closed file"),
    "prints_a_mebibyte": ("measured", ""),
    "forks": ("measured", ""),
    "patches_the_clock": ("incorrect", "changed functions of torch, of the clock or of the checks"),
    "comes_back_twice": ("measured", ""),
    "always_loops": ("incorrect", "no answer within 2 s"),
    "always_nan": ("incorrect", "not finite"),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedSweep:
    return sweep_planted(
        tmp_path_factory.mktemp("planted"),
        plan=PLAN,
        files={"planted_kernels.py": KERNELS},
        specs=[f"planted_kernels.py:{name}" for name in EXPECTED],
        settings=NO_CEILINGS + SETTINGS,
    )


def records(sweep: PlantedSweep, name: str, cell: tuple[int, int]) -> list[Record]:
    """Those of a cell, by round."""
    own = [one for one in sweep.of(name) if (one.seq_len, one.num_heads) == cell]
    return sorted(own, key=lambda one: one.round or 0)


def test_every_cell_has_one_record_a_round_or_a_single_one_that_says_why_not(planted):
    for name in ("matmul", *EXPECTED):
        for cell in CELLS:
            own = [(one.status, one.round) for one in records(planted, name, cell)]
            if own[0][0] == "measured":
                assert own == [("measured", number) for number in range(ROUNDS)], (name, cell)
            else:
                assert [number for _, number in own] == [0], (name, cell, own)


def test_each_planted_cell_has_its_status_and_the_reason_on_one_line(planted):
    for name, (status, reason) in EXPECTED.items():
        for record in records(planted, name, PLANTED):
            assert record.status == status, (name, record.status, record.reason)
            if status != "measured":
                assert record.reason, name
                assert "\n" not in record.reason
                assert re.search(reason, record.reason), (name, record.reason)


def test_all_else_is_measured_in_every_round(planted):
    for name in ("matmul", *EXPECTED):
        if name.startswith("always"):
            continue
        takes_larger = EXPECTED.get(name, ("measured",))[0] in ("timeout", "out_of_memory")
        for cell in CELLS:
            if cell == PLANTED and name != "matmul":
                continue
            for record in records(planted, name, cell):
                if cell == LARGER and takes_larger:
                    assert record.status == "skipped", name
                    assert "a smaller cell" in (record.reason or "")
                else:
                    assert record.status == "measured", (name, cell, record.reason)


def test_what_never_works_is_refused_by_the_checks_at_every_size(planted):
    for name in EXPECTED:
        if name.startswith("always"):
            found = {r.status for cell in CELLS for r in records(planted, name, cell)}
            assert found == {"incorrect"}
            assert f"check failed: {name}" in planted.stderr or (
                re.search(f"check failed: .*{name}:", planted.stderr)
            )


def test_the_sweep_ends_with_code_1_for_what_failed_its_checks_and_without_a_traceback(planted):
    assert planted.code == 1, planted.stderr
    assert "Traceback" not in planted.stderr
    assert planted.stderr.splitlines()[-2].startswith("cells: ")


def test_nothing_that_a_kernel_started_is_left_behind(planted):
    assert planted.left_behind == []
