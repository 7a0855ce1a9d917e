"""Compares the speed of calls on a noisy machine: timed in turn, judged by ratios within a turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.timing.stopwatch import Stopwatch

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """How many times faster than the baseline; the quartiles are over the turns."""

    median: float
    lower_quartile: float
    upper_quartile: float
    turns: int


def speedups(
    baseline: Call, others: Mapping[str, Call], stopwatch: Stopwatch, *, turns: int
) -> dict[str, Speedup]:
    """Time the baseline and then every other call, turn by turn, after one warm-up turn.

    A turn's ratio compares neighbours in time, so that a slow minute slows both.
    """
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for turn in range(turns + 1):
        base_s = stopwatch.measure(baseline, 1)
        for name, call in others.items():
            ratio = base_s / stopwatch.measure(call, 1)
            if turn:
                ratios[name].append(ratio)
    return {name: _speedup(values) for name, values in ratios.items()}


def _speedup(ratios: list[float]) -> Speedup:
    lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return Speedup(median=median, lower_quartile=lower, upper_quartile=upper, turns=len(ratios))
