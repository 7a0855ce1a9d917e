"""What disturbed a visit: the operating system's counters, the spread of samples, the canary."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

try:
    import resource
except ImportError:  # Windows has no getrusage
    resource = None  # type: ignore[assignment]

Number = TypeVar("Number", int, float)

LARGEST_SPREAD = 0.10
LARGEST_RANGE = 0.25
LARGEST_DRIFT = 0.15
FEW_SAMPLES = 4
SWITCHES_PER_SECOND = 200.0
SHORTEST_JUDGED_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Counters of this process; None where the platform has no such counter."""

    wall_s: float
    cpu_time_s: float | None
    minor_faults: int | None
    involuntary_switches: int | None

    def since(self, earlier: Usage) -> Usage:
        """What was used between the two."""
        return Usage(
            wall_s=self.wall_s - earlier.wall_s,
            cpu_time_s=_less(self.cpu_time_s, earlier.cpu_time_s),
            minor_faults=_less(self.minor_faults, earlier.minor_faults),
            involuntary_switches=_less(self.involuntary_switches, earlier.involuntary_switches),
        )


def read_usage() -> Usage:
    """The counters now."""
    counters = None if resource is None else resource.getrusage(resource.RUSAGE_SELF)
    return Usage(
        wall_s=time.perf_counter(),
        cpu_time_s=time.process_time(),
        minor_faults=None if counters is None else counters.ru_minflt,
        involuntary_switches=None if counters is None else counters.ru_nivcsw,
    )


def reasons(
    samples_s: Sequence[float], usage: Usage, canary_s: float | None, earlier: Sequence[float]
) -> tuple[str, ...]:
    """Why a visit is noisy, in words; nothing if it is not.

    `earlier` are the canary's times in the visits before; its median is what it should take.
    """
    found = []
    spread = _spread(samples_s)
    if spread > (LARGEST_SPREAD if len(samples_s) >= FEW_SAMPLES else LARGEST_RANGE):
        found.append(f"samples spread by {spread:.0%}")
    if usage.involuntary_switches is not None and usage.wall_s > SHORTEST_JUDGED_S:
        rate = usage.involuntary_switches / usage.wall_s
        if rate > SWITCHES_PER_SECOND:
            found.append(f"preempted {rate:.0f} times a second")
    if canary_s is not None and len(earlier) >= 5:
        drift = canary_s / statistics.median(earlier) - 1.0
        if drift > LARGEST_DRIFT:
            found.append(f"canary {drift:.0%} slower than usual")
    return tuple(found)


def _spread(samples_s: Sequence[float]) -> float:
    """Interquartile range over median; of few samples, whose quartiles say little, the range."""
    if len(samples_s) < 2:
        return 0.0
    if len(samples_s) < FEW_SAMPLES:
        return (max(samples_s) - min(samples_s)) / statistics.median(samples_s)
    quartiles = statistics.quantiles(samples_s, n=4)
    return (quartiles[2] - quartiles[0]) / quartiles[1]


def _less(now: Number | None, before: Number | None) -> Number | None:
    return None if now is None or before is None else now - before
