"""Energy of one call: a counter's rise over a loop of calls, less what the machine takes idle.

Counters of energy are slow: NVML's moves every 20 to 100 ms, RAPL's every millisecond. So a loop
lasts at least a second and thirty of the counter's steps (three seconds where it moves every
100 ms, as on an H200), it is read from one step to another, and what a step amounts to is stated
beside the energy. The calls follow each other as fast as they can, on the same data: no cache is
overwritten between them, since that takes energy as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.machine.nvml import Sensor, Unavailable, open_device

POWERCAP = Path("/sys/class/powercap")
FEWEST_STEPS = 30
SHORTEST_LOOP_S, LONGEST_LOOP_S = 1.0, 10.0
POLL_S = 1e-3
# While the calls run, the counter is looked at this often: looking leaves the GPU without work.
LOOK_S = 10e-3
# Clocks change, and a sensor's average follows the load, some while after it began or ended.
LEAD_IN_S = 0.25

Call = Callable[[], object]
Clock = Callable[[], float]


class NvmlMeter:
    """The counter of a GPU, its memory included: energy since the driver was loaded."""

    resolution_j = 1e-3

    def __init__(self, sensor: Sensor) -> None:
        self.joules = sensor.energy_j


class RaplMeter:
    """The processors' packages, summed; every process on them counts, memory modules do not.

    The counters start again at zero after `max_energy_range_uj`, some minutes of load: it is read
    more often than that.
    """

    resolution_j = 1e-6

    def __init__(self, packages: list[Path]) -> None:
        self._packages = packages
        self._ranges = [_number(package / "max_energy_range_uj") for package in packages]
        self._last = [_number(package / "energy_uj") for package in packages]
        self._total_uj = 0

    def joules(self) -> float | Unavailable:
        """Energy since the meter was made."""
        try:
            now = [_number(package / "energy_uj") for package in self._packages]
        except (OSError, ValueError) as problem:
            return Unavailable(f"RAPL: {problem}")
        for value, last, whole in zip(now, self._last, self._ranges, strict=True):
            self._total_uj += value - last if value >= last else value - last + whole
        self._last = now
        return self._total_uj / 1e6


EnergyMeter: TypeAlias = NvmlMeter | RaplMeter
"""A counter of energy that only rises; its steps may be much larger than its `resolution_j`."""


def find_meter(
    device: str,
    *,
    powercap: Path = POWERCAP,
    sensor: Callable[[str], Sensor | Unavailable] = open_device,
) -> EnergyMeter | Unavailable:
    """The counter of what does the work: the GPU's for `cuda`, the processors' for `cpu`."""
    if device == "cpu":
        return _rapl(powercap)
    found = sensor(device)
    if isinstance(found, Unavailable):
        return found
    energy = found.energy_j()
    return energy if isinstance(energy, Unavailable) else NvmlMeter(found)


def _rapl(powercap: Path) -> RaplMeter | Unavailable:
    try:
        # Among them are parts of packages (cores, memory) and what holds packages (psys).
        packages = [
            zone
            for zone in sorted(powercap.glob("intel-rapl:*"))
            if (zone / "name").read_text(encoding="ascii").startswith("package")
        ]
        if not packages:
            return Unavailable(f"no counter of the processor's energy (RAPL) under {powercap}")
        return RaplMeter(packages)
    except PermissionError as problem:
        return Unavailable(f"only the administrator may read {problem.filename}; run as root")
    except (OSError, ValueError) as problem:
        return Unavailable(f"RAPL: {problem}")


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What is drawn while nothing is asked of the device, and how often the counter moves."""

    power_w: float
    step_s: float


@dataclass(frozen=True, kw_only=True)
class EnergyReading:
    """Energy of a call less what the device takes idle, and a call's share of the counter's step.

    That step is the most by which the loop's beginning and end may be off. Being off by its
    calibration is another matter.
    """

    energy_j: float
    energy_resolution_j: float


def idle_power(
    meter: EnergyMeter,
    *,
    synchronize: Call,
    clock: Clock = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Idle | Unavailable:
    """Watch the counter while the device does nothing, from a step to a step."""
    synchronize()
    steps = _Steps(clock())
    while steps.seconds < SHORTEST_LOOP_S:
        if clock() - steps.begun_s > LONGEST_LOOP_S:
            return steps.too_few()
        sleep(POLL_S)
        problem = steps.look(clock(), meter, 0)
        if problem is not None:
            return problem
    return Idle(power_w=steps.joules / steps.seconds, step_s=steps.seconds / steps.number)


def energy_per_call(
    call: Call,
    meter: EnergyMeter,
    *,
    idle: Idle,
    synchronize: Call,
    clock: Clock = time.perf_counter,
) -> EnergyReading | Unavailable:
    """Loop for a second and FEWEST_STEPS of the counter's steps, LONGEST_LOOP_S at most.

    `idle` is that of the moments before. `synchronize` waits for the device: it is called before
    each look at the counter.
    """
    wanted_s = max(SHORTEST_LOOP_S, FEWEST_STEPS * idle.step_s)
    steps = _Steps(clock())
    calls, batch = 0, 1
    while not (steps.seconds >= wanted_s and steps.joules >= FEWEST_STEPS * meter.resolution_j):
        before = clock()
        if before - steps.begun_s > LONGEST_LOOP_S:
            break
        for _ in range(batch):
            call()
        synchronize()
        calls += batch
        now = clock()
        if now - before < LOOK_S / 2:
            batch *= 2
        problem = steps.look(now, meter, calls)
        if problem is not None:
            return problem
    if steps.seconds < SHORTEST_LOOP_S:
        return steps.too_few()
    step_j = max(meter.resolution_j, idle.step_s * steps.joules / steps.seconds)
    net_j = steps.joules - idle.power_w * steps.seconds
    if net_j <= step_j:
        return Unavailable(
            f"the calls took {net_j:.3g} J more than idling, which is within "
            f"a step of the counter, {step_j:.3g} J"
        )
    return EnergyReading(energy_j=net_j / steps.calls, energy_resolution_j=step_j / steps.calls)


class _Steps:
    """What passed between the first and the latest step of a counter that were seen."""

    def __init__(self, now_s: float) -> None:
        self.begun_s = now_s
        self._fell = False
        self._before_j: float | None = None
        self._restart()

    def _restart(self) -> None:
        self._first: tuple[float, float, int] | None = None
        self.number = self.calls = 0
        self.seconds = self.joules = 0.0

    def look(self, now_s: float, meter: EnergyMeter, calls: int) -> Unavailable | None:
        """Read the counter, and take it into account unless it is early; what is wrong with it."""
        energy_j = meter.joules()
        if isinstance(energy_j, Unavailable):
            return energy_j
        if now_s - self.begun_s < LEAD_IN_S:
            return None
        before_j, self._before_j = self._before_j, energy_j
        if before_j is None or energy_j == before_j:
            return None
        if energy_j < before_j:
            if self._fell:
                return Unavailable("the energy counter went backwards twice")
            # Once may be a driver that was loaded anew: what went before is lost.
            self._fell = True
            self._restart()
        elif self._first is None:
            self._first = (now_s, energy_j, calls)
        else:
            self.number += 1
            self.seconds = now_s - self._first[0]
            self.joules = energy_j - self._first[1]
            self.calls = calls - self._first[2]
        return None

    def too_few(self) -> Unavailable:
        """Why a counter that hardly moves gives nothing."""
        return Unavailable(
            f"the energy counter moved {self.number} times in {LONGEST_LOOP_S:g} s: too few to read"
        )
