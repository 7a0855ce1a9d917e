"""Warm-up: calls until their time is stationary and they touch no new memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.counters import Usage, read_process
from bench.pauses import Pause
from bench.timing import Call, Stopwatch

WARM_UP_AGREEMENT = 0.05
WARM_UP_READING_S = 1e-4
SHORT_CALL_S = 5e-3
AGREEING_READINGS = 2
AGREEING_SHORT_READINGS = 3
# A long call is warm after so many readings without new memory, whether they agree or not.
WARM_READINGS = 4
LONGEST_WARM_UP_READINGS = 50
LONGEST_WARM_UP_S = 1.0
FEWEST_SETTLING_READINGS = 6
SETTLED_FAULTS = 256  # of 4 KiB pages: 1 MiB
SAME_FAULTS = 0.1
STEADY_READINGS = 3


@dataclass(kw_only=True)
class WarmUp:
    """Readings until the time of a call is stationary: seconds and page faults per call.

    After each reading of a long call there is a pause, so that the last may count as samples.
    """

    readings: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)
    pauses: list[Pause | None] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether memory has settled, and times are stationary or cannot be waited for."""
        return _settled(self.faults) and (_stationary(self.readings) or self._is_long_enough)

    @property
    def _is_long_enough(self) -> bool:
        if len(self.readings) < 2:
            return False
        last = self.faults[-WARM_READINGS:]
        is_warm = len(last) == WARM_READINGS and max(last) <= SETTLED_FAULTS
        return (is_warm and self.readings[-1] >= SHORT_CALL_S) or (
            sum(self.readings) > LONGEST_WARM_UP_S
        )

    def samples(self) -> tuple[list[tuple[float, float]], list[Pause]]:
        """The last readings of a long call, if they agree, with faults, and the pauses around."""
        pauses: list[Pause] = []
        if not _stationary(self.readings):
            return [], []
        for pause in self.pauses[: -AGREEING_READINGS - 2 : -1]:
            if pause is None:
                break
            pauses.insert(0, pause)
        first = len(self.readings) - max(0, len(pauses) - 1)
        return list(zip(self.readings[first:], self.faults[first:], strict=True)), pauses


def warm_up(
    call: Call, stopwatch: Stopwatch, *, process: Callable[[], Usage] = read_process
) -> float:
    """Call until the time of a call is stationary; seconds per call of the last reading.

    Stationary means: the last three readings (of calls above 5 ms the last two) lie within 5 % of
    each other, and no memory is touched for the first time any more. Timing the first calls would
    include compilation, cold caches and the page faults of new memory. An allocator that gives its
    memory back faults for ever: as many faults in three readings are its steady state, as
    is what it does after FEWEST_SETTLING_READINGS. Once memory has settled, warming up ends after
    LONGEST_WARM_UP_S in any case, and that of long calls after WARM_READINGS without new memory.
    """
    return warmed_up(call, stopwatch, process, lambda readings: None).readings[-1]


def warmed_up(
    call: Call,
    stopwatch: Stopwatch,
    process: Callable[[], Usage],
    pause: Callable[[Sequence[float]], Pause | None],
) -> WarmUp:
    """All readings of a warm-up; after each, `pause` is given those so far."""
    found = WarmUp()
    calls = 1
    while len(found.readings) < LONGEST_WARM_UP_READINGS and not found.is_over:
        seconds, faults = read_calls(call, calls, stopwatch, process)
        found.readings.append(seconds / calls)
        found.faults.append(faults)
        found.pauses.append(pause(found.readings))
        if stopwatch.loops and 0 < seconds < WARM_UP_READING_S:
            calls = min(2 * calls, math.ceil(calls * WARM_UP_READING_S / seconds))
    return found


def _settled(faults: Sequence[float]) -> bool:
    if not faults:
        return False
    last = faults[-STEADY_READINGS:]
    steady = len(last) == STEADY_READINGS and max(last) - min(last) <= SAME_FAULTS * max(last)
    return faults[-1] <= SETTLED_FAULTS or steady or len(faults) > FEWEST_SETTLING_READINGS


def _stationary(readings: Sequence[float]) -> bool:
    needed = AGREEING_SHORT_READINGS if readings[-1] < SHORT_CALL_S else AGREEING_READINGS
    last = readings[-needed:]
    return len(last) == needed and max(last) - min(last) <= WARM_UP_AGREEMENT * min(last)


def read_calls(
    call: Call, calls: int, stopwatch: Stopwatch, process: Callable[[], Usage]
) -> tuple[float, float]:
    """Seconds of so many calls, and the page faults of one."""
    before = process()
    seconds = stopwatch.measure(call, calls)
    return seconds, (process().since(before).minor_faults or 0) / calls
