"""Profile regions: where a sum of squares stays below a threshold, one exponent at a time.

The region {θ : SSE(θ) ≤ threshold} is the likelihood-based confidence region of nonlinear
regression (Bates and Watts 1988, section 6.1); its extent along each axis is found by fixing that
exponent and minimising over the others, so that trade-offs between exponents are kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reports.monomials import Floats

Objective = Callable[[Floats], float]

_COARSE_POINTS = {1: 33, 2: 17, 3: 9}
MOST_VARIABLES = max(_COARSE_POINTS)
_PRECISION = 1e-3  # of an exponent: a hundredth of the default tolerance


@dataclass(frozen=True, kw_only=True)
class Search:
    """A minimum over a box and the coarse grid that found it."""

    low: Floats
    high: Floats
    best: Floats
    sse: float
    axes: tuple[Floats, ...]
    grid: Floats


def search(objective: Objective, low: Floats, high: Floats) -> Search:
    """The minimum over a box: a coarse grid, then zooming in on its best point."""
    points = _COARSE_POINTS[low.size]
    axes = tuple(np.linspace(a, b, points) for a, b in zip(low, high, strict=True))
    grid = np.array([objective(np.array(at)) for at in itertools.product(*axes)])
    grid = grid.reshape((points,) * low.size)
    place = np.unravel_index(int(grid.argmin()), grid.shape)
    start = np.array([axis[i] for axis, i in zip(axes, place, strict=True)])
    best, sse = descend(objective, start, (high - low) / (points - 1), low, high)
    return Search(low=low, high=high, best=best, sse=sse, axes=axes, grid=grid)


def descend(
    objective: Objective, start: Floats, step: Floats, low: Floats, high: Floats
) -> tuple[Floats, float]:
    """The nearest minimum by pattern search (Hooke and Jeeves 1961), to a thousandth."""
    best, value = start.copy(), objective(start)
    step = step / 2
    while step.size and step.max() > _PRECISION / 4:
        improved = False
        before = best.copy()
        for v, sign in itertools.product(range(best.size), (-1.0, 1.0)):
            trial = best.copy()
            trial[v] = min(max(trial[v] + sign * step[v], low[v]), high[v])
            found = objective(trial)
            if found < value:
                best, value, improved = trial, found, True
        if improved:  # a valley is seldom along an axis: try the whole move once more
            trial = np.clip(2 * best - before, low, high)
            found = objective(trial)
            if found < value:
                best, value = trial, found
        else:
            step = step / 2
    return best, value


def extent(
    objective: Objective, found: Search, threshold: float
) -> tuple[tuple[float | None, float | None], ...]:
    """Lowest and highest value of each exponent in the region; None where it reaches the box."""
    return tuple(
        (_edge(objective, found, threshold, v, -1), _edge(objective, found, threshold, v, 1))
        for v in range(found.best.size)
    )


def _edge(
    objective: Objective, found: Search, threshold: float, v: int, direction: int
) -> float | None:
    others = tuple(k for k in range(found.best.size) if k != v)
    axis = found.axes[v]
    step = axis[1] - axis[0]
    inside, at = float(found.best[v]), found.best
    # The region may have another part further out: start from the outermost grid point inside it.
    profile = found.grid.min(axis=others) if others else found.grid
    within = np.flatnonzero(profile <= threshold)
    if within.size:
        far = int(within[-1] if direction > 0 else within[0])
        if direction * (axis[far] - inside) > 0:
            inside = float(axis[far])
            rest = np.unravel_index(int(found.grid.take(far, axis=v).argmin()), _rest(found, v))
            place = [int(i) for i in rest]
            place.insert(v, far)
            at = np.array([a[i] for a, i in zip(found.axes, place, strict=True)])
    limit = float(found.high[v] if direction > 0 else found.low[v])
    outside = inside
    stride = _PRECISION * 8
    while True:
        if abs(limit - inside) <= _PRECISION:
            return None
        outside = inside + direction * min(stride, abs(limit - inside))
        there, value = _fixed(objective, found, at, v, outside)
        if value > threshold:
            break
        inside, at = outside, there
        stride = min(2 * stride, step)
    while abs(outside - inside) > _PRECISION:
        middle = (inside + outside) / 2
        there, value = _fixed(objective, found, at, v, middle)
        if value > threshold:
            outside = middle
        else:
            inside, at = middle, there
    return (inside + outside) / 2


def _rest(found: Search, v: int) -> tuple[int, ...]:
    return tuple(size for k, size in enumerate(found.grid.shape) if k != v)


def _fixed(
    objective: Objective, found: Search, near: Floats, v: int, value: float
) -> tuple[Floats, float]:
    """The minimum with one exponent held, sought near a point."""
    start = near.copy()
    start[v] = value
    low, high = found.low.copy(), found.high.copy()
    low[v] = high[v] = value
    step = np.full(start.size, 0.04)
    step[v] = 0.0
    return descend(objective, start, step, low, high)
