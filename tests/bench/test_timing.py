"""How a visit reads the clock, with a clock of our own."""

import statistics
from collections.abc import Iterator, Sequence
from itertools import chain, count, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.noise import Usage
from bench.timing import (
    FEWEST_SETTLING_CALLS,
    LONGEST_WARM_UP_CALLS,
    SHORTEST_READING_S,
    Budget,
    CpuStopwatch,
    CudaStopwatch,
    half_width,
    sample,
    warm_up,
)


class FakeStopwatch:
    """Every call takes the next of the given seconds; the last one repeats for ever."""

    def __init__(self, seconds: Sequence[float], *, loops: bool = True) -> None:
        self._seconds: Iterator[float] = chain(seconds, repeat(seconds[-1]))
        self.loops = loops
        self.readings: list[int] = []

    def measure(self, call: object, calls: int) -> float:
        self.readings.append(calls)
        return calls * next(self._seconds)


def nothing() -> None:
    pass


def usage(number: float = 0.0) -> Usage:
    return Usage(wall_s=number, cpu_time_s=number, minor_faults=int(number), involuntary_switches=0)


def budget(**changes: float) -> Budget:
    return Budget(**{"visit_s": 1e9, "min_samples": 3, "precision": -1.0, **changes})


def test_short_calls_share_a_reading_long_enough_for_the_clock():
    watch = FakeStopwatch([1e-5])

    reading = sample(nothing, watch, budget(visit_s=0.003))

    assert reading.calls == 100
    assert set(watch.readings[2:]) == {100}
    assert reading.time_s == pytest.approx(1e-5)


def test_long_calls_are_read_one_by_one():
    assert sample(nothing, FakeStopwatch([0.5]), budget(visit_s=1.5)).calls == 1


def test_a_device_that_flushes_caches_between_calls_never_loops():
    assert sample(nothing, FakeStopwatch([1e-5], loops=False), budget(visit_s=1e-4)).calls == 1


def test_a_clock_that_shows_nothing_does_not_divide_by_zero():
    assert sample(nothing, FakeStopwatch([0.0]), budget(max_samples=5)).samples_s == (0.0,) * 5


@given(st.floats(1e-7, 10.0))
def test_a_reading_is_never_much_shorter_than_the_shortest(seconds):
    reading = sample(nothing, FakeStopwatch([seconds]), budget(visit_s=1e-9))

    assert reading.calls * seconds > SHORTEST_READING_S / 2


def test_at_least_min_samples_are_taken_whatever_the_budget():
    reading = sample(nothing, FakeStopwatch([1.0]), budget(visit_s=1e-9, min_samples=7))

    assert len(reading.samples_s) == 7


def test_a_visit_ends_when_its_time_is_spent():
    reading = sample(nothing, FakeStopwatch([1.0]), budget(visit_s=8.5))

    assert len(reading.samples_s) == 9


def test_a_visit_ends_early_when_the_median_is_known_well_enough():
    steady = sample(nothing, FakeStopwatch([1.0]), budget(precision=0.01))
    shaky = [1.0, 1.0, *(1.0 + 0.2 * (number % 5) for number in range(1000))]
    unsteady = sample(nothing, FakeStopwatch(shaky), budget(precision=0.01, max_samples=60))

    assert len(steady.samples_s) == 6
    assert len(unsteady.samples_s) == 60


def test_a_visit_never_takes_more_than_max_samples():
    assert len(sample(nothing, FakeStopwatch([1e-9]), budget(max_samples=13)).samples_s) == 13


def test_the_median_is_reported_and_one_outlier_does_not_move_it():
    watch = FakeStopwatch([1.0, 1.0, 1.0, 50.0, 1.0, 1.2, 1.1])

    reading = sample(nothing, watch, budget(visit_s=1e9, max_samples=5))

    assert reading.samples_s == (1.0, 50.0, 1.0, 1.2, 1.1)
    assert reading.time_s == 1.1


def test_counters_are_per_call_and_leave_the_warm_up_out():
    warm = [usage(0.0)] * 4  # two calls that touch no new memory
    counters = iter([*warm, usage(100.0), usage(340.0)])

    reading = sample(
        nothing, FakeStopwatch([2e-4]), budget(max_samples=6), usage=lambda: next(counters)
    )

    assert reading.calls == 5
    assert reading.cpu_time_s == pytest.approx(240 / 30)
    assert reading.minor_faults == pytest.approx(240 / 30)
    assert reading.usage.wall_s == 240.0


def test_counters_that_the_platform_lacks_stay_unknown():
    unknown = Usage(wall_s=0.0, cpu_time_s=None, minor_faults=None, involuntary_switches=None)

    reading = sample(nothing, FakeStopwatch([1.0]), budget(visit_s=1.0), usage=lambda: unknown)

    assert (reading.cpu_time_s, reading.minor_faults) == (None, None)


def test_warming_up_goes_on_until_two_readings_agree():
    watch = FakeStopwatch([9.0e-3, 5.0e-3, 2.0e-3, 1.0e-3, 1.04e-3, 7.0])

    assert warm_up(nothing, watch) == 1.04e-3
    assert watch.readings == [1] * 5


def test_long_calls_that_never_agree_warm_up_a_few_times_only():
    watch = FakeStopwatch([9.0, 3.0, 2.0, 5.0, 1.0, 8.0, 4.0, 6.0, 7.0])

    assert warm_up(nothing, watch) == 4.0
    assert len(watch.readings) == FEWEST_SETTLING_CALLS + 1


def test_warming_up_waits_until_no_memory_is_touched_for_the_first_time():
    touched = iter([0, 9000, 9000, 18000, 18000, 18000, 18000, 18000])
    watch = FakeStopwatch([4.0, 4.0, 1.0, 1.0])

    assert warm_up(nothing, watch, usage=lambda: usage(float(next(touched)))) == 1.0
    assert len(watch.readings) == 4


def test_an_allocator_that_faults_for_ever_is_taken_as_it_is():
    touched = count(0, 5000)
    watch = FakeStopwatch([4.0])

    assert warm_up(nothing, watch, usage=lambda: usage(float(next(touched)))) == 4.0
    assert len(watch.readings) == FEWEST_SETTLING_CALLS + 1


def test_warming_up_ends_although_no_two_readings_agree():
    watch = FakeStopwatch([1e-3 * (1 + number % 2) for number in range(1000)])

    warm_up(nothing, watch)

    assert len(watch.readings) == LONGEST_WARM_UP_CALLS


def test_fewer_than_six_samples_say_nothing_about_the_median():
    assert half_width([1.0] * 5) == float("inf")
    assert half_width([1.0] * 6) == 0.0


def test_the_interval_of_twenty_samples_runs_from_the_sixth_to_the_fifteenth():
    # Binomial(20, 1/2): between the 6th and the 15th with 95.9 %.
    samples = [100.0 + number for number in range(1, 21)]

    assert half_width(samples) == pytest.approx((115 - 106) / 2 / 110.5)


@given(st.lists(st.floats(1e-6, 1e3), min_size=6, max_size=60), st.floats(1e-3, 1e3))
def test_the_width_is_relative_and_blind_to_order(samples, factor):
    width = half_width(samples)

    assert width >= 0
    assert half_width(sorted(samples, reverse=True)) == width
    assert half_width([factor * s for s in samples]) == pytest.approx(width, rel=1e-6, abs=1e-9)
    assert width <= (max(samples) - min(samples)) / 2 / statistics.median(samples) * (1 + 1e-9)


def test_the_cpu_stopwatch_calls_as_often_as_it_is_told():
    calls: list[int] = []

    seconds = CpuStopwatch().measure(lambda: calls.append(1), 7)

    assert len(calls) == 7
    assert seconds >= 0
    assert CpuStopwatch.loops


class FakeCuda:
    """A device whose events read a counter, and that writes down what is asked of it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.now_ms = 0.0

    def Event(self, *, enable_timing: bool) -> "FakeEvent":  # noqa: N802  # torch's name
        assert enable_timing
        return FakeEvent(self)

    def synchronize(self, device: str) -> None:
        self.log.append(f"synchronize {device}")


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.at_ms = 0.0

    def record(self) -> None:
        self._cuda.log.append("record")
        self.at_ms = self._cuda.now_ms

    def elapsed_time(self, later: "FakeEvent") -> float:
        return later.at_ms - self.at_ms


def test_the_cuda_stopwatch_flushes_before_and_synchronises_around_every_call():
    cuda = FakeCuda()

    def flush() -> None:
        cuda.log.append("flush")
        cuda.now_ms += 1000.0

    def call() -> None:
        cuda.log.append("call")
        cuda.now_ms += 2.0

    seconds = CudaStopwatch("cuda:1", cuda, flush).measure(call, 3)

    assert seconds == pytest.approx(0.006)
    once = ["flush", "synchronize cuda:1", "record", "call", "record", "synchronize cuda:1"]
    assert cuda.log == 3 * once
    assert not CudaStopwatch.loops
