"""The timer's test of itself, with clocks of our own and the real harness."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from bench.doctor.known_durations import DURATIONS_S, harness_overhead, spin, timer_test
from bench.timing.stopwatch import CpuStopwatch, HarnessCosts

READ_S = 1e-7
NO_COSTS = HarnessCosts(clock_resolution_s=0.0, clock_cost_s=0.0, loop_cost_s=0.0)


class Ticking:
    """A clock that every read of it advances; `pauses` are more seconds at some reads."""

    def __init__(self, pauses: Callable[[int], float] = lambda read: 0.0) -> None:
        self.reads = 0
        self.now = 0.0
        self._pauses = pauses

    def __call__(self) -> float:
        self.reads += 1
        self.now += READ_S + self._pauses(self.reads)
        return self.now


class Wrong(CpuStopwatch):
    """Reads so many times what passed."""

    def __init__(self, clock: Ticking, factor: float) -> None:
        super().__init__(clock, NO_COSTS)
        self._factor = factor

    def measure(self, call: Callable[[], object], calls: int, **hooks: Any) -> float:
        return self._factor * super().measure(call, calls, **hooks)


def read_by(clock: Ticking, factor: float = 1.0, durations_s=DURATIONS_S):
    return timer_test(durations_s, clock=clock, stopwatch=Wrong(clock, factor), readings=7)


def test_on_a_steady_clock_only_the_way_in_and_out_is_read_too_much():
    found = read_by(Ticking())

    assert [one.asked_s for one in found] == list(DURATIONS_S)
    for one in found:
        # One read of the clock to enter each call, one more to leave each reading.
        assert 0 < one.error <= 2.1 * READ_S / one.asked_s
        assert 0 <= one.stretched <= 1.1 * READ_S / one.asked_s


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_stopwatch_that_reads_three_per_cent_off_is_found_out(factor):
    for one in read_by(Ticking(), factor, durations_s=(50e-6, 5e-3)):
        assert one.error == pytest.approx(factor - 1.0, abs=0.005)


def test_time_that_the_machine_takes_away_is_not_the_harness_error():
    # Every 0.7 ms, 0.3 ms are taken away.
    clock = Ticking(lambda read: 3e-4 if read % 7001 == 0 else 0.0)

    for one in read_by(clock, durations_s=(5e-3, 50e-3)):
        assert one.stretched == pytest.approx(0.0, abs=0.07)
        assert abs(one.error) < 0.005


def test_a_spin_that_loses_the_core_at_its_end_is_stretched_by_as_much():
    # A read just before the end of each spin of 5 ms takes 2 ms more.
    clock = Ticking()
    kernel_reads = 0

    def reads() -> float:
        nonlocal kernel_reads
        kernel_reads += 1
        clock.now += 2e-3 if kernel_reads % 49_000 == 0 else 0.0
        return clock()

    watch = CpuStopwatch(clock, NO_COSTS)
    (found,) = timer_test([5e-3], clock=reads, stopwatch=watch, readings=7)

    assert 0.3 < found.stretched < 0.45
    assert abs(found.error) < 0.005


def test_one_disturbed_reading_moves_neither_side():
    clock = Ticking(lambda read: 1.0 if read == 80_000 else 0.0)

    (found,) = read_by(clock, durations_s=(500e-6,))

    assert clock.reads > 80_000
    assert clock.now > 1.0
    assert found.read_s == pytest.approx(500e-6, rel=0.005)
    assert found.spun_s == pytest.approx(500e-6, rel=0.005)


def test_a_spin_ends_no_earlier_than_asked_and_keeps_what_it_took():
    tick_s = 2.0**-20
    readings = count(0.0, tick_s)
    spun_s: list[float] = []
    kernel = spin(36.5 * tick_s, lambda: next(readings), spun_s)

    for _ in range(5):
        kernel()
    spin(tick_s, lambda: next(readings))()

    assert spun_s == [37 * tick_s] * 5


def test_overhead_is_told_as_the_bare_loop_has_it_and_as_the_stopwatch_reads_it():
    seconds = count(0.0, 3e-5)

    class Reads7ns:
        def measure(self, call: Callable[[], object], calls: int, **hooks: Any) -> float:
            return calls * 7e-9

    found = harness_overhead(clock=lambda: next(seconds), stopwatch=Reads7ns(), calls=1000)

    assert found.before_s == pytest.approx(3e-8)
    assert found.after_s == pytest.approx(7e-9)
