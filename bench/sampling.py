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
from bench.pauses import Pause, Pauses
from bench.timing import Call, Stopwatch
from bench.warming import SAME_FAULTS, SETTLED_FAULTS, SHORT_CALL_S, read_calls, warmed_up

# A reading lasts at least this long, and at least so many times what the clock can tell apart,
# which is then below 0.1 % of it.
SHORTEST_READING_S = 1e-3
READING_IN_RESOLUTIONS = 1000
MOST_CALIBRATIONS = 4


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
    pauses = Pauses(canary, usual, usage, clock)

    def pause(readings: Sequence[float]) -> Pause | None:
        if readings[-1] < SHORT_CALL_S:
            return None
        if len(readings) > 1:  # the first call may compile for seconds
            pauses.patience_s = budget.patience * max(budget.visit_s, min(readings))
        return pauses.pause(with_usage=True)

    warm = warmed_up(call, stopwatch, process, pause)
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
        seconds, faults = read_calls(call, calls, stopwatch, process)
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
