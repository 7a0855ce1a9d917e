"""What the machine can do at best, on a stopwatch of our own."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from bench.machine.os_counters import Usage
from bench.timing import ceilings
from bench.timing.ceilings import large_block_faults, measure_ceilings
from bench.timing.stopwatch import CpuStopwatch

SIZES = ("COPY_BYTES", "EXP_ELEMENTS", "FAULTING_BYTES")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SIZES:
        monkeypatch.setattr(ceilings, name, 8192)
    monkeypatch.setattr(ceilings, "SMALLEST_SIZE", 4)
    monkeypatch.setattr(ceilings, "LARGEST_SIZE", 16)
    for name in ("READINGS_S", "TRIAL_S"):
        monkeypatch.setattr(ceilings, name, 0.0)


class Machine:
    """A stopwatch that runs no call and knows what each would take."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = {"copy_": 2.0, "exp": 3.0, "add": 5.0, **seconds}
        self.products: list[int] = []

    def measure(self, call: Any, calls: int, **hooks: Any) -> float:
        name = call.func.__name__
        if name == "mm":
            size = call.args[0].shape[0]
            self.products.append(size)
            return calls * self.seconds.get(f"mm{size}", 1e-4)
        return calls * self.seconds[name]


def usages(*readings: tuple[float, int | None]) -> Any:
    """`read_usage` that gives these seconds and faults in turn."""
    found = iter(readings)

    def read() -> Usage:
        wall_s, faults = next(found)
        return Usage(wall_s=wall_s, cpu_time_s=0.0, minor_faults=faults)

    return read


def test_rates_are_work_over_time_and_costs_are_seconds():
    found = measure_ceilings("float32", "cpu", Machine(mm16=1e-3, mm8=1.0, mm4=1.0))

    assert found["copy_bytes_per_s"] == pytest.approx(2 * 8192 / 2.0)
    assert found["exp_per_s"] == pytest.approx(8192 / 3.0)
    assert found["launch_s"] == pytest.approx(5.0)


def test_the_best_product_of_all_sizes_is_the_ceiling():
    fastest_last = measure_ceilings("float32", "cpu", Machine(mm4=1e-4, mm8=1e-4, mm16=1e-4))
    fastest_first = measure_ceilings("float32", "cpu", Machine(mm4=1e-6, mm8=1e-3, mm16=1e-2))

    assert fastest_last["matmul_flops_per_s"] == pytest.approx(2 * 16**3 / 1e-4)
    assert fastest_first["matmul_flops_per_s"] == pytest.approx(2 * 4**3 / 1e-6)


def test_one_thread_has_a_ceiling_of_its_own_and_the_others_come_back():
    threads, seen = torch.get_num_threads(), []

    class Looking(Machine):
        def measure(self, call: Any, calls: int, **hooks: Any) -> float:
            if torch.get_num_threads() == 1:
                seen.append(call.func.__name__)
            return super().measure(call, calls, **hooks)

    torch.set_num_threads(2)
    try:
        found = measure_ceilings("float32", "cpu", Looking(mm4=1e-3, mm16=1e-6))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)

    assert set(seen) == {"mm"}
    assert found["core_flops_per_s"] == pytest.approx(2 * 4**3 / 1e-3)


def test_sizes_end_where_a_product_grows_long():
    machine = Machine(mm4=1e-4, mm8=0.3, mm16=60.0)

    found = measure_ceilings("float16", "cpu", machine)

    assert set(machine.products) == {4, 8}
    assert found["matmul_flops_per_s"] == pytest.approx(2 * 4**3 / 1e-4)


def test_on_a_gpu_nothing_is_measured_that_is_the_processors(borrowed_gpu, monkeypatch):
    monkeypatch.setattr(ceilings, "LARGEST_SIZE_CUDA", 32)
    monkeypatch.setattr(ceilings, "read_usage", usages())  # which has nothing to give
    machine = Machine()

    found = measure_ceilings("float32", "cuda", machine)

    assert set(machine.products) == {4, 8, 16, 32}
    assert found["matmul_flops_per_s"] == pytest.approx(2 * 32**3 / 1e-4)
    assert found["copy_bytes_per_s"] == pytest.approx(2 * 8192 / 2.0)
    for name in ("core_flops_per_s", "exp_per_s", "fault_s"):
        assert found[name] is None
    assert set(borrowed_gpu) == {"cuda"}


def test_a_page_fault_costs_what_touching_fresh_memory_takes_longer(monkeypatch):
    # Three times: fresh memory with 100 faults, then the same memory with none.
    monkeypatch.setattr(
        ceilings,
        "read_usage",
        usages(
            *((0.0, 0), (1.5, 100), (2.0, 100)),
            *((0.0, 0), (0.7, 100), (0.9, 100)),
            *((0.0, 0), (9.0, 100), (9.1, 100)),
        ),
    )

    found = measure_ceilings("float32", "cpu", Machine())

    assert found["fault_s"] == pytest.approx((0.7 - 0.2) / 100)


@pytest.mark.parametrize("faults", [0, None])
def test_where_no_faults_are_seen_their_cost_is_unknown(monkeypatch, faults):
    readings = [(float(n), faults) for n in range(9)]
    monkeypatch.setattr(ceilings, "read_usage", usages(*readings))

    assert measure_ceilings("float32", "cpu", Machine())["fault_s"] is None


def test_a_large_block_counts_the_faults_of_its_quietest_turn(monkeypatch):
    turns = [500, 400, 30, 30, 7, 20, 30, 40]
    readings = [(0.0, count) for fewer in turns for count in (0, fewer)]
    monkeypatch.setattr(ceilings, "read_usage", usages(*readings))

    assert large_block_faults() == 7


def test_where_faults_are_not_counted_a_large_block_has_none_to_tell(monkeypatch):
    monkeypatch.setattr(ceilings, "read_usage", usages(*[(0.0, None)] * 16))

    assert large_block_faults() is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_this_machine_has_ceilings(dtype):
    found = measure_ceilings(dtype, "cpu", CpuStopwatch())

    rates = {name: value for name, value in found.items() if name.endswith("_per_s")}
    names = {"matmul_flops_per_s", "core_flops_per_s", "copy_bytes_per_s", "exp_per_s"}
    assert set(rates) == names
    assert all(value is not None and value > 0 for value in rates.values())
    assert found["launch_s"] is not None


def test_the_operands_have_the_dtype_that_is_asked_for():
    seen = set()

    class Looking(Machine):
        def measure(self, call: Any, calls: int, **hooks: Any) -> float:
            if call.func.__name__ == "mm":
                tensors = (*call.args, call.keywords["out"])
                seen.update(tensor.dtype for tensor in tensors)
                assert all(a.shape == b.shape for a, b in pairwise(tensors))
            return super().measure(call, calls, **hooks)

    measure_ceilings("float64", "cpu", Looking())

    assert seen == {torch.float64}
