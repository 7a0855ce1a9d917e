"""How one visit reads the clock: calibrated loops, warm-up, and a stopping rule.

Everything that touches time or a device comes in from outside, so that tests inject it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise, repeat
from typing import Protocol

from bench.counters import Usage, read_process, read_usage

# A reading lasts at least this long, and at least so many times what the clock can tell apart,
# which is then below 0.1 % of it.
SHORTEST_READING_S = 1e-3
READING_IN_RESOLUTIONS = 1000
MOST_CALIBRATIONS = 4
WARM_UP_AGREEMENT = 0.05
WARM_UP_READING_S = 1e-4
SHORT_CALL_S = 5e-3
AGREEING_READINGS = 2
AGREEING_SHORT_READINGS = 3
LONGEST_WARM_UP_READINGS = 50
LONGEST_WARM_UP_S = 1.0
FEWEST_SETTLING_READINGS = 6
SETTLED_FAULTS = 256  # of 4 KiB pages: 1 MiB
SAME_FAULTS = 0.1
STEADY_READINGS = 3

Call = Callable[[], object]


class Stopwatch(Protocol):
    """Seconds that `calls` calls take, the device synchronised before and after."""

    def measure(self, call: Call, calls: int) -> float:
        """Run `call` that many times and return the seconds of all of them together."""
        ...

    @property
    def loops(self) -> bool:
        """Whether several calls may share one reading."""
        ...

    @property
    def resolution_s(self) -> float:
        """The shortest time that the clock tells apart."""
        ...


@dataclass(frozen=True, kw_only=True)
class HarnessCosts:
    """What reading the clock and looping cost by themselves, in seconds.

    `clock_resolution_s` is the least difference of two reads of the clock, `clock_cost_s` what a
    read takes, `loop_cost_s` one turn of the loop around a function that does nothing. The last
    two are taken off every reading.
    """

    clock_resolution_s: float
    clock_cost_s: float
    loop_cost_s: float


def _nothing() -> None:
    pass


def calibrate(clock: Callable[[], float], *, reads: int = 1000, repeats: int = 30) -> HarnessCosts:
    """Measure the harness with its own clock; of many readings the quickest, the undisturbed."""
    times = [clock() for _ in range(reads)]
    steps = [later - earlier for earlier, later in pairwise(times)]
    resolution = min((step for step in steps if step > 0), default=0.0)
    clock_cost = statistics.median(steps)
    loops = []
    for _ in range(repeats):
        start = clock()
        for _ in repeat(None, reads):
            _nothing()
        loops.append((clock() - start - clock_cost) / reads)
    return HarnessCosts(
        clock_resolution_s=resolution,
        clock_cost_s=max(0.0, clock_cost),
        loop_cost_s=max(0.0, min(loops)),
    )


@cache
def harness_costs() -> HarnessCosts:
    """The costs of this process's clock and loop, measured once."""
    return calibrate(time.perf_counter)


class CpuStopwatch:
    """The monotonic clock around a loop of calls, less what clock and loop cost by themselves."""

    loops = True

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        costs: HarnessCosts | None = None,
    ) -> None:
        self._clock = clock
        self._costs = costs or harness_costs()

    @property
    def resolution_s(self) -> float:
        """The shortest time that the clock tells apart."""
        return self._costs.clock_resolution_s + self._costs.clock_cost_s

    def measure(self, call: Call, calls: int) -> float:
        """Seconds of `calls` calls, beyond those of as many empty ones."""
        clock = self._clock
        start = clock()
        for _ in repeat(None, calls):
            call()
        elapsed = clock() - start
        return max(0.0, elapsed - self._costs.clock_cost_s - calls * self._costs.loop_cost_s)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a visit may stop: `min_samples` always; then precision reached or `visit_s` spent."""

    visit_s: float = 0.2
    min_samples: int = 3
    max_samples: int = 1000
    precision: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one visit read. All values are per call; `usage` sums over all timed calls."""

    samples_s: tuple[float, ...]
    calls: int
    cpu_time_s: float | None
    minor_faults: float | None
    usage: Usage = field(repr=False)

    @property
    def time_s(self) -> float:
        """Median seconds per call."""
        return statistics.median(self.samples_s)


def sample(
    call: Call,
    stopwatch: Stopwatch,
    budget: Budget,
    *,
    usage: Callable[[], Usage] = read_usage,
) -> Reading:
    """Warm up, then read until the budget's rule is met."""
    once = warm_up(call, stopwatch)
    calls = calibrated_calls(call, stopwatch, once)
    before = usage()
    samples: list[float] = []
    spent = 0.0
    narrow = False
    while len(samples) < budget.max_samples:
        seconds = stopwatch.measure(call, calls)
        spent += seconds
        samples.append(seconds / calls)
        # Narrow twice in a row: the first time may be luck.
        was_narrow, narrow = narrow, half_width(samples) <= budget.precision
        if len(samples) >= budget.min_samples and (
            spent >= budget.visit_s or (narrow and was_narrow)
        ):
            break
    used = usage().since(before)
    total = calls * len(samples)
    return Reading(
        samples_s=tuple(samples),
        calls=calls,
        cpu_time_s=None if used.cpu_time_s is None else used.cpu_time_s / total,
        minor_faults=None if used.minor_faults is None else used.minor_faults / total,
        usage=used,
    )


def calibrated_calls(call: Call, stopwatch: Stopwatch, once_s: float) -> int:
    """How many calls share a reading, so that it is long beside what the clock tells apart.

    A warm-up that was disturbed overrates a call; the number grows until a reading is long enough.
    """
    shortest = max(SHORTEST_READING_S, READING_IN_RESOLUTIONS * stopwatch.resolution_s)
    if not stopwatch.loops or once_s >= shortest or once_s <= 0:
        return 1
    calls = math.ceil(shortest / once_s)
    for _ in range(MOST_CALIBRATIONS):
        seconds = stopwatch.measure(call, calls)
        if seconds >= 0.8 * shortest or seconds <= 0:
            break
        calls = math.ceil(calls * shortest / seconds)
    return calls


def warm_up(
    call: Call, stopwatch: Stopwatch, *, usage: Callable[[], Usage] = read_process
) -> float:
    """Call until the time of a call is stationary; seconds per call of the last reading.

    Stationary means: the last three readings (of calls above 5 ms the last two) lie within 5 % of
    each other, and no memory is touched for the first time any more. Timing the first calls would
    include compilation, cold caches and the page faults of new memory. An allocator that gives its
    memory back faults for ever: as many faults in three readings are its steady state, as
    is what it does after FEWEST_SETTLING_READINGS. Once memory has settled, warming up ends after
    LONGEST_WARM_UP_S in any case.
    """
    readings: list[float] = []
    spent = 0.0
    calls = 1
    all_faults: list[float] = []
    for number in range(LONGEST_WARM_UP_READINGS):
        before = usage()
        seconds = stopwatch.measure(call, calls)
        faults = (usage().since(before).minor_faults or 0) / calls
        spent += seconds
        readings.append(seconds / calls)
        all_faults.append(faults)
        if _settled(all_faults) and (
            _stationary(readings) or (number and spent > LONGEST_WARM_UP_S)
        ):
            break
        if stopwatch.loops and 0 < seconds < WARM_UP_READING_S:
            calls = min(2 * calls, math.ceil(calls * WARM_UP_READING_S / seconds))
    return readings[-1]


def _settled(faults: Sequence[float]) -> bool:
    last = faults[-STEADY_READINGS:]
    steady = len(last) == STEADY_READINGS and max(last) - min(last) <= SAME_FAULTS * max(last)
    return faults[-1] <= SETTLED_FAULTS or steady or len(faults) > FEWEST_SETTLING_READINGS


def _stationary(readings: Sequence[float]) -> bool:
    needed = AGREEING_SHORT_READINGS if readings[-1] < SHORT_CALL_S else AGREEING_READINGS
    last = readings[-needed:]
    return len(last) == needed and max(last) - min(last) <= WARM_UP_AGREEMENT * min(last)


def half_width(samples: Sequence[float]) -> float:
    """Half the approximate 95 % interval of the median, relative to it, from order statistics.

    The interval runs between the ranks n/2 ± 0.98·√n (binomial(n, 1/2), normal approximation).
    Infinite for fewer than six samples, which cannot give 95 %.
    """
    n = len(samples)
    if n < 6:
        return float("inf")
    ordered = sorted(samples)
    reach = 0.98 * n**0.5
    low = max(0, int(n / 2 - reach))
    high = min(n - 1, int(n / 2 + reach))
    middle = statistics.median(ordered)
    return (ordered[high] - ordered[low]) / 2 / middle if middle > 0 else 0.0
