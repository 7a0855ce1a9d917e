"""Everything that the examination reads, in one place; by default, from the real machine."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from bench.doctor.fixed_work import Stream, count_up
from bench.doctor.known_durations import HarnessOverhead, TimerReading, harness_overhead, timer_test
from bench.machine import os_counters
from bench.machine.environment import load_average, usable_cores
from bench.machine.os_counters import CpuTimes
from bench.timing.stopwatch import HarnessCosts, harness_costs

WORKER_LIMIT_S = 120.0
# Some milliseconds: long beside the clock, and of the order of a scheduler's slice.
WORK_STEPS = 500_000


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process, the CPU seconds that it has used, and what it is to the one that asks."""

    name: str
    cpu_s: float
    kin: Literal["self", "child", "other"] = "other"


# By number and start, since numbers are used again.
Processes = Mapping[tuple[int, float], Process]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of memory, of what can be taken without swapping, and of what has been swapped out."""

    total_bytes: int
    available_bytes: int
    swapped_bytes: int


@dataclass(frozen=True, kw_only=True)
class Battery:
    """How full it is, and whether mains power is plugged in; None where that is not told."""

    percent: float
    plugged: bool | None


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """Degrees Celsius now, and those from which the chip counts as hot, where it tells."""

    chip: str
    now_c: float
    high_c: float | None


def allowed_cpus() -> frozenset[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cpu_times(root: Path, cpus: AbstractSet[int]) -> CpuTimes | None:
    """What the given CPUs have done; elsewhere than on Linux, all CPUs."""
    if (root / "proc").exists():
        return os_counters.cpu_times(root / "proc", cpus)
    times = psutil.cpu_times()
    busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system"))
    return CpuTimes(busy_s=busy, steal_s=0.0)


def processes() -> Processes:
    """All processes that can be seen from here."""
    me = psutil.Process()
    kin: dict[int, Literal["self", "child"]] = {me.pid: "self"}
    kin.update({child.pid: "child" for child in me.children(recursive=True)})
    found = {}
    for one in psutil.process_iter(["pid", "name", "cpu_times", "create_time"]):
        times = one.info["cpu_times"]
        if times is not None:  # other users' processes are closed to us on some systems
            found[one.info["pid"], one.info["create_time"]] = Process(
                name=one.info["name"] or "?",
                cpu_s=times.user + times.system,
                kin=kin.get(one.info["pid"], "other"),
            )
    return found


def memory() -> Memory:
    """The machine's memory; a container's limit is looked at elsewhere."""
    now = psutil.virtual_memory()
    with warnings.catch_warnings():
        # Where the traffic of the swap cannot be read psutil warns; it is not what is asked here.
        warnings.simplefilter("ignore", RuntimeWarning)
        swapped = psutil.swap_memory().used
    return Memory(total_bytes=now.total, available_bytes=now.available, swapped_bytes=swapped)


def battery() -> Battery | None:
    """The battery, if there is one."""
    sensor = getattr(psutil, "sensors_battery", None)
    found = None if sensor is None else sensor()
    if found is None:
        return None
    return Battery(percent=found.percent, plugged=found.power_plugged)


def temperatures() -> list[Temperature]:
    """What sensors there are; none in most virtual machines."""
    sensors = getattr(psutil, "sensors_temperatures", None)
    found = {} if sensors is None else sensors()
    return [
        Temperature(chip=chip, now_c=one.current, high_c=one.high)
        for chip, readings in found.items()
        for one in readings
    ]


def describe_worker() -> Mapping[str, object]:
    """What a measuring process, started as a sweep starts it, says of itself."""
    from bench.process.supervisor import Worker

    with Worker(threads=usable_cores(), allocator="pinned") as worker:
        return worker.ask("describe", limit_s=WORKER_LIMIT_S)


def work() -> int:
    """The same arithmetic each time, without memory traffic; some milliseconds."""
    return sum(range(WORK_STEPS))


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where /proc and /sys are, and what answers the questions that they do not."""

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    own_cpu_s: Callable[[], float] = time.process_time
    work: Callable[[], object] = work
    glimpse: Callable[[], object] = count_up
    stream: Callable[[], Callable[[], object]] = Stream
    allowed_cpus: Callable[[], AbstractSet[int]] = allowed_cpus
    all_cpus: Callable[[], int | None] = os.cpu_count
    threads: Callable[[], int] = usable_cores
    cpu_times: Callable[[Path, AbstractSet[int]], CpuTimes | None] = cpu_times
    processes: Callable[[], Processes] = processes
    load_average: Callable[[], float | None] = load_average
    memory: Callable[[], Memory] = memory
    battery: Callable[[], Battery | None] = battery
    temperatures: Callable[[], Sequence[Temperature]] = temperatures
    costs: Callable[[], HarnessCosts] = harness_costs
    timer_test: Callable[[], Sequence[TimerReading]] = timer_test
    overhead: Callable[[], HarnessOverhead] = harness_overhead
    describe_worker: Callable[[], Mapping[str, object]] = describe_worker
