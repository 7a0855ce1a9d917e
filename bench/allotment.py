"""Which cells limited time is best spent on: those whose visits narrow the exponents most.

The rule. The judge fits T = c0 + c·n^a·d^b on relative residuals. To first order a cell informs c0
by its overhead's share o, and ln c, a and b by (1 - o)·(1, ln n, ln d); the smallest time of a
series stands for its overhead. A cell that was visited m times weighs 1 / (misfit² + scatter²/m).
Of all visits the next one is that which takes most off the variance of the exponents, per second
of its cost (greedy A-optimal design; Fedorov 1972); a series with wide intervals thus comes first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

MISFIT = 0.02  # of a cell about its law, which no repetition takes away
LEAST_SCATTER = 0.01
# What is known before any visit: next to nothing, but finite.
PRIOR_WEIGHT = 1e-3


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A cell that could be visited: its series, sizes, what is known and what a visit costs.

    `scatter` is the relative standard deviation of a visit's median; `call_s` None where no time
    is known.
    """

    series: str
    seq_len: int
    d_model: int
    call_s: float | None
    visits: int
    scatter: float
    cost_s: float


def allot(candidates: Sequence[Candidate], seconds: float) -> list[int]:
    """Indices of the candidates to visit, each once at most, within the seconds."""
    chosen: list[int] = []
    series = _series(candidates)
    open_ = set(range(len(candidates)))
    gains: dict[int, float] = {}
    changed = set(series)
    left = seconds
    while True:
        for index in open_:
            one = candidates[index]
            if one.series in changed:
                gains[index] = series[one.series].gain(one) / one.cost_s
        open_ = {index for index in open_ if candidates[index].cost_s <= left}
        if not open_:
            return chosen
        best = max(open_, key=lambda index: (gains[index], -index))
        open_.discard(best)
        chosen.append(best)
        left -= candidates[best].cost_s
        series[candidates[best].series].add(candidates[best])
        changed = {candidates[best].series}


class _Information:
    """What the visits of one series tell of its exponents."""

    def __init__(self, members: Sequence[Candidate]) -> None:
        times = [one.call_s for one in members if one.call_s]
        self._overhead_s = min(times, default=0.0)
        self._centre = (
            sum(math.log(one.seq_len) for one in members) / len(members),
            sum(math.log(one.d_model) for one in members) / len(members),
        )
        self._covariance: Vector = np.eye(4) / PRIOR_WEIGHT
        for one in members:
            if one.visits:
                self._update(self._row(one), _weight(one.visits, one.scatter))

    def gain(self, one: Candidate) -> float:
        """By how much another visit lowers the sum of both exponents' variances."""
        row = self._row(one)
        weight = _weight(one.visits + 1, one.scatter) - _weight(one.visits, one.scatter)
        spread = self._covariance @ row
        return float(weight * (spread[2:] @ spread[2:]) / (1.0 + weight * (row @ spread)))

    def add(self, one: Candidate) -> None:
        """Count another visit."""
        weight = _weight(one.visits + 1, one.scatter) - _weight(one.visits, one.scatter)
        self._update(self._row(one), weight)

    def _update(self, row: Vector, weight: float) -> None:
        spread = self._covariance @ row
        self._covariance = self._covariance - np.outer(spread, spread) * (
            weight / (1.0 + weight * (row @ spread))
        )

    def _row(self, one: Candidate) -> Vector:
        overhead = min(1.0, self._overhead_s / one.call_s) if one.call_s else 0.0
        growth = 1.0 - overhead
        n = math.log(one.seq_len) - self._centre[0]
        d = math.log(one.d_model) - self._centre[1]
        return np.array([overhead, growth, growth * n, growth * d])


def _series(candidates: Sequence[Candidate]) -> dict[str, _Information]:
    members: dict[str, list[Candidate]] = defaultdict(list)
    for one in candidates:
        members[one.series].append(one)
    return {name: _Information(own) for name, own in members.items()}


def _weight(visits: int, scatter: float) -> float:
    if visits == 0:
        return 0.0
    return 1.0 / (MISFIT**2 + max(scatter, LEAST_SCATTER) ** 2 / visits)
