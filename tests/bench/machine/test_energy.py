"""Energy, in a world where a known power is drawn and counters move as slowly as real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.machine import energy
from bench.machine.energy import (
    LEAD_IN_S,
    EnergyReading,
    Idle,
    RaplMeter,
    energy_per_call,
    find_meter,
    idle_power,
)
from bench.machine.nvml import Sensor, Unavailable

IDLE_W = 71.0
READ_S = 1e-4


class World:
    """Time passes only where work is done or slept; the counter moves every `tick_s`."""

    source = "a counter"

    def __init__(self, tick_s: float = 0.1, unit_j: float = 1e-3) -> None:
        self.resolution_j = unit_j
        self.tick_s = tick_s
        self.now_s = self.energy_j = self.shown_j = 0.0
        self.next_tick_s = tick_s
        self.stalls_at_s = self.fails_at_s = float("inf")
        self.falls_at_s: list[float] = []
        self.synchronized = True

    def pass_time(self, seconds: float, power_w: float) -> None:
        end_s = self.now_s + seconds
        while self.next_tick_s <= end_s:
            self.energy_j += power_w * (self.next_tick_s - self.now_s)
            self.now_s = self.next_tick_s
            self.next_tick_s += self.tick_s
            if self.falls_at_s and self.now_s >= self.falls_at_s[0]:
                self.falls_at_s.pop(0)
                self.energy_j = 0.0
            if self.now_s < self.stalls_at_s:
                self.shown_j = self.energy_j // self.resolution_j * self.resolution_j
        self.energy_j += power_w * (end_s - self.now_s)
        self.now_s = end_s

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.pass_time(seconds, IDLE_W)

    def synchronize(self) -> None:
        self.synchronized = True

    def joules(self) -> float | Unavailable:
        assert self.synchronized, "the counter was read while work was queued"
        if self.now_s >= self.fails_at_s:
            return Unavailable("energy: GPU is lost")
        self.pass_time(READ_S, IDLE_W)
        return self.shown_j

    def call(self, seconds: float, energy_j: float) -> Callable[[], None]:
        """A call that takes so much beyond idling."""

        def run() -> None:
            self.synchronized = False
            self.pass_time(seconds, IDLE_W + energy_j / seconds)

        return run


def idle_of(world: World) -> Idle | Unavailable:
    return idle_power(world, clock=world.clock, sleep=world.sleep, synchronize=world.synchronize)


def measured(world: World, call: Callable[[], None]) -> object:
    idle = Idle(power_w=IDLE_W, step_s=world.tick_s)
    return energy_per_call(call, world, idle=idle, clock=world.clock, synchronize=world.synchronize)


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    assert "\n" not in found.reason
    return found.reason


@settings(deadline=None, max_examples=30)
@given(tick_s=st.floats(0.02, 0.1))
def test_idle_power_and_the_step_are_found_whatever_the_step(tick_s):
    world = World(tick_s)
    idle = idle_of(world)
    assert isinstance(idle, Idle)
    assert idle.power_w == pytest.approx(IDLE_W, rel=0.005)
    assert idle.step_s == pytest.approx(tick_s, rel=0.02)
    assert 1.0 < world.now_s < 1.7


@settings(deadline=None, max_examples=30)
@given(
    tick_s=st.floats(0.02, 0.1),
    seconds=st.floats(1e-4, 0.3),
    power_w=st.floats(50.0, 600.0),
)
def test_the_energy_of_a_call_is_that_beyond_idling(tick_s, seconds, power_w):
    world = World(tick_s)
    truth_j = power_w * seconds
    reading = measured(world, world.call(seconds, truth_j))
    assert isinstance(reading, EnergyReading)
    assert reading.energy_j == pytest.approx(truth_j, abs=reading.energy_resolution_j)
    step_j = (power_w + IDLE_W) * tick_s
    calls = reading.energy_resolution_j and step_j / reading.energy_resolution_j
    assert calls * seconds >= 0.8
    assert 1.0 <= world.now_s < 10.1 + 2 * seconds


def test_a_quick_counter_is_read_for_a_second_and_a_slow_one_for_thirty_steps():
    quick, slow = World(0.001), World(0.05)
    short = measured(quick, quick.call(2e-3, 0.7))
    long = measured(slow, slow.call(2e-3, 0.7))
    assert (short.energy_j, long.energy_j) == pytest.approx((0.7, 0.7), rel=0.05)
    assert quick.now_s == pytest.approx(LEAD_IN_S + 1.0, rel=0.05)
    assert slow.now_s == pytest.approx(LEAD_IN_S + 31 * 0.05, rel=0.05)
    resolution = long.energy_resolution_j / long.energy_j
    assert resolution == pytest.approx(1 / 30 / 0.7 * 0.771, rel=0.3)


def test_a_coarse_unit_is_waited_for_as_well():
    world = World(0.001, unit_j=7.0)
    reading = measured(world, world.call(2e-3, 0.7))
    assert (0.7 + IDLE_W * 2e-3) / reading.energy_resolution_j >= 30 * 0.99


def test_the_loop_ends_in_time_and_says_how_coarse_it_is(monkeypatch):
    monkeypatch.setattr(energy, "LONGEST_LOOP_S", 2.0)
    world = World(0.1)
    reading = measured(world, world.call(2e-3, 0.7))
    assert world.now_s < 2.1
    assert reading.energy_resolution_j / reading.energy_j > 0.05


def test_calls_that_take_hardly_more_than_idling_have_no_energy():
    world = World(0.1)
    assert "within a step" in reason(measured(world, world.call(2e-3, 1e-5)))


def test_a_counter_that_does_not_move_gives_nothing():
    world = World()
    world.stalls_at_s = 0.0
    assert "moved 0 times" in reason(idle_of(world))
    assert "moved 0 times" in reason(measured(world, world.call(2e-3, 0.7)))


def test_a_counter_that_stops_gives_nothing():
    world = World()
    world.stalls_at_s = 0.9
    assert "times in 10 s" in reason(measured(world, world.call(2e-3, 0.7)))


def test_a_counter_may_fall_once_and_not_twice():
    once, twice = World(0.02), World(0.02)
    once.falls_at_s, twice.falls_at_s = [0.7], [0.7, 1.1]
    reading = measured(once, once.call(2e-3, 0.7))
    assert reading.energy_j == pytest.approx(0.7, rel=0.01)
    assert "backwards twice" in reason(measured(twice, twice.call(2e-3, 0.7)))
    again = World(0.02)
    again.falls_at_s = [0.7, 1.1]
    assert "backwards twice" in reason(idle_of(again))


def test_a_counter_that_fails_on_the_way_gives_the_reason():
    for measure in (idle_of, lambda world: measured(world, world.call(2e-3, 0.7))):
        world = World()
        world.fails_at_s = 0.6
        assert "GPU is lost" in reason(measure(world))


def powercap(root: Path, **zones: tuple[str, int]) -> Path:
    """Zones as the kernel names them: `_` stands for a colon."""
    for name, (kind, energy_uj) in zones.items():
        zone = root / f"intel-rapl{name.replace('_', ':')}"
        zone.mkdir()
        (zone / "name").write_text(f"{kind}\n")
        (zone / "energy_uj").write_text(f"{energy_uj}\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
    return root


def test_packages_are_summed_and_their_parts_are_not(tmp_path):
    root = powercap(
        tmp_path,
        _0=("package-0", 1_000_000),
        _0_0=("core", 5),
        _1=("package-1", 262_143_000_000),
        _2=("psys", 7),
    )
    meter = find_meter("cpu", powercap=root)
    assert isinstance(meter, RaplMeter)
    assert meter.joules() == 0.0
    (root / "intel-rapl:0" / "energy_uj").write_text("3000000")
    (root / "intel-rapl:0:0" / "energy_uj").write_text("900000000")
    (root / "intel-rapl:2" / "energy_uj").write_text("900000000")
    assert meter.joules() == pytest.approx(2.0)
    # The second package's counter starts again at zero.
    (root / "intel-rapl:1" / "energy_uj").write_text("671150")
    assert meter.joules() == pytest.approx(3.0)
    (root / "intel-rapl:1" / "energy_uj").unlink()
    assert "RAPL" in reason(meter.joules())


def test_a_machine_without_a_readable_counter_says_why(tmp_path, monkeypatch):
    assert "no counter" in reason(find_meter("cpu", powercap=tmp_path / "absent"))
    root = powercap(tmp_path, _0=("package-0", 1))

    def refuse(self: Path, **_: object) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return "package-0" if self.name == "name" else "262143328850"

    monkeypatch.setattr(Path, "read_text", refuse)
    assert "run as root" in reason(find_meter("cpu", powercap=root))


class OneGpu:
    NVMLError = RuntimeError

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802  # as in pynvml
        if handle != "new":
            raise RuntimeError("Not Supported")
        return 5_000


def test_a_gpu_is_metered_by_its_own_counter():
    meter = find_meter("cuda:1", sensor=lambda _: Sensor(OneGpu(), "new"))
    assert meter.joules() == 5.0
    assert meter.resolution_j == 1e-3
    old = find_meter("cuda:1", sensor=lambda _: Sensor(OneGpu(), "old"))
    assert reason(old) == "energy: Not Supported"
    none = find_meter("cuda:1", sensor=lambda device: Unavailable(f"no {device}"))
    assert reason(none) == "no cuda:1"
