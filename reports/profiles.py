"""Profile intervals: where a sum of squares stays below a threshold, one exponent at a time.

The interval {θᵥ : min over the rest of SSE(θ) ≤ threshold} is the likelihood-based confidence
interval of nonlinear regression (Bates and Watts 1988, section 6.1). The objective is evaluated at
many points at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from reports.monomials import Floats

Objective = Callable[[Floats], Floats]
"""The values at each row of an array of points."""

_COARSE_POINTS = {1: 41, 2: 13, 3: 9}
MOST_VARIABLES = 3
_WORTH = 1 - 1e-5  # a smaller gain is none: valleys along which nothing is known are long
_NEAR = 0.05
_PRECISION = 1e-3  # of an exponent: a hundredth of the default tolerance


@dataclass(frozen=True, kw_only=True)
class Search:
    """A minimum over a box, and the coarse grid that found it: its points and their values."""

    low: Floats
    high: Floats
    best: Floats
    value: float
    points: Floats
    grid: Floats


def search(objective: Objective, low: Floats, high: Floats, hint: Floats | None = None) -> Search:
    """The minimum over a box: a coarse grid, then closing in on its best point.

    Where a `hint` is better than every point of the grid, the minimum is sought near it.
    """
    count = _COARSE_POINTS[low.size]
    axes = [np.linspace(a, b, count) for a, b in zip(low, high, strict=True)]
    points = np.array(list(itertools.product(*axes)))
    grid = objective(points)
    start, step = points[int(grid.argmin())], (high - low) / (count - 1)
    if hint is not None and objective(hint[None])[0] < grid.min():
        start, step = hint, np.full(low.size, _NEAR)
    best, value = descend(objective, start, step, low, high)
    return Search(low=low, high=high, best=best, value=value, points=points, grid=grid)


def descend(
    objective: Objective,
    start: Floats,
    step: Floats,
    low: Floats,
    high: Floats,
    least_step: float = _PRECISION / 4,
) -> tuple[Floats, float]:
    """The nearest minimum, by trying a cube of points and making it smaller, to `least_step`.

    Where no corner is lower, the vertex of the parabola through the cube is tried, if it promises
    anything: valleys are narrow, and seldom along an axis.
    """
    best = start.copy()
    free = np.flatnonzero(step > 0)
    value = float(objective(best[None])[0])
    if not free.size:
        return best, value
    offsets = _cube(free.size)
    step = step / 2
    while step.max() > least_step:
        moves = np.zeros((len(offsets), start.size))
        moves[:, free] = offsets * step[free]
        trial = np.clip(best + moves, low, high)
        values = objective(trial)
        k = int(values.argmin())
        lower = values[k] < value * _WORTH
        if lower:
            further = np.clip(2 * trial[k] - best, low, high)
            best, value, gain = trial[k], float(values[k]), math.inf
        else:
            move, gain = _vertex(values, free.size)
            further = best.copy()
            further[free] += move * step[free]
            further = np.clip(further, low, high)
        there = float(objective(further[None])[0]) if gain > value * (1 - _WORTH) else math.inf
        if there < value * _WORTH:
            best, value = further, there
        elif not lower:  # closer, and the more so the nearer the vertex
            near = gain > 0 and (np.abs(further - best) <= step / 4).all()
            step = step / (4 if near else 2)
    return best, value


@cache
def _cube(size: int) -> Floats:
    return np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=size)))


def _vertex(values: Floats, size: int) -> tuple[Floats, float]:
    """The lowest point of the parabola through the values on a cube, and how much lower it is.

    In steps from the cube's middle, at most eight; the middle where the parabola has none.
    """
    if not np.isfinite(values).all():
        return np.zeros(size), 0.0
    found = _inverse(size) @ values
    slope, bends = found[1 : 1 + size], np.zeros((size, size))
    bends[np.triu_indices(size)] = found[1 + size :]
    bends = bends + bends.T
    if (bends[0, 0] if size == 1 else np.linalg.eigvalsh(bends)[0]) <= 0:
        return np.zeros(size), 0.0
    move = -slope / bends[0, 0] if size == 1 else -np.linalg.solve(bends, slope)
    gain = -float(slope @ move) / 2
    return np.asarray(move * min(1.0, 8.0 / max(float(np.abs(move).max()), 1e-300))), gain


@cache
def _inverse(size: int) -> Floats:
    """What turns values on a cube into a constant, slopes and products of a parabola."""
    cube = _cube(size)
    rows, columns = np.triu_indices(size)
    products = cube[:, rows] * cube[:, columns]
    return np.linalg.pinv(np.column_stack([np.ones(len(cube)), cube, products]))


def intervals(
    objective: Objective, found: Search, threshold: float, count: int
) -> tuple[tuple[float | None, float | None], ...]:
    """The ends of the profile of each of the first `count` entries; None where the box ends."""
    return tuple(
        (_edge(objective, found, threshold, v, -1), _edge(objective, found, threshold, v, 1))
        for v in range(count)
    )


def _edge(
    objective: Objective, found: Search, threshold: float, v: int, direction: int
) -> float | None:
    inside, at = float(found.best[v]), found.best
    # The region may have another part further out: start from the outermost grid point inside it.
    within = np.flatnonzero(found.grid <= threshold)
    if within.size:
        far = within[int((direction * found.points[within, v]).argmax())]
        if direction * (found.points[far, v] - inside) > 0:
            inside, at = float(found.points[far, v]), found.points[far]
    limit = float(found.high[v] if direction > 0 else found.low[v])
    if _fixed(objective, found, at, v, limit)[1] <= threshold:
        return None
    rise = _rise(objective(at[None])[0], found, threshold)
    stride = _PRECISION * 8
    while True:
        if abs(limit - inside) <= _PRECISION:
            return None
        outside = inside + direction * min(stride, abs(limit - inside))
        there, value = _fixed(objective, found, at, v, outside)
        if value > threshold:
            break
        inside, at, rise = outside, _ahead(at, there, v), _rise(value, found, threshold)
        stride = min(2 * stride, 0.25)
    beyond, halved = _rise(value, found, threshold), True
    while (gap := abs(outside - inside)) > _PRECISION:
        # The rise is about linear, as that of a parabola; where it misleads, the middle is tried.
        part = (1.0 - rise) / (beyond - rise) if halved and math.isfinite(beyond) else 0.5
        step = min(max(part * gap, _PRECISION / 2), gap - _PRECISION / 2)
        middle = inside + direction * step
        there, value = _fixed(objective, found, at, v, middle)
        if value > threshold:
            outside, beyond = middle, _rise(value, found, threshold)
        else:
            inside, at, rise = middle, there, _rise(value, found, threshold)
        halved = abs(outside - inside) <= gap / 2
    return (inside + outside) / 2


def _rise(value: float, found: Search, threshold: float) -> float:
    """The root of what a value lies above the minimum: 0 there, 1 at the threshold."""
    margin = max(threshold - found.value, 1e-300)
    return math.sqrt(max(value - found.value, 0.0) / margin)


def _ahead(before: Floats, now: Floats, v: int) -> Floats:
    """The point to start from next: as far again along the valley, at the same place on axis v."""
    ahead = 2 * now - before
    ahead[v] = now[v]
    return ahead


def _fixed(
    objective: Objective, found: Search, near: Floats, v: int, value: float
) -> tuple[Floats, float]:
    """The minimum with one exponent held, sought near a point."""
    start = np.clip(near, found.low, found.high)
    start[v] = value
    low, high = found.low.copy(), found.high.copy()
    low[v] = high[v] = value
    step = np.full(start.size, 0.04)
    step[v] = 0.0
    # The last parabola is good to far less than its cube.
    return descend(objective, start, step, low, high, least_step=4 * _PRECISION)
