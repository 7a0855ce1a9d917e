"""Non-negative least squares where only the last few columns change, for many of these at once.

The solution with coefficients of zero or more is the plain least-squares solution on some subset of
the columns. Most columns of a law, overhead and lower-order terms, do not depend on its exponents:
their subsets are solved once, and a leading term then costs a few products for each of them (the
Schur complement; Golub & Van Loan 2013, section 3.2).
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import numpy.typing as npt

from reports.laws.monomials import Floats

Mask = npt.NDArray[np.bool_]

MOST_LOWER = 3
"""Lower-order terms that may be there at once; two, where there are so many that it takes long."""
MOST_SUBSETS = 300
_RIDGE = 1e-12
_LEAST = -1e-9  # of a coefficient, columns having length 1: rounding
_INDEPENDENT = 1e-10  # of a column's square that the others must leave unexplained
_MOST_NUMBERS = 2_000_000  # in an array


class FixedColumns:
    """Columns that stay, with the subsets of them that may be taken, solved for a target.

    `columns` is (rows, K) and `sets` (S, K).
    """

    def __init__(self, columns: Floats, target: Floats, sets: Mask) -> None:
        self._columns = columns / column_lengths(columns)
        self._target = target
        right = target @ self._columns
        kept = sets[:, :, None] & sets[:, None, :]
        inverse = np.linalg.inv(restricted(self._columns.T @ self._columns, sets)) * kept
        self._inverse = inverse.reshape(sets.size, right.size)
        self._alone = (self._inverse @ right).reshape(sets.shape)
        self._left = float(target @ target) - self._alone @ right

    def squares(self, changing: Floats) -> Floats:
        """The least sum of squares of every subset, beside changing columns (points, rows, L).

        (points, S · 2^L): each set, with each choice of changing columns in the order of
        `choices`; ∞ where a coefficient would be negative.
        """
        step = max(1, _MOST_NUMBERS // max(self._alone.size * changing.shape[2], 1))
        if len(changing) <= step:
            return self._some(changing)
        starts = range(0, len(changing), step)
        return np.concatenate([self._some(changing[k : k + step]) for k in starts])

    def _some(self, changing: Floats) -> Floats:
        changing = changing / column_lengths(changing)[:, None]
        shared = np.matmul(self._columns.T, changing)  # (points, K, L)
        along = np.matmul(self._inverse, shared)
        along = along.reshape(len(changing), *self._alone.shape, changing.shape[2])
        own = np.matmul(changing.transpose(0, 2, 1), changing)
        bent = own[:, None] - np.matmul(shared.transpose(0, 2, 1)[:, None], along)
        left = (self._target @ changing)[:, None] - np.matmul(self._alone, shared)
        alone = self._squares(np.asarray((self._alone >= _LEAST).all(axis=1)), 0.0)
        every = choices(changing.shape[2])
        found = np.empty((len(changing), alone.size, len(every)))
        found[..., 0] = alone
        for k, choice in enumerate(every[1:], start=1):
            least, gain, moved = _solved(bent, left, along, np.flatnonzero(choice))
            fits = (least >= _LEAST) & (self._alone - moved >= _LEAST).all(axis=2)
            found[..., k] = self._squares(fits, gain)
        return found.reshape(len(changing), -1)

    def _squares(self, fits: Mask, gain: Floats | float) -> Floats:
        return np.where(fits, np.maximum(self._left - gain, 0.0), np.inf)


def _solved(
    bent: Floats, left: Floats, along: Floats, places: npt.NDArray[np.intp]
) -> tuple[Floats, Floats, Floats]:
    """Changing columns: their least coefficient, what they explain and what they take from others.

    NaN where they cannot be told from others.
    """
    if places.size == 1:
        (k,) = places
        square, wanted = bent[..., k, k], left[..., k]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(square > _INDEPENDENT, wanted / square, np.nan)
        return found, found * wanted, along[..., k] * found[..., None]
    block, wanted = bent[:, :, places[:, None], places], left[:, :, places]
    found = np.linalg.solve(block + np.eye(places.size) * _INDEPENDENT, wanted[..., None])
    moved = np.matmul(along[..., places], found)[..., 0]
    return found.min(axis=(2, 3)), (found[..., 0] * wanted).sum(axis=2), moved


@cache
def choices(count: int) -> Mask:
    """Every subset of so many columns, a row each, the smallest first."""
    rows = sorted(itertools.product((True, False), repeat=count), key=sum)
    return np.array(rows, dtype=np.bool_)


def restricted(gram: Floats, sets: Mask) -> Floats:
    """Products of columns among each set alone, (…, K, K); what is not in it stands by itself."""
    kept = sets[:, :, None] & sets[:, None, :]
    return gram * kept + np.eye(sets.shape[1]) * np.where(sets, _RIDGE, 1.0)[:, :, None]


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
def allowed_sets(first: int, lower: int, leading: int) -> Mask:
    """The subsets of columns without exponents, a row each: the first ones, then lower terms."""
    picks: list[tuple[int, ...]] = []
    for most in range(MOST_LOWER + 1):
        more = list(itertools.combinations(range(lower), most))
        if most > 2 and (len(picks) + len(more)) * 2 ** (first + leading) > MOST_SUBSETS:
            break
        picks += more
    rows = [(*flags, *np.isin(range(lower), pick)) for pick in picks for flags in choices(first)]
    return np.array(rows, dtype=np.bool_).reshape(len(rows), first + lower)


@cache
def with_choices(first: int, lower: int, leading: int) -> Mask:
    """The `allowed_sets`, each with every choice of so many leading terms."""
    sets = allowed_sets(first, lower, leading)
    return np.array([[*one, *lead] for one in sets for lead in choices(leading)])
