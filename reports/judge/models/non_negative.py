"""Non-negative least squares where only the last few columns change, for many of these at once.

The solution with coefficients of zero or more is the plain least-squares solution on some subset of
the columns. Most columns of a law, overhead and lower-order terms, do not depend on its exponents:
their subsets are solved once, and a leading term then costs a few products for each of them (the
Schur complement; Golub & Van Loan 2013, section 3.2).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from reports.laws.monomials import Floats

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.intp]

MOST_LOWER = 3
"""Lower-order terms that may be there at once; two, where there are so many that it takes long."""
MOST_SUBSETS = 300
_RIDGE = 1e-12
_LEAST = -1e-9  # of a coefficient, columns having length 1: rounding
_INDEPENDENT = 1e-10  # of a column's square that the others must leave unexplained
_MOST_NUMBERS = 2_000_000  # in an array


@dataclass(frozen=True, kw_only=True, eq=False)
class Best:
    """The best value for each set of changing columns, and which columns have it."""

    values: Floats
    fixed: Numbers
    changing: Numbers


class FixedColumns:
    """Columns that stay, with the subsets of them that may be taken, solved for a target.

    `columns` is (rows, K), `sets` (S, K), and `counted` (S) what each set has to pay the price for.
    """

    def __init__(self, columns: Floats, target: Floats, sets: Mask, counted: Floats) -> None:
        self._columns = columns / column_lengths(columns)
        self._target, self._counted = target, counted
        size = columns.shape[1]
        right = target @ self._columns
        both = sets[:, :, None] & sets[:, None, :]
        gram = (self._columns.T @ self._columns) * both
        gram += np.eye(size) * np.where(sets, _RIDGE, 1.0)[:, :, None]
        inverse = np.linalg.inv(gram) * both
        self._inverse = inverse.reshape(len(sets) * size, size)
        self._alone = (self._inverse @ right).reshape(len(sets), size)
        self._right = right
        self._left = float(target @ target) - self._alone @ right
        self._possible = (self._alone >= _LEAST).all(axis=1)

    def best(self, changing: Floats, price: float = 0.0, *, without: int | None = None) -> Best:
        """The least priced sum of squares beside changing columns, (points, rows, L).

        `without` numbers one changing column that may not be taken. `changing` in the result is
        the set that was taken, its bits the columns.
        """
        step = max(1, _MOST_NUMBERS // max(self._alone.size * changing.shape[2], 1))
        parts = [
            self._some(changing[k : k + step], price, without)
            for k in range(0, len(changing), step)
        ]
        return Best(
            values=np.concatenate([one.values for one in parts]),
            fixed=np.concatenate([one.fixed for one in parts]),
            changing=np.concatenate([one.changing for one in parts]),
        )

    def _some(self, changing: Floats, price: float, without: int | None) -> Best:
        points, _, count = changing.shape
        sets, size = self._alone.shape
        changing = changing / column_lengths(changing)[:, None]
        shared = np.matmul(self._columns.T, changing)  # (points, K, L)
        along = np.matmul(self._inverse, shared).reshape(points, sets, size, count)
        own = np.matmul(changing.transpose(0, 2, 1), changing)
        bent = own[:, None] - np.matmul(shared.transpose(0, 2, 1)[:, None], along)
        left = (self._target @ changing)[:, None] - np.matmul(self._alone, shared)
        priced = self._left + price * self._counted
        value = np.broadcast_to(np.where(self._possible, priced, np.inf), (points, sets))
        taken = np.zeros((points, sets), dtype=np.intp)
        for some in _combinations(count, without):
            found, gain = _solved(bent, left, some)
            rest = self._alone - np.matmul(along[..., list(some)], found[..., None])[..., 0]
            fits = (found >= _LEAST).all(axis=2) & (rest >= _LEAST).all(axis=2)
            here = np.where(fits, priced - gain, np.inf)
            better = here < value
            value = np.where(better, here, value)
            taken = np.where(better, sum(1 << place for place in some), taken)
        chosen = value.argmin(axis=1)
        at = np.arange(points)
        return Best(
            values=np.maximum(value[at, chosen], price * self._counted[chosen]),
            fixed=chosen,
            changing=taken[at, chosen],
        )


def _solved(bent: Floats, left: Floats, some: tuple[int, ...]) -> tuple[Floats, Floats]:
    """The coefficients of some changing columns, and what they explain; NaN where they cannot."""
    if len(some) == 1:
        k = some[0]
        square, wanted = bent[:, :, k, k], left[:, :, k]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(square > _INDEPENDENT, wanted / square, np.nan)
        return np.asarray(found[..., None]), np.asarray(found * wanted)
    places = np.array(some)
    block, wanted = bent[:, :, places[:, None], places], left[:, :, places]
    block = block + np.eye(places.size) * _INDEPENDENT
    found = np.linalg.solve(block, wanted[..., None])[..., 0]
    return np.asarray(found), np.asarray((found * wanted).sum(axis=2))


def _combinations(count: int, without: int | None) -> list[tuple[int, ...]]:
    places = [k for k in range(count) if k != without]
    return [
        some for size in range(1, len(places) + 1) for some in itertools.combinations(places, size)
    ]


def column_lengths(columns: Floats) -> Floats:
    """The length of each column, the rows being the last axis but one; 1 for one of zeros."""
    most = np.abs(columns).max(axis=-2)
    most = np.where(most > 0, most, 1.0)  # squares of huge columns would be infinite
    lengths = most * np.sqrt(((columns / most[..., None, :]) ** 2).sum(axis=-2))
    return np.asarray(np.where(lengths > 0, lengths, 1.0))


def without_share(target: Floats, column: Floats, share: float) -> Floats:
    """What is left of a target beside a column with a share of the cell where it weighs most."""
    most = float((column / target).max())
    return np.asarray(target - column * (share / most if most > 0 else 0.0))


def least_squares(matrix: Floats, target: Floats) -> float:
    """The smallest sum of squared residuals with coefficients of zero or more."""
    from scipy.optimize import nnls

    if not matrix.shape[1]:
        return float(target @ target)
    _, norm = nnls(matrix / column_lengths(matrix), target, maxiter=20 * matrix.shape[1] + 50)
    return float(norm) ** 2


@cache
def allowed_sets(overheads: int, extra: int, lower: int, leading: int) -> tuple[Mask, Floats]:
    """The subsets of columns without exponents, a row each, and how many are lower-order terms."""
    first = overheads + extra
    free = list(itertools.product((False, True), repeat=first))
    picks: list[tuple[int, ...]] = []
    for most in range(MOST_LOWER + 1):
        more = list(itertools.combinations(range(first, first + lower), most))
        if most > 2 and (len(picks) + len(more)) * len(free) * 2**leading > MOST_SUBSETS:
            break
        picks += more
    rows = np.zeros((len(picks) * len(free), first + lower), dtype=np.bool_)
    for row, (pick, flags) in zip(rows, itertools.product(picks, free), strict=True):
        row[list(pick)] = True
        row[:first] = flags
    return rows, rows[:, first:].sum(axis=1).astype(np.float64)
