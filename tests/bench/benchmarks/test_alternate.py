"""Speeds are compared within turns, with a clock that the test sets."""

import pytest

from bench.benchmarks.alternate import FEWEST_TURNS, speedups


class Clock:
    """A stopwatch that takes its times from a list for each call, over and over."""

    def __init__(self, times_s):
        self._times_s, self._read = times_s, dict.fromkeys(times_s, 0)

    def measure(self, call, calls):
        name = call()
        times = self._times_s[name]
        self._read[name] += 1
        return calls * times[self._read[name] % len(times)]


def named(name):
    return lambda: name


def compared(times_s, for_s=0.0):
    names = [name for name in times_s if name != "base"]
    others = {name: named(name) for name in names}
    return speedups(named("base"), others, Clock(times_s), for_s=for_s)


def test_a_call_of_half_the_time_is_twice_as_fast():
    found = compared({"base": [0.2], "half": [0.1], "same": [0.2]})

    assert (found["half"].median, found["half"].quickest) == (2.0, 2.0)
    assert found["same"].median == 1.0
    assert found["half"].turns == FEWEST_TURNS


def test_a_slow_spell_of_both_leaves_the_ratio():
    found = compared({"base": [0.2, 0.4, 0.8], "half": [0.1, 0.2, 0.4]})["half"]

    assert found.lower_quartile == found.median == found.upper_quartile == 2.0


def test_the_quickest_readings_are_compared_whichever_turn_they_come_from():
    found = compared({"base": [0.3, 0.2], "other": [0.1, 0.4]})["other"]

    assert found.quickest == pytest.approx(2.0)


def test_turns_go_on_until_the_time_is_over_and_short_calls_fill_a_reading():
    found = compared({"base": [1e-5], "other": [1e-5]}, for_s=0.6)["other"]

    assert found.turns == pytest.approx(0.6 / (2 * 300 * 1e-5), abs=2)
