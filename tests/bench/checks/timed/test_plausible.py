"""What no honest reading can be."""

from dataclasses import replace

import pytest

from bench.checks.timed.plausible import PEAK_MARGIN, Limits
from bench.checks.timed.plausible import implausible as implausible_readings
from bench.plan.cells import Cell, unmeasured_record
from implementations.case import Case
from implementations.catalogue import suite

CELL = Cell(implementation=suite()["matmul"], case=Case(seq_len=1024, head_dim=64))
READ = replace(
    unmeasured_record(CELL),
    status="measured",
    time_s=4e-3,
    cpu_time_s=4e-3,
    calls_per_sample=1,
    threads=1,
    flops_executed=300_000_000,
)
NEEDED = READ.flops
LIMITS = Limits(exact=True, peak_flops_per_s=1e11)


def implausible(record, limits, *more):
    answers = [
        {
            "time_s": one.time_s,
            "cpu_time_s": one.cpu_time_s,
            "calls": one.calls_per_sample or 1,
        }
        for one in (record, *more)
    ]
    return implausible_readings(record, answers, limits)


def test_an_honest_reading_is_plausible_and_so_is_one_of_which_little_is_known():
    assert implausible(READ, LIMITS) is None
    unknown = replace(READ, cpu_time_s=None, flops_executed=None, calls_per_sample=None)
    assert implausible(unknown, Limits(exact=True)) is None


def test_a_call_cannot_do_its_operations_faster_than_the_machine_multiplies():
    at_peak = NEEDED / 1e11

    assert implausible(replace(READ, time_s=at_peak, cpu_time_s=at_peak), LIMITS) is None
    beyond = at_peak / (1.01 * PEAK_MARGIN)
    assert "GFLOP/s, this machine's products reach 100" in implausible(
        replace(READ, time_s=beyond, cpu_time_s=beyond), LIMITS
    )


def test_a_law_below_the_formula_s_may_be_faster_than_the_formula():
    quick = replace(READ, time_s=1e-6, cpu_time_s=1e-6, flops_executed=1000)

    assert implausible(quick, replace(LIMITS, exact=False)) is None


@pytest.mark.parametrize("threads", [1, 4])
def test_a_call_cannot_compute_longer_than_its_threads_have_time(threads):
    shared = replace(READ, threads=threads, time_s=8e-2)

    assert implausible(replace(shared, cpu_time_s=threads * 8e-2), LIMITS) is None
    assert "it works elsewhere as well" in implausible(
        replace(shared, cpu_time_s=threads * 16e-2), LIMITS
    )


def test_what_a_process_computes_once_in_a_round_of_few_readings_is_not_held_against_a_call():
    only = replace(READ, time_s=3.1e-5, cpu_time_s=1.11e-4, calls_per_sample=96, flops=1)

    assert implausible(only, LIMITS) is None


def test_what_the_harness_computes_around_short_calls_is_not_held_against_them():
    short = replace(READ, time_s=2e-5, flops=1, flops_executed=1)

    assert implausible(replace(short, cpu_time_s=5e-4), LIMITS) is None
    assert implausible(replace(short, cpu_time_s=3.8e-5, calls_per_sample=150), LIMITS) is None
    assert implausible(replace(short, cpu_time_s=5e-4, calls_per_sample=150), LIMITS) is not None


def test_one_reading_that_something_else_disturbed_is_not_held_against_the_others():
    disturbed = replace(READ, cpu_time_s=1.0)

    assert implausible(disturbed, LIMITS) is not None
    assert implausible(disturbed, LIMITS, READ) is None


def test_on_a_gpu_the_processor_s_time_says_nothing():
    assert implausible(replace(READ, device="cuda", cpu_time_s=1.0), LIMITS) is None


def test_a_program_that_executes_less_than_the_formula_needs_does_not_do_the_work():
    assert implausible(replace(READ, flops_executed=NEEDED), LIMITS) is None
    assert "does not do the work" in implausible(replace(READ, flops_executed=NEEDED // 2), LIMITS)
