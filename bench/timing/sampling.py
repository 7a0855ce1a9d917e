"""How a call is read: one reading fills a few milliseconds, and a quiet one takes many of them.

Everything that touches time or a device comes in from outside, so that tests inject it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.machine.os_counters import Usage, read_process
from bench.timing.stopwatch import Call, Stopwatch, drop, nothing

# Some twenty thousand times what a clock tells apart, and short beside most spells of disturbance.
READING_S = 3e-3
# A shorter call is visibly slower while its data are in no cache, so one goes before its reading.
COLD_S = 1e-2
FEWEST_READINGS = 3


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
