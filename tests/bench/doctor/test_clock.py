"""The clock's findings, with clocks and readings of our own."""

from collections.abc import Callable
from itertools import accumulate, chain, cycle

import pytest

from bench.doctor import machine
from bench.doctor.clock import (
    REPEATS,
    WARM_UPS,
    clock_cost,
    clock_source,
    harness_overhead,
    interruptions,
    scatter,
    shared_cores,
    shared_memory,
    timer,
)
from bench.doctor.known_durations import HarnessOverhead, TimerReading
from bench.timing.stopwatch import HarnessCosts


@pytest.mark.parametrize(
    ("source", "status"),
    [("tsc", "good"), ("kvm-clock", "good"), ("arch_sys_counter", "good"), ("hpet", "warning")],
)
def test_a_clock_that_is_read_through_a_device_is_a_warning(system, source, status):
    path = "sys/devices/system/clocksource/clocksource0/current_clocksource"

    finding = clock_source(system({path: source}))

    assert (finding.status, finding.value) == (status, source)


def test_a_system_without_clock_sources_is_unknown(tmp_path):
    assert clock_source(tmp_path).status == "unknown"


@pytest.mark.parametrize(
    ("resolution_s", "cost_s", "status"),
    [(4e-8, 5e-8, "good"), (1e-9, 2e-6, "warning"), (1e-6, 5e-8, "warning")],
)
def test_a_coarse_clock_and_a_slow_one_are_warnings(resolution_s, cost_s, status):
    costs = HarnessCosts(clock_resolution_s=resolution_s, clock_cost_s=cost_s, loop_cost_s=0.0)

    finding = clock_cost(costs)

    assert finding.status == status
    assert finding.value == pytest.approx((resolution_s + cost_s) * 1e9)
    assert ("40 ns apart, and a read of it takes 50 ns" in finding.found) == (status == "good")


def test_overhead_is_told_before_and_after_subtraction():
    good = harness_overhead(HarnessOverhead(before_s=37e-9, after_s=0.4e-9))
    bad = harness_overhead(HarnessOverhead(before_s=37e-9, after_s=23e-9))

    assert (good.status, bad.status) == ("good", "warning")
    assert "37.0 ns" in good.found
    assert "0.4 ns" in good.found


def reading(error: float, stretched: float = 0.0, asked_s: float = 50e-6) -> TimerReading:
    spun_s = asked_s * (1 + stretched)
    return TimerReading(asked_s=asked_s, spun_s=spun_s, read_s=spun_s * (1 + error))


@pytest.mark.parametrize("error", [0.013, -0.013])
def test_one_reading_more_than_a_per_cent_off_either_way_is_a_problem(error):
    finding = timer([reading(0.004), reading(error, asked_s=5e-3), reading(0.002, asked_s=0.05)])

    assert finding.status == "problem"
    assert finding.value == pytest.approx(100 * error)
    assert f"50 µs +0.40%, 5 ms {error:+.2%}, 50 ms +0.20%" in finding.found


def test_readings_within_a_per_cent_are_good_however_long_the_machine_made_them():
    assert timer([reading(-0.009, stretched=0.8)]).status == "good"


@pytest.mark.parametrize(
    ("stretched", "status"), [(0.002, "good"), (0.04, "warning"), (0.7, "problem")]
)
def test_spins_that_lost_the_core_say_so(stretched, status):
    finding = interruptions([reading(0.0), reading(0.0, stretched, asked_s=5e-3)])

    assert finding.status == status
    assert finding.value == pytest.approx(100 * stretched)
    assert ("spins for 5 ms took" in finding.found) == (status != "good")


def clock_of(durations_s: list[float]) -> Callable[[], float]:
    """A clock by which the timed pieces of work take these seconds, in turn."""
    moments, now = [], 0.0
    for seconds in durations_s:
        moments += [now, now + seconds]
        now += seconds
    remaining = chain(moments)
    return lambda: next(remaining)


def test_scatter_is_the_excess_over_the_quickest_after_warming_up():
    works: list[int] = []
    longer = [1.0] * 15 + [1.02] * 12 + [1.14] * 3

    finding = scatter(clock_of([0.01 * one for one in longer]), lambda: works.append(1))

    assert len(works) == WARM_UPS + REPEATS
    assert finding.status == "good"
    assert finding.value == pytest.approx(2.0)
    assert "The same 10 ms of work took 0.0% to 14.0% longer" in finding.found


@pytest.mark.parametrize(("excess", "status"), [(0.02, "good"), (0.2, "warning"), (1.0, "problem")])
def test_scatter_is_judged_without_its_slowest_tenth(excess, status):
    rest = cycle([1.0, 1.0 + excess])
    durations = [5.0] * 3 + [next(rest) for _ in range(REPEATS - 3)]

    assert scatter(clock_of(durations), lambda: None).status == status


def test_a_clock_that_stands_still_shows_no_scatter():
    assert scatter(lambda: 7.0, lambda: None).status == "unknown"


def clock_that_ticks(durations: list[float]) -> Callable[[], float]:
    """A clock whose looks lie so far apart, over and over."""
    ticks = accumulate(cycle(durations))
    return lambda: next(ticks)


@pytest.mark.parametrize(
    ("slow", "status"), [(0, "good"), (6, "good"), (20, "warning"), (60, "problem")]
)
def test_a_core_that_something_shares_is_told_by_moments_that_take_longer(slow, status):
    moments = [30e-6] * (100 - slow) + [60e-6] * (slow // 2)  # by time, not by number

    finding = shared_cores(clock_that_ticks(moments), lambda: None)

    assert finding.status == status
    assert finding.value == pytest.approx(slow / 100, abs=1e-3)
    assert "30 µs of work took at least 30% longer" in finding.found
    assert (finding.advice is None) == (status == "good")


def test_memory_that_something_shares_is_told_in_the_same_way():
    finding = shared_memory(clock_that_ticks([30e-6] * 80 + [60e-6] * 10), lambda: None)

    assert (finding.name, finding.status) == ("shared_memory", "warning")
    assert "30 µs of reading memory took" in finding.found
    assert finding.advice is not None
    assert "shared cache" in finding.advice


def test_reading_memory_reads_another_part_each_time_and_begins_again(monkeypatch):
    monkeypatch.setattr(machine, "STREAMED_BYTES", 48)
    monkeypatch.setattr(machine, "STREAMED_AT_ONCE", 16)
    stream, parts = machine.Stream(), []

    for _ in range(4):
        parts.append(stream._at)
        stream()

    assert parts == [0, 4, 8, 0]


def test_moments_that_the_clock_does_not_see_tell_nothing_of_the_core():
    assert shared_cores(lambda: 7.0, lambda: None).status == "unknown"
