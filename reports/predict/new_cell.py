"""What a newly measured cell costs, by the laws of an ensemble and the error of one cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import stdtr, stdtrit

from reports.judge.compatible.ensemble import LARGEST_SIZE, Ensemble
from reports.laws.monomials import Floats

_CLOSE = 1e-9  # of a logarithm


def cost_by_count(ensemble: Ensemble, sizes: Mapping[str, float]) -> float:
    """The cost that a cell has, where cells have no error."""
    return float(ensemble.costs(sizes)[0])


def chance_of(ensemble: Ensemble, sizes: Mapping[str, float], cost: float) -> float:
    """The chance that a new cell of these sizes costs at most so much."""
    return _below(ensemble, _logs(ensemble, sizes), math.log(cost))


def costs_at(
    ensemble: Ensemble, sizes: Mapping[str, float], chances: tuple[float, ...]
) -> list[float]:
    """The costs that a new cell stays below with these chances."""
    if ensemble.certain:
        return [cost_by_count(ensemble, sizes)] * len(chances)
    logs = _logs(ensemble, sizes)
    return [_cost(ensemble, logs, chance) for chance in chances]


def _logs(ensemble: Ensemble, sizes: Mapping[str, float]) -> Floats:
    return np.asarray(np.log(np.maximum(ensemble.costs(sizes), 1e-300)))


def _below(ensemble: Ensemble, logs: Floats, log_cost: float) -> float:
    return float(stdtr(ensemble.free, (log_cost - logs) / ensemble.error).mean())


def _cost(ensemble: Ensemble, logs: Floats, chance: float) -> float:
    """The cost that a new cell exceeds with the remaining chance, by bisection."""
    far = ensemble.error * float(stdtrit(ensemble.free, max(chance, 1 - chance)))
    low, high = float(logs.min()) - far, float(logs.max()) + far
    while high - low > _CLOSE:
        middle = (low + high) / 2
        if _below(ensemble, logs, middle) < chance:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def last_fitting(fits: Callable[[int], bool]) -> int:
    """The last whole number that fits, where all up to some number do: 0 to LARGEST_SIZE."""
    if not fits(1):
        return 0
    if fits(LARGEST_SIZE):
        return LARGEST_SIZE
    low, high = 1, LARGEST_SIZE
    while high - low > 1:
        middle = math.isqrt(low * high) if high > 4 * low else (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low
