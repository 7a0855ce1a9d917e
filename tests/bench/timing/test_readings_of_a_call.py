"""How a reading is taken, with a stopwatch and counters of our own."""

from collections.abc import Iterator
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.machine.os_counters import Usage
from bench.timing.stopwatch import (
    COLD_S,
    FEWEST_READINGS,
    READING_S,
    Call,
    calls_a_reading,
    drop,
    nothing,
    quickest_s,
    read,
)


class ToldStopwatch:
    """Every call takes the next of the given seconds, the last one for ever; keeps what was done.

    The counters that go with it advance by 7 for every call that is made.
    """

    def __init__(self, *seconds: float) -> None:
        self._seconds: Iterator[float] = chain(seconds, repeat(seconds[-1]))
        self.log: list[object] = []
        self.calls = 0

    def measure(
        self, call: Call, calls: int, *, between: Call = nothing, keep: object = drop
    ) -> float:
        self.log.append(calls)
        self.calls += calls
        return calls * next(self._seconds)

    def call(self) -> None:
        self.log.append("untimed")
        self.calls += 1

    def count(self) -> Usage:
        self.log.append("count")
        used = 7.0 * self.calls
        return Usage(wall_s=0.0, cpu_time_s=used, minor_faults=int(used))


@given(st.floats(1e-7, 10.0))
def test_a_reading_is_as_many_calls_as_fill_it_and_no_more(once_s):
    calls = calls_a_reading(once_s)

    assert calls * once_s >= READING_S * (1 - 1e-9)
    assert calls == 1 or (calls - 1) * once_s < READING_S * (1 + 1e-9)


def test_a_call_that_the_clock_does_not_see_does_not_divide_by_zero():
    assert read(lambda: None, ToldStopwatch(0.0), 0.0).time_s == 0.0


def test_a_short_call_goes_once_before_and_its_counters_lie_next_to_the_timed_calls():
    watch = ToldStopwatch(0.0011)

    found = read(watch.call, watch, 0.001, process=watch.count)

    assert watch.log == ["untimed", "count", 3, "count"]
    assert (found.calls, found.time_s) == (3, pytest.approx(0.0011))
    assert (found.cpu_time_s, found.minor_faults) == (7.0, 7.0)


def test_a_long_call_is_read_once_and_at_once():
    watch = ToldStopwatch(0.013)

    found = read(watch.call, watch, COLD_S, process=watch.count)

    assert watch.log == ["count", 1, "count"]
    assert (found.calls, found.time_s, found.minor_faults) == (1, 0.013, 7.0)


def test_counters_that_the_platform_lacks_stay_unknown():
    unknown = Usage(wall_s=0.0, cpu_time_s=None, minor_faults=None)

    found = read(lambda: None, ToldStopwatch(1.0), 1.0, process=lambda: unknown)

    assert (found.cpu_time_s, found.minor_faults) == (None, None)


def test_readings_go_on_until_their_time_is_over_and_the_first_call_is_in_none_of_them():
    watch = ToldStopwatch(0.5)

    found_s = quickest_s(watch.call, watch, for_s=2.6, clock=lambda: 0.5 * watch.calls)

    assert watch.log == ["untimed", *[1] * 7]
    assert found_s == 0.5


def test_a_few_readings_are_taken_however_short_the_time_and_the_quickest_is_told():
    assert quickest_s(lambda: None, ToldStopwatch(9.0, 3.0, 2.0, 5.0, 1.0), for_s=0.0) == 2.0
    assert FEWEST_READINGS == 3


def test_a_disturbed_first_call_makes_one_reading_too_short_and_no_more():
    watch = ToldStopwatch(0.003, 0.001)

    quickest_s(watch.call, watch, for_s=0.0)

    assert [one for one in watch.log if one != "untimed"] == [1, 1, 3, 3]
