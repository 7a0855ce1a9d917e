"""How one visit is timed: warm-up, calibrated loops, canaries beside them, and a stopping rule.

Everything that touches time or a device comes in from outside, so that tests inject it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.counters import Usage, read_process, read_usage
from bench.pace import Canary, Pace
from bench.timing import Call, Stopwatch

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
# A long call is warm after so many readings without new memory, whether they agree or not.
WARM_READINGS = 4
LONGEST_WARM_UP_READINGS = 50
LONGEST_WARM_UP_S = 1.0
FEWEST_SETTLING_READINGS = 6
SETTLED_FAULTS = 256  # of 4 KiB pages: 1 MiB
SAME_FAULTS = 0.1
STEADY_READINGS = 3


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a visit may stop: `min_samples` always; then precision reached or `visit_s` spent.

    One whose samples were disturbed may take `patience` times its samples and its time.
    """

    visit_s: float = 0.2
    min_samples: int = 3
    max_samples: int = 1000
    precision: float = 0.01
    patience: int = 3


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one visit read. All values are per call; `usage` sums over all timed calls.

    `undisturbed_s` are those of the samples that were taken at the machine's usual pace and touched
    no new memory. `canaries` were read before the first sample and after each.
    """

    samples_s: tuple[float, ...]
    undisturbed_s: tuple[float, ...]
    calls: int
    cpu_time_s: float | None
    minor_faults: float | None
    usage: Usage = field(repr=False)
    canaries: tuple[Canary, ...] = ()

    @property
    def time_s(self) -> float:
        """Median seconds per call, of the undisturbed samples if there are any."""
        return statistics.median(self.undisturbed_s or self.samples_s)


@dataclass(frozen=True, kw_only=True)
class _Pause:
    """Between two readings: the canary after the one, the canary before the other.

    `cpu_s` is what all canaries took until then; `usage` was read only if asked for.
    """

    after: Canary
    before: Canary
    cpu_s: float
    usage: Usage | None


class _Pauses:
    """Looks at what surrounds readings, and waits for the usual pace as long as patience lasts."""

    def __init__(
        self,
        canary: Callable[[], Canary] | None,
        usual: Pace | None,
        usage: Callable[[], Usage],
        clock: Callable[[], float],
    ) -> None:
        self.patience_s = 0.0
        self._canary, self._usual, self._usage, self._clock = canary, usual, usage, clock
        self._waited_s = self._cpu_s = 0.0

    @property
    def is_patient(self) -> bool:
        """Whether waiting may still help."""
        return self._waited_s < self.patience_s

    def pause(self, *, with_usage: bool = False) -> _Pause:
        """Look, and wait for the pace."""
        after = before = self._look()
        began = self._clock()
        while self.is_patient and not self.at_pace(before):
            before = self._look()
            now = self._clock()
            self._waited_s, began = self._waited_s + now - began, now
        usage = self._usage() if with_usage else None
        return _Pause(after=after, before=before, cpu_s=self._cpu_s, usage=usage)

    def at_pace(self, *canaries: Canary) -> bool:
        """Whether the machine ran at its usual pace, as far as that is known."""
        return self._usual is None or self._usual.holds(*canaries)

    def used_since(self, pause: _Pause) -> tuple[Usage, float | None]:
        """What was used since a pause, and the CPU time of it without that of canaries."""
        assert pause.usage is not None
        used = self._usage().since(pause.usage)
        if used.cpu_time_s is None:
            return used, None
        return used, max(0.0, used.cpu_time_s - (self._cpu_s - pause.cpu_s))

    def _look(self) -> Canary:
        if self._canary is None:
            return ()
        started = time.process_time()
        found = self._canary()
        self._cpu_s += time.process_time() - started
        return found


@dataclass(kw_only=True)
class _WarmUp:
    """Readings until the time of a call is stationary: seconds and page faults per call.

    After each reading of a long call there is a pause, so that the last may count as samples.
    """

    readings: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)
    pauses: list[_Pause | None] = field(default_factory=list)

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

    def samples(self) -> tuple[list[tuple[float, float]], list[_Pause]]:
        """The last readings of a long call, if they agree, with faults, and the pauses around."""
        pauses: list[_Pause] = []
        if not _stationary(self.readings):
            return [], []
        for pause in self.pauses[: -AGREEING_READINGS - 2 : -1]:
            if pause is None:
                break
            pauses.insert(0, pause)
        first = len(self.readings) - max(0, len(pauses) - 1)
        return list(zip(self.readings[first:], self.faults[first:], strict=True)), pauses


def sample(
    call: Call,
    stopwatch: Stopwatch,
    budget: Budget,
    *,
    canary: Callable[[], Canary] | None = None,
    usual: Pace | None = None,
    usage: Callable[[], Usage] = read_usage,
    process: Callable[[], Usage] = read_process,
    clock: Callable[[], float] = time.monotonic,
) -> Reading:
    """Warm up, then read until the budget's rule is met by undisturbed samples.

    `canary` times fixed pieces of work, and is read beside every sample; a sample beside which it
    left the `usual` pace is disturbed, and so is one that touched new memory. They do not count for
    the budget, nor does their time; after `patience` times its samples and its time the visit ends
    all the same. Before a sample the pace is waited for, in all `patience` times as long as samples
    or one call may take; once that was in vain, disturbed samples will do. Of long calls the
    readings that ended the warm-up are the first samples.
    """
    pauses = _Pauses(canary, usual, usage, clock)

    def pause(readings: Sequence[float]) -> _Pause | None:
        if readings[-1] < SHORT_CALL_S:
            return None
        if len(readings) > 1:  # the first call may compile for seconds
            pauses.patience_s = budget.patience * max(budget.visit_s, min(readings))
        return pauses.pause(with_usage=True)

    warm = _warm_up(call, stopwatch, process, pause)
    calls = calibrated_calls(call, stopwatch, warm.readings[-1])
    pauses.patience_s = budget.patience * max(budget.visit_s, min(warm.readings))
    samples: list[float] = []
    warmed, seen = warm.samples() if calls == 1 else ([], [])
    seen = seen or [pauses.pause(with_usage=True)]
    undisturbed: list[float] = []
    narrow = was_narrow = False

    def judge(faults: float) -> None:
        """Whether the last sample counts."""
        nonlocal narrow, was_narrow
        earlier, later = seen[len(samples) - 1 : len(samples) + 1]
        at_pace = pauses.at_pace(earlier.before, later.after)
        if at_pace and not _is_new_memory(faults, warm.faults[-1]):
            undisturbed.append(samples[-1])
            # Narrow twice in a row: the first time may be luck.
            was_narrow, narrow = narrow, half_width(undisturbed) <= budget.precision

    for one, faults in warmed:
        samples.append(one)
        judge(faults)
    while not _is_enough(
        budget,
        calls,
        samples,
        undisturbed if pauses.is_patient else samples,
        is_narrow=narrow and was_narrow,
    ):
        seconds, faults = _read(call, calls, stopwatch, process)
        samples.append(seconds / calls)
        seen.append(pauses.pause())
        judge(faults)
    used, cpu_s = pauses.used_since(seen[0])
    total = calls * len(samples)
    return Reading(
        samples_s=tuple(samples),
        undisturbed_s=tuple(undisturbed),
        calls=calls,
        cpu_time_s=None if cpu_s is None else cpu_s / total,
        minor_faults=None if used.minor_faults is None else used.minor_faults / total,
        usage=used,
        canaries=(seen[0].before, *(one.after for one in seen[1:])),
    )


def _is_enough(
    budget: Budget,
    calls: int,
    taken: Sequence[float],
    counting: Sequence[float],
    *,
    is_narrow: bool,
) -> bool:
    if len(taken) >= budget.max_samples:
        return True
    spent_s, counting_s = calls * sum(taken), calls * sum(counting)
    if len(counting) >= budget.min_samples and (counting_s >= budget.visit_s or is_narrow):
        return True
    patience = budget.patience
    return len(taken) >= patience * budget.min_samples and spent_s >= patience * budget.visit_s


def _is_new_memory(faults: float, usual: float) -> bool:
    return faults > SETTLED_FAULTS + (1 + SAME_FAULTS) * usual


def _read(
    call: Call, calls: int, stopwatch: Stopwatch, process: Callable[[], Usage]
) -> tuple[float, float]:
    """Seconds of so many calls, and the page faults of one."""
    before = process()
    seconds = stopwatch.measure(call, calls)
    return seconds, (process().since(before).minor_faults or 0) / calls


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
    return _warm_up(call, stopwatch, process, lambda readings: None).readings[-1]


def _warm_up(
    call: Call,
    stopwatch: Stopwatch,
    process: Callable[[], Usage],
    pause: Callable[[Sequence[float]], _Pause | None],
) -> _WarmUp:
    found = _WarmUp()
    calls = 1
    while len(found.readings) < LONGEST_WARM_UP_READINGS and not found.is_over:
        seconds, faults = _read(call, calls, stopwatch, process)
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
