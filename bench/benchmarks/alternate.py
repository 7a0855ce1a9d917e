"""Compares the speed of calls on a noisy machine: timed in turn, judged by ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.timing.stopwatch import READING_S, Stopwatch

Call = Callable[[], object]
FEWEST_TURNS = 7


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """How many times faster than the baseline.

    `quickest` compares the quickest readings of both, which other work on the machine disturbs
    least; the median and the quartiles are over the turns.
    """

    quickest: float
    median: float
    lower_quartile: float
    upper_quartile: float
    turns: int


def speedups(
    baseline: Call, others: Mapping[str, Call], stopwatch: Stopwatch, *, for_s: float
) -> dict[str, Speedup]:
    """Time the baseline and then every other call, turn by turn, after two warm-up calls of each.

    A reading fills a few milliseconds. A turn's ratio compares neighbours in time, so that a slow
    minute slows both. There are as many turns as fit into `for_s` seconds, FEWEST_TURNS at least.
    """
    calls = {"": baseline, **others}
    repeats: dict[str, int] = {}
    for name, call in calls.items():
        stopwatch.measure(call, 1)
        repeats[name] = max(1, round(READING_S / max(stopwatch.measure(call, 1), 1e-9)))
    readings: dict[str, list[float]] = {name: [] for name in calls}
    spent_s = 0.0
    while spent_s < for_s or len(readings[""]) < FEWEST_TURNS:
        for name, call in calls.items():
            reading_s = stopwatch.measure(call, repeats[name]) / repeats[name]
            readings[name].append(reading_s)
            spent_s += reading_s * repeats[name]
    base = readings.pop("")
    return {name: _speedup(base, one) for name, one in readings.items()}


def _speedup(base: list[float], readings: list[float]) -> Speedup:
    ratios = [before / after for before, after in zip(base, readings, strict=True)]
    lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return Speedup(
        quickest=min(base) / min(readings),
        median=median,
        lower_quartile=lower,
        upper_quartile=upper,
        turns=len(ratios),
    )
