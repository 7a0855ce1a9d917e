"""What the operating system counts: of this process, and of the machine around it.

Linux tells all of it; where a platform has no such counter the value is None, never a guess.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

# By name: a kernel that patches the module `time` must not move these clocks.
from time import perf_counter, process_time
from typing import Any

from bench.machine.linux_files import read, read_counters, read_number

try:
    import resource
except ImportError:  # Windows has no getrusage
    resource = None  # type: ignore[assignment]

PROC = Path("/proc")
THREAD = PROC / "thread-self"
CPUS = Path("/sys/devices/system/cpu")
# Reading a core's frequency costs some 20 µs; a few cores tell as much as all.
MOST_FREQUENCIES = 4


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Counters at a moment, or what was used between two; None where there is no such counter.

    `waiting_s` sums over this process's threads the seconds in which they were ready to run and
    had no core. `busy_s` are seconds of all cores that went to any process of this machine,
    `steal_s` those that its host gave to others. `frequency_hz` is that of the later moment.
    """

    wall_s: float
    cpu_time_s: float | None
    minor_faults: int | None
    waiting_s: float | None = None
    busy_s: float | None = None
    steal_s: float | None = None
    frequency_hz: float | None = None

    def since(self, earlier: Usage) -> Usage:
        """What was used between the two."""
        used: dict[str, Any] = {}
        for name in ("wall_s", "cpu_time_s", "minor_faults", "waiting_s", "busy_s", "steal_s"):
            now, before = getattr(self, name), getattr(earlier, name)
            used[name] = None if now is None or before is None else now - before
        return replace(self, **used)

    @property
    def waiting_share(self) -> float | None:
        """Threads that were ready and had no core, on average over the time."""
        return self._a_second(self.waiting_s)

    @property
    def other_load(self) -> float | None:
        """Cores that other processes of this machine kept busy."""
        if self.busy_s is None or self.cpu_time_s is None:
            return None
        return self._a_second(max(0.0, self.busy_s - self.cpu_time_s))

    @property
    def stolen_cores(self) -> float | None:
        """Cores that the host of a virtual machine gave to others."""
        return self._a_second(self.steal_s)

    def _a_second(self, used: float | None) -> float | None:
        return None if used is None or self.wall_s <= 0 else used / self.wall_s


@dataclass(frozen=True, kw_only=True)
class CpuTimes:
    """Seconds since the start: CPUs at work for anyone, and CPUs withheld by the host."""

    busy_s: float
    steal_s: float


def read_process() -> Usage:
    """The cheap counters now, those of this process; it has waited for as long as this thread."""
    counters = None if resource is None else resource.getrusage(resource.RUSAGE_SELF)
    return Usage(
        wall_s=perf_counter(),
        cpu_time_s=process_time(),
        minor_faults=None if counters is None else counters.ru_minflt,
        waiting_s=waited_s(),
    )


def read_usage(proc: Path = PROC, cpus: Path = CPUS) -> Usage:
    """All counters now; it takes some 0.1 ms."""
    cores = cpu_times(proc)
    return replace(
        read_process(),
        waiting_s=_waiting_s(proc / "self" / "task"),
        busy_s=cores.busy_s if cores else None,
        steal_s=cores.steal_s if cores else None,
        frequency_hz=_frequency_hz(cpus),
    )


def waited_s(task: Path = THREAD) -> float | None:
    """Seconds in which this thread has been ready to run and had no core; None off Linux."""
    words = (read(task / "schedstat") or "").split()
    return int(words[1]) / 1e9 if len(words) >= 2 and words[1].isdigit() else None


def allowed_cpus() -> frozenset[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def oom_kills(proc: Path = PROC) -> int | None:
    """How many processes the kernel has killed for memory since it started."""
    return read_counters(proc / "vmstat").get("oom_kill")


def cpu_times(proc: Path = PROC, cpus: AbstractSet[int] | None = None) -> CpuTimes | None:
    """What these CPUs have done, or all of them; None where Linux does not tell."""
    wanted = {"cpu"} if cpus is None else {f"cpu{cpu}" for cpu in cpus}
    rows = [line.split() for line in (read(proc / "stat") or "").splitlines()]
    found = [
        list(map(float, row[1:9])) for row in rows if row and row[0] in wanted and len(row) >= 9
    ]
    if not found:
        return None
    user, nice, system, _, _, interrupts, soft_interrupts, steal = map(
        sum, zip(*found, strict=True)
    )
    tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + interrupts + soft_interrupts
    return CpuTimes(busy_s=busy * tick_s, steal_s=steal * tick_s)


def _waiting_s(tasks: Path) -> float | None:
    """The waiting of all threads together."""
    try:
        waits = [waited_s(thread) for thread in tasks.iterdir()]
    except OSError:
        return None
    known = [one for one in waits if one is not None]
    return sum(known) if known else None


def _frequency_hz(cpus: Path) -> float | None:
    files = [cpus / f"cpu{cpu}/cpufreq/scaling_cur_freq" for cpu in sorted(allowed_cpus())]
    found = [khz for file in files[:MOST_FREQUENCIES] if (khz := read_number(file)) is not None]
    return statistics.fmean(found) * 1e3 if found else None
