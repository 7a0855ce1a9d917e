"""How a visit reads the clock, with a clock of our own."""

import statistics
from collections.abc import Iterator, Sequence
from itertools import chain, count, repeat

import pytest
from bench.pace import Pace
from bench.warming import (
    FEWEST_SETTLING_READINGS,
    LONGEST_WARM_UP_READINGS,
    LONGEST_WARM_UP_S,
    STEADY_READINGS,
    WARM_READINGS,
    WARM_UP_READING_S,
    warm_up,
)
from hypothesis import given
from hypothesis import strategies as st

from bench.counters import Usage
from bench.timing.sampling import (
    MOST_CALIBRATIONS,
    READING_IN_RESOLUTIONS,
    SHORTEST_READING_S,
    Budget,
    Reading,
    calibrated_calls,
    half_width,
    sample,
)


class FakeStopwatch:
    """Every call takes the next of the given seconds; the last one repeats for ever."""

    def __init__(
        self, seconds: Sequence[float], *, loops: bool = True, resolution_s: float = 1e-7
    ) -> None:
        self._seconds: Iterator[float] = chain(seconds, repeat(seconds[-1]))
        self.loops = loops
        self.resolution_s = resolution_s
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
    assert watch.readings[-3:] == [100, 100, 100]
    assert reading.time_s == pytest.approx(1e-5)


def test_a_coarse_clock_gets_longer_readings():
    watch = FakeStopwatch([1e-4], resolution_s=5e-5)

    reading = sample(nothing, watch, budget(max_samples=3))

    assert reading.calls == READING_IN_RESOLUTIONS * 5e-5 / 1e-4


def test_long_calls_are_read_one_by_one():
    assert sample(nothing, FakeStopwatch([0.5]), budget(visit_s=1.5)).calls == 1


def test_a_device_that_flushes_caches_between_calls_never_loops():
    watch = FakeStopwatch([1e-5], loops=False)

    assert sample(nothing, watch, budget(visit_s=1e-4)).calls == 1
    assert set(watch.readings) == {1}


def test_a_clock_that_shows_nothing_does_not_divide_by_zero():
    assert sample(nothing, FakeStopwatch([0.0]), budget(max_samples=5)).samples_s == (0.0,) * 5


@given(st.floats(1e-7, 10.0), st.floats(1e-8, 1e-5))
def test_the_clocks_resolution_is_about_a_thousandth_of_a_reading_or_less(seconds, resolution_s):
    watch = FakeStopwatch([seconds], resolution_s=resolution_s)

    reading = sample(nothing, watch, budget(visit_s=1e-9))

    assert reading.calls * seconds >= 0.8 * SHORTEST_READING_S
    assert reading.calls * seconds >= 0.8 * READING_IN_RESOLUTIONS * resolution_s


@given(st.floats(1.0, 999.0))
def test_a_warm_up_that_was_disturbed_makes_no_reading_too_short(overrated):
    watch = FakeStopwatch([1e-6])

    calls = calibrated_calls(nothing, watch, once_s=overrated * 1e-6)

    assert calls * 1e-6 >= 0.8 * SHORTEST_READING_S


def test_calibrating_ends_where_readings_never_grow_long():
    class Shrinking(FakeStopwatch):
        def measure(self, call: object, calls: int) -> float:
            self.readings.append(calls)
            return 0.5e-3

    watch = Shrinking([1.0])

    calibrated_calls(nothing, watch, once_s=1e-4)

    assert len(watch.readings) == MOST_CALIBRATIONS


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

    assert len(steady.samples_s) == 7  # narrow at the sixth, and still at the seventh
    assert len(unsteady.samples_s) == 60


def test_a_visit_never_takes_more_than_max_samples():
    assert len(sample(nothing, FakeStopwatch([1e-9]), budget(max_samples=13)).samples_s) == 13


def test_the_median_is_reported_and_one_outlier_does_not_move_it():
    watch = FakeStopwatch([1.0, 1.01, 50.0, 1.0, 1.2, 1.1])

    reading = sample(nothing, watch, budget(visit_s=1e9, max_samples=5))

    assert reading.samples_s == (1.01, 50.0, 1.0, 1.2, 1.1)
    assert reading.time_s == 1.1


def test_counters_are_per_call_and_leave_the_warm_up_out():
    counters = iter([usage(100.0), usage(340.0)])
    watch = FakeStopwatch([2e-4])

    reading = sample(nothing, watch, budget(max_samples=6), usage=lambda: next(counters))

    assert reading.calls == 5
    assert reading.cpu_time_s == pytest.approx(240 / 30)
    assert reading.minor_faults == pytest.approx(240 / 30)
    assert reading.usage.wall_s == 240.0


def test_counters_are_read_next_to_the_timed_calls():
    log: list[str] = []

    class Logged(FakeStopwatch):
        def measure(self, call: object, calls: int) -> float:
            log.append("read")
            return super().measure(call, calls)

    def counted() -> Usage:
        log.append("count")
        return usage()

    sample(nothing, Logged([2e-3]), budget(max_samples=3), usage=counted)

    assert log[-5:] == ["count", "read", "read", "read", "count"]
    assert log.count("count") == 2


def test_the_counters_of_a_long_call_include_the_warm_up_readings_that_are_samples():
    counters = (usage(100.0 * number) for number in count())
    watch = FakeStopwatch([0.09, 0.01])

    reading = sample(nothing, watch, budget(max_samples=4), usage=lambda: next(counters))

    assert reading.samples_s == (0.01,) * 4
    assert len(watch.readings) == 5
    assert reading.usage.wall_s == 300.0  # from before the first of them: two pauses, and the end


def test_counters_that_the_platform_lacks_stay_unknown():
    unknown = Usage(wall_s=0.0, cpu_time_s=None, minor_faults=None, involuntary_switches=None)

    reading = sample(nothing, FakeStopwatch([1.0]), budget(visit_s=1.0), usage=lambda: unknown)

    assert (reading.cpu_time_s, reading.minor_faults) == (None, None)


def test_warming_up_short_calls_goes_on_until_three_readings_agree():
    watch = FakeStopwatch([9.0e-3, 2.0e-3, 1.0e-3, 1.04e-3, 1.02e-3, 7.0])

    assert warm_up(nothing, watch) == 1.02e-3
    assert watch.readings == [1] * 5


def test_warming_up_long_calls_goes_on_until_two_readings_agree():
    watch = FakeStopwatch([9.0e-2, 5.0e-2, 1.0e-2, 1.04e-2, 7.0])

    assert warm_up(nothing, watch) == 1.04e-2
    assert watch.readings == [1] * 4


def test_a_slow_drift_is_not_stationary():
    drifting = [1e-3 * 1.04**-number for number in range(20)]
    watch = FakeStopwatch([*drifting, 7.0])

    # Every two neighbours agree within 5 %, three in a row do not.
    assert warm_up(nothing, watch) == 7.0


def test_warming_up_very_short_calls_loops_so_that_readings_mean_something():
    watch = FakeStopwatch([1e-6])

    assert warm_up(nothing, watch) == pytest.approx(1e-6)
    assert watch.readings[0] == 1
    assert max(watch.readings) <= WARM_UP_READING_S / 1e-6
    assert watch.readings == sorted(watch.readings)
    assert watch.readings[-1] > 1


def test_long_calls_that_never_agree_warm_up_a_few_times_only():
    watch = FakeStopwatch([0.04, 0.01, 0.02, 0.03, 0.01, 0.02, 0.03])

    assert warm_up(nothing, watch) == 0.03
    assert len(watch.readings) == WARM_READINGS


def test_calls_of_seconds_that_never_agree_warm_up_for_a_second_only():
    watch = FakeStopwatch([9.0, 3.0, 2.0, 5.0])

    assert warm_up(nothing, watch) == 3.0
    assert len(watch.readings) == 2


def test_warming_up_waits_until_no_memory_is_touched_for_the_first_time():
    touched = iter([0, 9000, 9000, 15000, 15000, 15000])
    watch = FakeStopwatch([4.0, 4.0, 1.0])

    assert warm_up(nothing, watch, process=lambda: usage(float(next(touched)))) == 1.0
    assert len(watch.readings) == 3


def test_an_allocator_that_faults_for_ever_is_taken_as_it_is():
    touched = count(0, 5000)
    watch = FakeStopwatch([4.0])

    assert warm_up(nothing, watch, process=lambda: usage(float(next(touched)))) == 4.0
    assert len(watch.readings) == STEADY_READINGS


def test_faults_that_never_settle_are_taken_as_they_are_after_some_readings():
    touched = (5000.0 * number**3 for number in count())
    watch = FakeStopwatch([4.0])

    warm_up(nothing, watch, process=lambda: usage(next(touched)))

    assert len(watch.readings) == FEWEST_SETTLING_READINGS + 1


def test_warming_up_ends_although_no_readings_agree():
    watch = FakeStopwatch([1e-3 * (1 + number % 2) for number in range(1000)])

    warm_up(nothing, watch)

    assert len(watch.readings) == LONGEST_WARM_UP_READINGS


def test_warming_up_takes_little_longer_than_its_limit():
    seconds = [0.3 * (1 + number % 2) for number in range(1000)]
    watch = FakeStopwatch(seconds)

    warm_up(nothing, watch)

    assert sum(seconds[: len(watch.readings) - 1]) <= LONGEST_WARM_UP_S
    assert sum(seconds[: len(watch.readings)]) > LONGEST_WARM_UP_S


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


class Machine:
    """A clock, a canary and a kernel at a pace that changes with time.

    `slow` are spans of the clock, in seconds, in which everything takes twice as long.
    """

    loops = True
    resolution_s = 1e-7

    def __init__(self, call_s: float, *slow: tuple[float, float]) -> None:
        self.now = 0.0
        self._call_s, self._slow = call_s, slow

    def _spend(self, seconds: float) -> float:
        is_slow = any(start < self.now + seconds and self.now < end for start, end in self._slow)
        spent = seconds * (2.0 if is_slow else 1.0)
        self.now += spent
        return spent

    def measure(self, call: object, calls: int) -> float:
        return self._spend(calls * self._call_s)

    def canary(self) -> tuple[float, ...]:
        return (self._spend(1e-4),)

    def sample(self, **changes: float) -> Reading:
        return sample(
            nothing,
            self,
            budget(**{"visit_s": 0.05, **changes}),
            canary=self.canary,
            usual=Pace(bands=((0.9e-4, 1.1e-4),)),
            usage=lambda: usage(self.now),
            clock=lambda: self.now,
        )


def test_samples_between_canaries_off_the_pace_do_not_count():
    reading = Machine(2e-3, (0.02, 0.03)).sample()

    assert set(reading.samples_s) == {2e-3, 4e-3}
    assert set(reading.undisturbed_s) == {2e-3}
    assert sum(reading.undisturbed_s) >= 0.05  # what is disturbed does not use the time up
    assert reading.time_s == 2e-3
    assert len(reading.canaries) == len(reading.samples_s) + 1


def test_the_pace_is_waited_for_before_samples_begin():
    machine = Machine(2e-3, (0.0, 0.1))

    reading = machine.sample()

    assert set(reading.samples_s) == {2e-3}
    assert machine.now > 0.1


def test_a_long_call_waits_in_proportion_to_its_length():
    waited = Machine(0.3, (0.0, 0.8)).sample(min_samples=1)
    in_vain = Machine(0.3, (0.0, 60.0)).sample(min_samples=1)

    assert waited.undisturbed_s
    assert set(waited.undisturbed_s) == {0.3}
    assert (in_vain.undisturbed_s, in_vain.time_s) == ((), 0.6)


def test_a_machine_that_never_finds_its_pace_ends_a_visit_with_the_samples_it_needs():
    machine = Machine(2e-3, (0.0, 1e9))

    reading = machine.sample(min_samples=3)

    assert reading.undisturbed_s == ()
    assert reading.time_s == 4e-3
    assert sum(reading.samples_s) == pytest.approx(0.05, abs=4e-3)
    assert machine.now < Budget().patience * 0.05 + 0.1


@pytest.mark.parametrize(("patience", "quiet"), [(1, False), (3, True)])
def test_a_hasty_visit_gives_up_where_a_patient_one_waits(patience, quiet):
    reading = Machine(0.3, (0.0, 1.1)).sample(min_samples=1, patience=patience)

    assert bool(reading.undisturbed_s) == quiet


def test_without_a_known_pace_every_sample_counts():
    machine = Machine(2e-3, (0.02, 0.03))

    reading = sample(nothing, machine, budget(visit_s=0.05), canary=machine.canary)

    assert reading.undisturbed_s == reading.samples_s
    assert len(reading.canaries) == len(reading.samples_s) + 1


def test_a_sample_that_touches_new_memory_does_not_count():
    faults = chain([0] * 8, [0, 9000], repeat(9000))
    watch = FakeStopwatch([2e-3, 2e-3, 2e-3, 2e-3, 9e-3, 2e-3])

    reading = sample(
        nothing, watch, budget(max_samples=4), process=lambda: usage(float(next(faults)))
    )

    assert reading.samples_s == (2e-3, 9e-3, 2e-3, 2e-3)
    assert reading.undisturbed_s == (2e-3, 2e-3, 2e-3)


def test_a_warm_up_that_still_got_quicker_gives_no_samples():
    compiling = FakeStopwatch([9.0, 5.0, 1.0, 0.5, 0.4])

    reading = sample(nothing, compiling, budget(max_samples=2))

    assert max(reading.samples_s) <= 1.0


def test_a_first_call_that_compiles_makes_no_visit_wait_for_long():
    class Compiling(Machine):
        def measure(self, call: object, calls: int) -> float:
            first = self.now == 0.0
            return self._spend(20.0 if first else calls * self._call_s)

    machine = Compiling(0.01, (0.0, 1e9))

    machine.sample(min_samples=1)

    assert machine.now < 40.0 + 1.0


def test_disturbed_samples_do_not_make_an_interval_narrow():
    reading = Machine(2e-3, (0.0225, 0.0275), (0.0305, 9.0)).sample(precision=0.01, visit_s=0.1)

    assert len(reading.undisturbed_s) >= 6
    assert half_width(reading.undisturbed_s[:7]) <= 0.01
