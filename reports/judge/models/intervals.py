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

from reports.judge.models.non_negative import Mask
from reports.laws.monomials import Floats

Objective = Callable[[Floats], Floats]
"""The values at each row of an array of points."""

_COARSE_POINTS = {1: 41, 2: 13, 3: 9}
MOST_VARIABLES = 3
_WORTH = 1 - 1e-5  # a smaller gain is none: valleys along which nothing is known are long
_NEAR = 0.05
_NEARBY = 0.02  # along a valley that is known
_FAR_ABOVE = 4.0  # by the root of the sum of squares, 1 being the threshold
_PRECISION = 1e-3  # of an exponent: a hundredth of the default tolerance
_PART = 0.02  # of half an interval: between such values its end is interpolated
LEAST_STEP = _PRECISION / 4
_BOWL = 1.1  # times the value here: what a cube rises to that shows the bowl that it lies in


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
    least_step: float = LEAST_STEP,
) -> tuple[Floats, float]:
    """The nearest minimum, by trying a cube of points and making it smaller, to `least_step`."""
    best, values = _descend(objective, start[None], step[None], low, high, least_step)
    return best[0], float(values[0])


def _descend(
    objective: Objective,
    starts: Floats,
    steps: Floats,
    low: Floats,
    high: Floats,
    least_step: float,
) -> tuple[Floats, Floats]:
    """The minima nearest to some starts, all at once: a call costs much more than a point.

    An entry whose step is 0 is held; in each row equally many are. Where no corner of a row's cube
    is lower, the vertex of the parabola through the cube is tried, if it promises anything:
    valleys are narrow, and seldom along an axis.
    """
    best, values = starts.copy(), objective(starts)
    count = int((steps[0] > 0).sum())
    if not count:
        return best, values
    free = np.array([np.flatnonzero(one > 0) for one in steps])
    step = np.take_along_axis(steps, free, axis=1) / 2
    offsets = _cube(count)
    rows = np.flatnonzero(step.max(axis=1) > least_step)
    while rows.size:
        here, places = best[rows], free[rows]
        moves = np.zeros((rows.size, len(offsets), starts.shape[1]))
        along = np.broadcast_to(places[:, None], (rows.size, len(offsets), count))
        np.put_along_axis(moves, along, offsets * step[rows, None], axis=2)
        trial = np.clip(here[:, None] + moves, low, high)
        found = objective(trial.reshape(-1, starts.shape[1])).reshape(rows.size, -1)
        at = np.arange(rows.size)
        corner = found.argmin(axis=1)
        lower = found[at, corner] < values[rows] * _WORTH
        vertex, gain, bowl = _vertices(found, count)
        ahead = here.copy()
        np.put_along_axis(
            ahead, places, np.take_along_axis(here, places, 1) + vertex * step[rows], axis=1
        )
        ahead = np.where(lower[:, None], 2 * trial[at, corner] - here, ahead)
        ahead = np.clip(ahead, low, high)
        best[rows] = np.where(lower[:, None], trial[at, corner], here)
        values[rows] = np.where(lower, found[at, corner], values[rows])
        worth = lower | (gain > values[rows] * (1 - _WORTH))
        there = np.full(rows.size, np.inf)
        if worth.any():
            there[worth] = objective(ahead[worth])
        better = there < values[rows] * _WORTH
        move = np.abs(ahead - here).max(axis=1)
        near = (gain > 0) & (move <= step[rows].max(axis=1) / 4)
        best[rows] = np.where(better[:, None], ahead, best[rows])
        values[rows] = np.where(better, there, values[rows])
        # Closer, and the more so the nearer the vertex; wider where even twice as far was better.
        factor = np.select([better & lower, better | lower, near], [2.0, 1.0, 0.25], 0.5)
        # Done, too, where the lowest point of a bowl is as good as here.
        settled = bowl & (move <= least_step) & (found.max(axis=1) <= _BOWL * values[rows])
        step[rows] *= np.where(settled, 0.0, factor)[:, None]
        rows = rows[step[rows].max(axis=1) > least_step]
    return best, values


@cache
def _cube(size: int) -> Floats:
    return np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=size)))


def _vertices(values: Floats, size: int) -> tuple[Floats, Floats, Mask]:
    """The lowest point of the parabola through each row's cube, how much lower it is, and if it is.

    In steps from the cube's middle, at most eight; the middle where the parabola has none.
    """
    slopes, bends = _parabolas(values, size)
    least = bends[:, 0, 0] if size == 1 else np.linalg.eigvalsh(bends)[:, 0]
    bowl = least > 0
    moves = np.zeros_like(slopes)
    moves[bowl] = -np.linalg.solve(bends[bowl], slopes[bowl][..., None])[..., 0]
    gains = -(slopes * moves).sum(axis=1) / 2
    nearer = np.minimum(1.0, 8.0 / np.maximum(np.abs(moves).max(axis=1), 1e-300))
    return moves * nearer[:, None], gains, bowl


def _parabolas(values: Floats, size: int) -> tuple[Floats, Floats]:
    """The slopes and the matrix of second derivatives of the parabola through each row's cube."""
    found = values @ _inverse(size).T
    rows, columns = np.triu_indices(size)
    bends = np.zeros((len(values), size, size))
    bends[:, rows, columns] = found[:, 1 + size :]
    return found[:, 1 : 1 + size], bends + bends.transpose(0, 2, 1)


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
    spread = _spread(objective, found)
    edges = [
        _Edge(found, threshold, v, direction, spread) for v in range(count) for direction in (-1, 1)
    ]
    while asked := [(edge, at) for edge in edges if (at := edge.next()) is not None]:
        starts = np.clip([edge.start(at) for edge, at in asked], found.low, found.high)
        steps = np.full(starts.shape, _NEARBY)
        for row, (edge, at) in enumerate(asked):
            starts[row, edge.v], steps[row, edge.v] = at, 0.0
        # The last parabola is good to far less than its cube.
        points, values = _descend(
            objective, starts, steps, found.low, found.high, least_step=4 * _PRECISION
        )
        for (edge, at), point, value in zip(asked, points, values, strict=True):
            edge.tell(at, point, float(value))
    return tuple((edges[2 * v].end, edges[2 * v + 1].end) for v in range(count))


def _spread(objective: Objective, found: Search) -> Floats:
    """The inverse of the second derivatives at the minimum; 0 where it is no bowl."""
    size = found.best.size
    trial = np.clip(found.best + 4 * _PRECISION * _cube(size), found.low, found.high)
    bends = _parabolas(objective(trial)[None], size)[1][0] / (4 * _PRECISION) ** 2
    if np.linalg.eigvalsh(bends)[0] <= 0:
        return np.zeros((size, size))
    return np.asarray(np.linalg.inv(bends))


class _Edge:
    """The search for one end of one profile: which value to hold next, and what came of it."""

    def __init__(
        self, found: Search, threshold: float, v: int, direction: int, spread: Floats
    ) -> None:
        self.v = v
        self.end: float | None = None
        self._direction, self._found, self._threshold = direction, found, threshold
        self._best = float(found.best[v])
        self._inside, self._at, self._rise = self._best, found.best, 0.0
        # The region may have another part further out: start from its outermost grid point.
        within = np.flatnonzero(found.grid <= threshold)
        if within.size:
            far = within[int((direction * found.points[within, v]).argmax())]
            if direction * (found.points[far, v] - self._inside) > 0:
                self._inside, self._at = float(found.points[far, v]), found.points[far]
                self._rise = self._rise_of(float(found.grid[far]))
        self._limit = float(found.high[v] if direction > 0 else found.low[v])
        self._outside: float | None = None
        self._beyond, self._halved = math.inf, True
        own = float(spread[v, v])
        self._valley = spread[v] / own if own > 0 else np.zeros(found.best.size)
        margin = max(threshold - found.value, 0.0)
        guess = 1.05 * math.sqrt(2 * margin * own) * (1 - self._rise)
        self._stride = min(max(guess, 8 * _PRECISION), 0.25)
        at_limit = found.grid[found.points[:, v] == self._limit]
        # Where the grid lies far above it all along the box's end, the profile does not reach it.
        self._asked_limit = (
            bool(at_limit.size) and self._rise_of(float(at_limit.min())) > _FAR_ABOVE
        )
        self._done = False

    def next(self) -> float | None:
        """The value to hold; None if there is nothing more to ask."""
        if self._done:
            return None
        if not self._asked_limit:
            return self._limit
        if self._outside is None:
            if abs(self._limit - self._inside) <= _PRECISION:
                self._done = True
                return None
            step = min(self._stride, abs(self._limit - self._inside))
            return self._inside + self._direction * step
        gap = abs(self._outside - self._inside)
        if gap <= max(_PRECISION, _PART * abs(self._inside - self._best)):
            self.end, self._done = self._inside + self._direction * self._part() * gap, True
            return None
        # Where the rise misleads, the middle is tried.
        part = self._part() if self._halved else 0.5
        step = min(max(part * gap, _PRECISION / 2), gap - _PRECISION / 2)
        return self._inside + self._direction * step

    def _part(self) -> float:
        """Where the threshold lies between inside and outside: the rise is about linear."""
        if not math.isfinite(self._beyond):
            return 0.5
        return (1.0 - self._rise) / (self._beyond - self._rise)

    def start(self, at: float) -> Floats:
        """Where to look for the rest: along the valley."""
        return np.asarray(self._at + (at - self._inside) * self._valley)

    def tell(self, at: float, point: Floats, value: float) -> None:
        """What the profile is there."""
        if not self._asked_limit:
            self._asked_limit, self._done = True, value <= self._threshold
            return
        before = None if self._outside is None else abs(self._outside - self._inside)
        if value > self._threshold:
            self._outside, self._beyond = at, self._rise_of(value)
        else:
            if abs(at - self._inside) > 0:
                self._valley = (point - self._at) / (at - self._inside)
            self._inside, self._at, self._rise = at, point, self._rise_of(value)
            self._stride = min(2 * self._stride, 0.25)
        if before is not None and self._outside is not None:
            self._halved = abs(self._outside - self._inside) <= before / 2

    def _rise_of(self, value: float) -> float:
        """The root of what a value lies above the minimum: 0 there, 1 at the threshold."""
        margin = max(self._threshold - self._found.value, 1e-300)
        return math.sqrt(max(value - self._found.value, 0.0) / margin)
