"""Everything that the examination reads, in one place; by default, from the real machine."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from bench.doctor.known_durations import HarnessOverhead, TimerReading, harness_overhead, timer_test
from bench.machine import os_counters
from bench.machine.environment import load_average, usable_cores
from bench.machine.os_counters import CpuTimes, allowed_cpus
from bench.timing.stopwatch import HarnessCosts, harness_costs

WORKER_LIMIT_S = 120.0
# Some milliseconds: long beside the clock, and of the order of a scheduler's slice.
WORK_STEPS = 500_000
COUNTED = 1500
STREAMED_BYTES = 2**27  # more than the caches of a core's neighbourhood hold
STREAMED_AT_ONCE = 2**20


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


def battery() -> Any:
    """What psutil tells of the battery; None without one, or where psutil cannot tell."""
    sensor = getattr(psutil, "sensors_battery", None)
    return sensor() if sensor else None


def temperatures() -> Mapping[str, Sequence[Any]]:
    """What psutil tells of the sensors of each chip; there are none in most virtual machines."""
    sensors = getattr(psutil, "sensors_temperatures", None)
    return sensors() if sensors else {}


def describe_worker() -> Mapping[str, object]:
    """What a measuring process, started as a sweep starts it, says of itself."""
    from bench.process.supervisor import Worker

    with Worker(threads=usable_cores(), allocator="pinned") as worker:
        return worker.ask("describe", limit_s=WORKER_LIMIT_S)


def work() -> int:
    """The same arithmetic each time, without memory traffic; some milliseconds."""
    return sum(range(WORK_STEPS))


def count_up() -> None:
    """Count in one thread, which a neighbour on the same core halves."""
    for _ in range(COUNTED):
        pass


class Stream:
    """Reads a MiB that no cache holds, the next one each time."""

    def __init__(self) -> None:
        self._numbers = np.ones(STREAMED_BYTES // 4, dtype=np.float32)
        self._at = 0

    def __call__(self) -> None:
        """Read; the largest number is looked for since that takes next to no work."""
        end = self._at + STREAMED_AT_ONCE // 4
        self._numbers[self._at : end].max()
        self._at = end if end < self._numbers.size else 0


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
    battery: Callable[[], Any] = battery
    temperatures: Callable[[], Mapping[str, Sequence[Any]]] = temperatures
    costs: Callable[[], HarnessCosts] = harness_costs
    timer_test: Callable[[], Sequence[TimerReading]] = timer_test
    overhead: Callable[[], HarnessOverhead] = harness_overhead
    describe_worker: Callable[[], Mapping[str, object]] = describe_worker
