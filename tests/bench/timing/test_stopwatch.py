"""What the clock and the loop cost by themselves, and that it is taken off every reading."""

import weakref
from itertools import count

import pytest

from bench.timing import stopwatch
from bench.timing.stopwatch import CpuStopwatch, HarnessCosts, calibrate, harness_costs

FREE = HarnessCosts(clock_resolution_s=0.0, clock_cost_s=0.0, loop_cost_s=0.0)


class Machine:
    """A clock whose reads, turns of a loop and calls take known times."""

    def __init__(self, *, tick_s: float = 0.0, read_s: float = 0.0, turn_s: float = 0.0) -> None:
        self.now = 5.0
        self.tick_s, self.read_s, self.turn_s = tick_s, read_s, turn_s

    def clock(self) -> float:
        self.now += self.read_s
        return self.now // self.tick_s * self.tick_s if self.tick_s else self.now

    def turn(self) -> None:
        self.now += self.turn_s


def calibrated(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> HarnessCosts:
    monkeypatch.setattr(stopwatch, "nothing", machine.turn)
    return calibrate(machine.clock, reads=101, repeats=7)


def test_calibrating_finds_what_a_read_takes_and_what_an_empty_call_reads_as(monkeypatch):
    found = calibrated(Machine(read_s=50e-9, turn_s=30e-9), monkeypatch)

    assert found.clock_cost_s == pytest.approx(50e-9, rel=1e-3)
    assert found.loop_cost_s == pytest.approx(50e-9 + 30e-9, rel=1e-3)
    assert found.clock_resolution_s == pytest.approx(50e-9, rel=1e-3)


def test_the_resolution_of_a_coarse_clock_is_its_tick(monkeypatch):
    found = calibrated(Machine(tick_s=1e-6, read_s=50e-9), monkeypatch)

    assert found.clock_resolution_s == pytest.approx(1e-6, rel=1e-3)
    assert found.clock_cost_s == 0


def test_disturbed_loops_do_not_make_every_reading_too_short(monkeypatch):
    machine, turns = Machine(), count()

    def disturbed() -> None:
        machine.now += 30e-9 if next(turns) > 200 else 1e-3

    monkeypatch.setattr(stopwatch, "nothing", disturbed)
    found = calibrate(machine.clock, reads=100, repeats=7)

    assert found.loop_cost_s == pytest.approx(30e-9, rel=1e-3)


def test_a_clock_that_never_moves_costs_nothing(monkeypatch):
    assert calibrated(Machine(), monkeypatch) == FREE


def test_what_an_empty_call_reads_as_is_taken_off_each_call_and_no_reading_is_negative():
    machine = Machine()
    costs = HarnessCosts(clock_resolution_s=0.0, clock_cost_s=0.25, loop_cost_s=0.125)

    def call() -> None:
        machine.now += 2.0

    watch = CpuStopwatch(machine.clock, costs)

    assert watch.measure(call, 3) == 3 * (2.0 - 0.125)
    assert watch.measure(lambda: None, 7) == 0.0


@pytest.mark.parametrize("calls", [1, 7])
def test_every_call_has_its_two_reads_of_the_clock_and_what_comes_between_calls_has_none(calls):
    log: list[str] = []

    def clock() -> float:
        log.append("clock")
        return 0.0

    watch = CpuStopwatch(clock, FREE)
    watch.measure(lambda: log.append("call"), calls, between=lambda: log.append("between"))

    assert log == ["between", "clock", "call", "clock"] * calls


def test_the_last_result_is_kept_and_none_is_held_during_a_later_call():
    class Result:
        pass

    alive: list[weakref.ref[Result]] = []
    held_during_a_call: list[int] = []
    kept: list[object] = []

    def call() -> Result:
        held_during_a_call.append(sum(one() is not None for one in alive))
        result = Result()
        alive.append(weakref.ref(result))
        return result

    CpuStopwatch(lambda: 0.0, FREE).measure(call, 5, keep=kept.append)

    assert held_during_a_call == [0] * 5
    assert kept == [alive[-1]()]


def test_the_costs_of_this_process_are_measured_once_and_are_small():
    found = harness_costs()

    assert found is harness_costs()
    assert 0 < found.clock_resolution_s < 1e-3
    assert 0 <= found.loop_cost_s < 1e-4
