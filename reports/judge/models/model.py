"""The fitted model: overhead, lower-order terms and the claimed terms with free exponents.

    T = c0 + ρ(z)·(Σ cₖ φₖ + Σ Cⱼ ψⱼ(θ)),   all coefficients ≥ 0

φₖ are lower-order terms, ψⱼ is the j-th leading term with the exponents θ in place of the claimed
ones, and ρ is 1, or a factor beyond a threshold (`later`), as a cache or page faults make it.
Residuals are relative, (T - y) / y, so that a cell of a microsecond counts as much as one of a
second.

For given θ the coefficients are a non-negative least-squares problem. Its solution is the plain
least-squares solution on some subset of the columns; the subsets are few, so all of them are
solved, many θ at a time. That also allows a price on lower-order terms: each has to lower the sum
of squares by that much, or it is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypedDict

import numpy as np

from reports.cells.cells import Cells
from reports.judge.models.non_negative import (
    FixedColumns,
    Mask,
    allowed_sets,
    column_lengths,
    least_squares,
    with_choices,
    without_share,
)
from reports.laws.monomials import Floats, Law, Monomial, lower_terms

_HIGHEST = 300.0  # the logarithm of a column far from the claim, whose square is finite


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Coefficients for one θ, in the order of the model's columns, and their squared residuals.

    `shares` is each column's part of the fitted cost, a row a cell; `fitted` the fitted cost over
    the measured one; `priced` the sum of squares with the price of the lower-order terms.
    """

    theta: Floats
    sse: float
    priced: float
    coefficients: Floats
    shares: Floats
    fitted: Floats

    @property
    def active(self) -> int:
        """How many coefficients are above zero."""
        return int((self.coefficients > 0).sum())


class Columns(TypedDict, total=False):
    """The columns of a model beside the usual ones; `Model` says what each is."""

    later: Mask | Floats | None
    extra: Sequence[Monomial]
    onsets: Sequence[tuple[Monomial, Mask | Floats]]
    lower: Sequence[Monomial] | None


class Model:
    """The columns of one model on one set of cells.

    `later` marks the cells beyond a threshold, where everything but the overhead costs a factor
    more: then θ has the logarithm of that factor as its last entry. `extra` are further terms with
    fixed exponents, and `onsets` such that only some cells have. `lower` replaces the lower-order
    terms. A constant law has no overhead: a second constant column would only hide its growth.
    """

    def __init__(
        self,
        cells: Cells,
        law: Law,
        *,
        names: Sequence[str],
        later: Mask | Floats | None = None,
        extra: Sequence[Monomial] = (),
        onsets: Sequence[tuple[Monomial, Mask | Floats]] = (),
        lower: Sequence[Monomial] | None = None,
    ) -> None:
        sizes = cells.sizes
        self.cells = cells
        self.names = tuple(names)
        self.law = law
        self.leading = law.leading
        self.later = None if later is None else later.astype(np.float64)
        one = Monomial()
        self.overheads = int(self.leading != (one,))  # columns, the first ones
        self.extra = (*extra, *(term for term, _ in onsets))
        self.lower = tuple(lower_terms(law) if lower is None else lower)
        self.claimed = np.array(
            [max(float(t.power(name)) for t in self.leading) for name in self.names]
        )
        powers = [[float(t.power(name)) for name in self.names] for t in self.leading]
        self._fixed = np.array(powers).reshape(len(self.leading), len(self.names))
        self._free = self._fixed == self.claimed
        self._held = np.where(self._free, 0.0, self._fixed)
        self._largest = np.array([float(sizes[name].max()) for name in self.names])
        self._logs = np.column_stack(
            [np.log(sizes[name] / top) for name, top in zip(self.names, self._largest, strict=True)]
        )
        scale = (cells.weights / cells.cost)[:, None]
        logarithms = [term.logarithms.evaluate(sizes) for term in self.leading]
        self._log_parts = scale * np.column_stack(logarithms)
        self.terms = (*((one,) * self.overheads), *self.extra, *self.lower)
        values = [term.evaluate(sizes) for term in self.terms]
        for k, (_, beyond) in enumerate(onsets, start=self.overheads + len(extra)):
            values[k] = values[k] * beyond
        self._base = scale * np.column_stack([np.empty((cells.cost.size, 0)), *values])
        self.target = cells.weights
        first = len(self.terms) - len(self.lower)
        self._sets = allowed_sets(first, len(self.lower), len(self.leading))
        self.subsets = with_choices(first, len(self.lower), len(self.leading))
        self.priced = self.subsets[:, first : len(self.terms)].sum(axis=1)

    @property
    def size(self) -> int:
        """The number of columns."""
        return len(self.terms) + len(self.leading)

    def carriers(self, v: int) -> Mask:
        """The leading terms whose exponent of one size is the free one."""
        return np.asarray(self._free[:, v])

    def bounds(self, reach: float) -> tuple[Floats, Floats]:
        """The box to search: exponents within `reach` of the claimed ones, jumps up to tenfold.

        What sets in by degrees is a cache that data outgrow: that makes no cost fall.
        """
        low, high = self.claimed - reach, self.claimed + reach
        if self.later is None:
            return low, high
        gradual = bool(((self.later > 0) & (self.later < 1)).any())
        return np.append(low, 0.0 if gradual else -math.log(10)), np.append(high, math.log(10))

    def values(self, thetas: Floats, price: float = 0.0, drop: int | None = None) -> Floats:
        """The priced sums of squared relative residuals at each row of θ, coefficients at best.

        `drop` leaves out one leading term, by its number.
        """
        squares = self.squares(thetas) + price * self.priced
        if drop is not None:
            squares = squares[:, ~self.subsets[:, len(self.terms) + drop]]
        return np.asarray(squares.min(axis=1))

    def squares(self, thetas: Floats) -> Floats:
        """The least sum of squares of each of the `subsets`, a row a θ; ∞ where it has none."""
        if self.later is None:
            return self._fixed_columns.squares(self._growing(thetas))
        # What is not a leading term depends on the jump alone, which many points share.
        jumps, which = np.unique(thetas[:, -1], return_inverse=True)
        fixed = self._with_jumps(jumps[:, None])
        return FixedColumns(fixed, self.target, self._sets).squares(self._growing(thetas), which)

    @cached_property
    def _fixed_columns(self) -> FixedColumns:
        return FixedColumns(self._base, self.target, self._sets)

    def _with_jumps(self, jumps: Floats) -> Floats:
        """The columns without leading terms at each logarithm of the factor: (jumps, cells, K).

        `jumps` has a row each, which is empty where the model has no jump.
        """
        base = np.repeat(self._base[None], len(jumps), axis=0)
        if self.later is not None:
            base[..., self.overheads :] *= np.exp(jumps * self.later)[..., None]
        return base

    def value(self, theta: Floats, price: float = 0.0, drop: int | None = None) -> float:
        """`values` at one θ."""
        return float(self.values(theta[None], price, drop)[0])

    def solve(self, theta: Floats, price: float = 0.0) -> Solution:
        """The coefficients at these exponents."""
        best = int((self.squares(theta[None])[0] + price * self.priced).argmin())
        kept = self.subsets[best]
        columns = self.columns_at(theta)
        norms = column_lengths(columns)
        coefficients = np.zeros(self.size)
        if kept.any():
            found = np.linalg.lstsq((columns / norms)[:, kept], self.target, rcond=None)[0]
            coefficients[kept] = np.maximum(found, 0.0) / norms[kept]
        parts = columns * coefficients / self.target[:, None]
        fitted = parts.sum(axis=1)
        sse = float(((fitted - 1.0) ** 2 * self.target**2).sum())
        safe = np.where(fitted > 0, fitted, 1.0)
        return Solution(
            theta=theta,
            sse=sse,
            priced=sse + price * float(self.priced[best]),
            coefficients=coefficients / self.scales(theta[None])[0],
            shares=parts / safe[:, None],
            fitted=fitted,
        )

    def squares_with(self, theta: Floats, leading: int, share: float) -> float:
        """The least sum of squares where a leading term has that share of some cell at least."""
        columns = self.columns_at(theta)
        rest = without_share(self.target, columns[:, len(self.terms) + leading], share)
        return least_squares(columns, rest)

    def columns_at(self, theta: Floats) -> Floats:
        """`columns` at one θ."""
        return np.asarray(self.columns(theta[None])[0])

    def columns(self, thetas: Floats) -> Floats:
        """The columns, relative to the measured cost and weighted, at each θ: (θ, cells, columns).

        Leading terms are 1 at the largest sizes, as `scales` says.
        """
        return np.concatenate(
            [self._with_jumps(thetas[:, len(self.names) :]), self._growing(thetas)], axis=2
        )

    def _growing(self, thetas: Floats) -> Floats:
        """The leading terms' columns at each θ; the others are the same at many."""
        logs = np.matmul(self._logs, self.exponents(thetas).transpose(0, 2, 1))
        growing = np.exp(np.minimum(logs, _HIGHEST, out=logs), out=logs)
        growing *= self._log_parts
        if self.later is not None:
            growing *= np.exp(thetas[:, -1, None] * self.later)[..., None]
        return np.asarray(growing)

    def described(self, theta: Floats) -> list[Monomial]:
        """What each column is; exponents are as given, to four decimals."""
        return [*self.terms, *(self._at(term, j, theta) for j, term in enumerate(self.leading))]

    def _at(self, term: Monomial, j: int, theta: Floats) -> Monomial:
        for v, name in enumerate(self.names):
            if self._free[j, v]:
                power = Fraction(round(float(theta[v]), 4)).limit_denominator(10**4)
                term = term.with_power(name, power)
        return term

    def exponents(self, thetas: Floats) -> Floats:
        """The powers of the leading terms at each θ: (θ, leading terms, sizes)."""
        return np.asarray(thetas[:, None, : len(self.names)] * self._free + self._held)

    def scales(self, thetas: Floats) -> Floats:
        """What the columns' units are at each θ: the powers of the largest sizes, or 1."""
        leading = np.exp(self.exponents(thetas) @ np.log(self._largest))
        return np.hstack([np.ones((len(thetas), len(self.terms))), leading])
