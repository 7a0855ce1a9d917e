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
Places = npt.NDArray[np.intp]

MOST_LOWER = 3
"""Lower-order terms that may be there at once; two, where there are so many that it takes long."""
MOST_SUBSETS = 300
_RIDGE = 1e-12
_LEAST = -1e-9  # of a coefficient, columns having length 1: rounding
_INDEPENDENT = 1e-10  # of a column's square that the others must leave unexplained
_MOST_NUMBERS = 2_000_000  # in an array


class FixedColumns:
    """Columns that stay, with the subsets of them that may be taken, solved for a target.

    `columns` is (rows, K), or (J, rows, K) for J problems that differ in them, and `sets` (S, K).
    """

    def __init__(self, columns: Floats, target: Floats, sets: Mask) -> None:
        columns = columns if columns.ndim == 3 else columns[None]
        columns = columns / column_lengths(columns)[:, None]
        self._across = columns.transpose(0, 2, 1)
        self._target = target
        right = (target @ columns)[:, :, None]  # (J, K, 1)
        kept = sets[:, :, None] & sets[:, None, :]
        gram = np.matmul(self._across, columns)[:, None]
        inverse = np.linalg.inv(restricted(gram, sets)) * kept  # (J, S, K, K)
        # Sets last: what is done with each coefficient of a set is then done to many at once.
        by_column = inverse.transpose(0, 2, 1, 3)
        self._inverse = by_column.reshape(len(columns), sets.size, sets.shape[1])
        self._alone = np.matmul(inverse, right[:, None])[..., 0].transpose(0, 2, 1)  # (J, K, S)
        self._left = float(target @ target) - (self._alone * right).sum(axis=1)

    def squares(self, changing: Floats, problem: Places | slice = slice(None)) -> Floats:
        """The least sum of squares of every subset, beside changing columns (points, rows, L).

        `problem` numbers the problem of each point, where there are several. (points, S · 2^L):
        each set, with each choice of changing columns in the order of `choices`; ∞ where a
        coefficient would be negative.
        """
        several = not isinstance(problem, slice)
        numbers = self._alone[0].size * changing.shape[2] + several * self._inverse[0].size
        step = max(1, _MOST_NUMBERS // max(numbers, 1))
        if len(changing) <= step:
            return self._some(changing, problem)
        parts = [slice(k, k + step) for k in range(0, len(changing), step)]
        return np.concatenate(
            [
                self._some(changing[part], problem if isinstance(problem, slice) else problem[part])
                for part in parts
            ]
        )

    def _some(self, changing: Floats, problem: Places | slice) -> Floats:
        changing = changing / column_lengths(changing)[:, None]
        alone, left_alone = self._alone[problem], self._left[problem]  # (points or 1, K, S)
        shared = np.matmul(self._across[problem], changing)  # (points, K, L)
        own = np.matmul(changing.transpose(0, 2, 1), changing)
        shape = (len(changing), *alone.shape[1:], len(own[0]))
        along = np.matmul(self._inverse[problem], shared)  # (points, K · S, L)
        bent = np.matmul(shared.transpose(0, 2, 1), along.reshape(*shape[:2], shape[2] * shape[3]))
        along = along.reshape(shape)
        bent = own[:, :, None] - bent.reshape(*own.shape[:2], *shape[2:])  # (points, L, S, L)
        left = (self._target @ changing)[:, None] - np.matmul(alone.transpose(0, 2, 1), shared)
        every = choices(changing.shape[2])
        found = np.empty((len(changing), alone.shape[2], len(every)))
        found[..., 0] = _squares(left_alone, (alone >= _LEAST).all(axis=1), 0.0)
        for k, choice in enumerate(every[1:], start=1):
            least, gain, moved = _solved(bent, left, along, np.flatnonzero(choice))
            fits = (least >= _LEAST) & (alone - moved >= _LEAST).all(axis=1)
            found[..., k] = _squares(left_alone, fits, gain)
        return found.reshape(len(changing), -1)


def _squares(left: Floats, fits: Mask, gain: Floats | float) -> Floats:
    return np.where(fits, np.maximum(left - gain, 0.0), np.inf)


def _solved(
    bent: Floats, left: Floats, along: Floats, places: Places
) -> tuple[Floats, Floats, Floats]:
    """Changing columns: their least coefficient, what they explain and what they take from others.

    NaN where they cannot be told from others.
    """
    if places.size == 1:
        (k,) = places
        square, wanted = bent[:, k, :, k], left[..., k]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(square > _INDEPENDENT, wanted / square, np.nan)
        return found, found * wanted, along[..., k] * found[:, None]
    block = bent[:, places][..., places].transpose(0, 2, 1, 3)
    wanted = left[:, :, places]
    found = np.linalg.solve(block + np.eye(places.size) * _INDEPENDENT, wanted[..., None])[..., 0]
    moved = (along[..., places] * found[:, None]).sum(axis=3)
    return found.min(axis=2), (found * wanted).sum(axis=2), moved


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
