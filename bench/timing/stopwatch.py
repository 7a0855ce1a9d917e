"""What reads the clock, what that costs, and how a call is read.

One reading fills a few milliseconds, and a quiet one takes many of them. Everything that touches
time or a device comes in from outside, so that tests inject it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, repeat
from typing import Protocol

from bench.machine.os_counters import Usage, read_process

Call = Callable[[], object]
# Some twenty thousand times what a clock tells apart, and short beside most spells of disturbance.
READING_S = 3e-3
# A shorter call is visibly slower while its data are in no cache, so one goes before its reading.
COLD_S = 1e-2
FEWEST_READINGS = 3


def nothing() -> None:
    """Do nothing."""


def drop(result: object) -> None:
    """Have no use for a result."""


class Stopwatch(Protocol):
    """Seconds that `calls` calls take, the device synchronised before and after."""

    def measure(
        self,
        call: Call,
        calls: int,
        *,
        between: Call = nothing,
        keep: Callable[[object], object] = drop,
    ) -> float:
        """Run `call` that many times and return the seconds of all of them together.

        `between` is run before each call, and `keep` is given what the last call returned; neither
        is in the seconds, and no result is held during a later call.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class HarnessCosts:
    """What reading the clock and looping cost by themselves, in seconds.

    `clock_resolution_s` is the least difference of two reads of the clock, `clock_cost_s` what a
    read takes, `loop_cost_s` what a call of a function that does nothing reads as. The last is
    taken off every call.
    """

    clock_resolution_s: float
    clock_cost_s: float
    loop_cost_s: float


def calibrate(clock: Callable[[], float], *, reads: int = 1000, repeats: int = 30) -> HarnessCosts:
    """Measure the harness with its own clock; of many readings the quickest, the undisturbed."""
    times = [clock() for _ in range(reads)]
    steps = [later - earlier for earlier, later in pairwise(times)]
    resolution = min((step for step in steps if step > 0), default=0.0)
    loops = [_between_reads_s(clock, nothing, reads) / reads for _ in range(repeats)]
    return HarnessCosts(
        clock_resolution_s=resolution,
        clock_cost_s=max(0.0, statistics.median(steps)),
        loop_cost_s=max(0.0, min(loops)),
    )


def _between_reads_s(
    clock: Callable[[], float],
    call: Call,
    calls: int,
    between: Call = nothing,
    keep: Callable[[object], object] = drop,
) -> float:
    """Seconds of the calls, each between two reads of the clock."""
    elapsed = 0.0
    result: object = None
    for _ in repeat(None, calls):
        result = None  # or the next call would need memory beside it
        between()
        start = clock()
        result = call()
        elapsed += clock() - start
    keep(result)
    return elapsed


@cache
def harness_costs() -> HarnessCosts:
    """The costs of this process's clock and loop, measured once."""
    return calibrate(time.perf_counter)


class CpuStopwatch:
    """The monotonic clock around every call, less what an empty call reads as."""

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, costs: HarnessCosts | None = None
    ) -> None:
        self._clock = clock
        self._costs = costs or harness_costs()

    def measure(
        self,
        call: Call,
        calls: int,
        *,
        between: Call = nothing,
        keep: Callable[[object], object] = drop,
    ) -> float:
        """Seconds of `calls` calls, beyond those of as many empty ones."""
        elapsed = _between_reads_s(self._clock, call, calls, between, keep)
        return max(0.0, elapsed - calls * self._costs.loop_cost_s)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One reading: the mean of `calls` calls that followed each other; all values are per call."""

    time_s: float
    calls: int
    cpu_time_s: float | None = None
    minor_faults: float | None = None


def read(
    call: Call,
    stopwatch: Stopwatch,
    once_s: float,
    *,
    less_waiting: bool = False,
    between: Call = nothing,
    keep: Callable[[object], object] = drop,
    process: Callable[[], Usage] = read_process,
) -> Reading:
    """Read a call that takes some `once_s`: as many calls as fill READING_S.

    A short call is made once before, so that every reading finds the caches as warm as the last.
    `between` is run before every call and `keep` given the last result (see `Stopwatch`).
    With `less_waiting` the time for which this thread was ready and had no core is taken off: it
    is the machine's, and no call's. What the process computed for bounds that from below.
    """
    if once_s < COLD_S:
        call()
    calls = calls_a_reading(once_s)
    before = process()
    seconds = stopwatch.measure(call, calls, between=between, keep=keep)
    used = process().since(before)
    if less_waiting and used.waiting_s is not None and used.cpu_time_s is not None:
        seconds = max(seconds - used.waiting_s, min(seconds, used.cpu_time_s))
    return Reading(
        time_s=seconds / calls,
        calls=calls,
        cpu_time_s=None if used.cpu_time_s is None else used.cpu_time_s / calls,
        minor_faults=None if used.minor_faults is None else used.minor_faults / calls,
    )


def calls_a_reading(once_s: float) -> int:
    """How many calls fill a reading."""
    return max(1, math.ceil(READING_S / max(once_s, 1e-9)))


def quickest_s(
    call: Call, stopwatch: Stopwatch, *, for_s: float, clock: Callable[[], float] = time.monotonic
) -> float:
    """Seconds of a call in the quickest of the readings that fill so long, a few at least.

    The first call is not timed: it would include compilation, and the page faults of new memory.
    """
    call()
    once_s = stopwatch.measure(call, 1)
    times_s: list[float] = []
    began = clock()
    while len(times_s) < FEWEST_READINGS or clock() - began < for_s:
        times_s.append(read(call, stopwatch, once_s).time_s)
        once_s = min(once_s, times_s[-1])
    return min(times_s)
