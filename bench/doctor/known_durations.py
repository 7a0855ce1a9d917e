"""The timer's test of itself: what the harness reads of kernels whose duration is known.

A kernel spins on the clock until its time is up, and writes down how long that took by the same
clock. That is the duration that the harness should read: a spin overshoots by up to the cost of
one read of the clock, and by all the time for which the machine took the core away, and its own
measurement contains both. What it cannot contain is the way in and out, some 0.1 µs a call before
the first and after the last read of the clock. None of this is corrected for, so that 50 µs read
some 0.2 % too long when all is well. How much longer than asked a spin took is kept apart
(`stretched`): that is the machine's doing, not the harness's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

from bench.timing.stopwatch import CpuStopwatch, Stopwatch, nothing, read

DURATIONS_S = (50e-6, 500e-6, 5e-3, 50e-3)
LARGEST_ERROR = 0.01
READINGS = 9
EMPTY_CALLS = 10_000
EMPTY_READINGS = 9

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class TimerReading:
    """One duration: asked for, spun by the kernel's own measurement, and read by the harness.

    The latter two are seconds per call, medians over the same readings.
    """

    asked_s: float
    spun_s: float
    read_s: float

    @property
    def error(self) -> float:
        """By how much the harness read too long, relative to what was spun."""
        return self.read_s / self.spun_s - 1.0

    @property
    def stretched(self) -> float:
        """By how much the machine made the spin longer than asked, relative to that."""
        return self.spun_s / self.asked_s - 1.0


@dataclass(frozen=True, kw_only=True)
class HarnessOverhead:
    """Seconds that a call of nothing takes in the harness's loop, and reads as in the end.

    A stopwatch that would read less than nothing reads 0.
    """

    before_s: float
    after_s: float


def spin(
    seconds: float, clock: Clock = time.perf_counter, spun_s: list[float] | None = None
) -> Callable[[], None]:
    """A kernel that lasts that long; what each call took by the clock is appended to `spun_s`."""

    def kernel() -> None:
        start = now = clock()
        end = start + seconds
        while now < end:
            now = clock()
        if spun_s is not None:
            spun_s.append(now - start)

    return kernel


def timer_test(
    durations_s: Sequence[float] = DURATIONS_S,
    *,
    clock: Clock = time.perf_counter,
    stopwatch: Stopwatch | None = None,
    readings: int = READINGS,
) -> list[TimerReading]:
    """Read a spin of each duration as a sweep reads a kernel."""
    watch = stopwatch or CpuStopwatch(clock)
    return [_read(seconds, clock, watch, readings) for seconds in durations_s]


def _read(seconds: float, clock: Clock, watch: Stopwatch, readings: int) -> TimerReading:
    spun_s: list[float] = []
    kernel = spin(seconds, clock, spun_s)
    spun, read_s = [], []
    for _ in range(readings):
        found = read(kernel, watch, seconds)
        read_s.append(found.time_s)
        spun.append(statistics.fmean(spun_s[-found.calls :]))
    return TimerReading(
        asked_s=seconds, spun_s=statistics.median(spun), read_s=statistics.median(read_s)
    )


def harness_overhead(
    *,
    clock: Clock = time.perf_counter,
    stopwatch: Stopwatch | None = None,
    calls: int = EMPTY_CALLS,
    readings: int = EMPTY_READINGS,
) -> HarnessOverhead:
    """An empty call, timed by a bare loop and by the harness's stopwatch, in turns."""
    watch = stopwatch or CpuStopwatch(clock)
    before, after = [], []
    for _ in range(readings):
        start = clock()
        for _ in repeat(None, calls):
            nothing()
        before.append((clock() - start) / calls)
        after.append(watch.measure(nothing, calls) / calls)
    return HarnessOverhead(before_s=statistics.median(before), after_s=statistics.median(after))
