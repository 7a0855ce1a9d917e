"""The fitted model: overhead, lower-order terms and the claimed terms with free exponents.

    T = c0 + Σ cₖ φₖ + Σ Cⱼ ψⱼ(θ),   all coefficients ≥ 0

φₖ are the proper divisors of the claimed leading terms, ψⱼ is the j-th leading term with the
exponents θ in place of the claimed ones. Residuals are relative, (T - y) / y, so that a cell of a
microsecond counts as much as a cell of a second. For given θ the coefficients are a non-negative
least-squares problem (Lawson and Hanson 1974), solved exactly; θ is searched outside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from reports.cells import Cells
from reports.monomials import Floats, Law, Monomial

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Coefficients for one θ, in the order of the model's columns, and their squared residuals.

    `shares` is each column's part of the fitted cost, a row a cell; `fitted` the fitted cost over
    the measured one.
    """

    sse: float
    coefficients: Floats
    shares: Floats
    fitted: Floats

    @property
    def active(self) -> int:
        """How many coefficients are above zero."""
        return int((self.coefficients > 0).sum())


@dataclass(frozen=True, kw_only=True)
class Held:
    """A leading term, by its number, given a fixed share of the cell where it weighs most."""

    term: int
    share: float


class Model:
    """The columns of one model on one set of cells.

    `split` gives the overhead, the lower-order and the leading
    terms coefficients of their own where it is true: two regimes with the same exponents. `extra`
    are further terms with fixed exponents, the same in both. Without `lower`, the lower-order
    terms are left out.
    """

    def __init__(
        self,
        cells: Cells,
        law: Law,
        *,
        names: Sequence[str],
        split: Mask | None = None,
        extra: Sequence[Monomial] = (),
        lower: bool = True,
    ) -> None:
        sizes, cost, weight = cells.sizes, cells.cost, cells.weights
        self.cells = cells
        self.names = tuple(names)
        self.law = law
        self.leading = law.leading
        self.split = split
        one = Monomial()
        # A constant law is all overhead: a second constant column would only hide its growth.
        self.lower = tuple(t for t in law.divisors() if t != one) if lower else ()
        self.has_overhead = self.leading != (one,)
        self.extra = tuple(extra)
        self.claimed = np.array(
            [max(float(t.power(name)) for t in self.leading) for name in self.names]
        )
        self._free = np.array(
            [
                [
                    float(t.power(name)) == top
                    for name, top in zip(self.names, self.claimed, strict=True)
                ]
                for t in self.leading
            ]
        ).reshape(len(self.leading), len(self.names))
        self._fixed = np.array(
            [[float(t.power(name)) for name in self.names] for t in self.leading]
        ).reshape(len(self.leading), len(self.names))
        self._largest = np.array([float(sizes[name].max()) for name in self.names])
        self._logs = np.column_stack(
            [np.log(sizes[name] / top) for name, top in zip(self.names, self._largest, strict=True)]
        )
        self._log_parts = np.column_stack([_log_part(term, sizes) for term in self.leading])
        parts = self._parts()
        values: list[Floats] = []
        self.terms: list[tuple[Monomial, bool]] = []
        for term in (*([one] * self.has_overhead), *self.extra, *self.lower):
            value = term.evaluate(sizes) * np.ones_like(cost)
            for part, last in parts if term not in self.extra else [(np.ones_like(cost), True)]:
                values.append(value * part)
                self.terms.append((term, last))
        base = np.column_stack(values) if values else np.empty((cost.size, 0))
        self._base = base * (weight / cost)[:, None]
        self._base_unit = self._base / _norms(self._base)
        self._weights = [part * weight / cost for part, _ in parts]
        self._target = weight

    def _parts(self) -> list[tuple[Floats, bool]]:
        if self.split is None:
            return [(np.ones_like(self.cells.cost), True)]
        later = self.split.astype(np.float64)
        return [(1 - later, False), (later, True)]

    @property
    def overheads(self) -> int:
        """How many columns, the first ones, are overhead: one a regime, none for a constant law."""
        return int(self.has_overhead) * len(self._weights)

    @property
    def size(self) -> int:
        """The number of columns."""
        return int(self._base.shape[1]) + len(self.leading) * len(self._weights)

    def sse(self, theta: Floats, drop: int | None = None) -> float:
        """Sum of squared relative residuals at these exponents, coefficients at their best.

        `drop` leaves out one leading term, by its number.
        """
        matrix = self._matrix(theta, drop)
        return float(_nnls(matrix, self._target)[1])

    def solve(self, theta: Floats) -> Solution:
        """The coefficients at these exponents."""
        psi = self._psi(theta)
        raw = np.column_stack([self._base, *self._leading_columns(psi, None)])
        norms = _norms(raw)
        scaled, sse = _nnls(raw / norms, self._target)
        coefficients = scaled / norms
        parts = raw * coefficients / self._target[:, None]
        fitted = parts.sum(axis=1)
        safe = np.where(fitted > 0, fitted, 1.0)
        return Solution(
            sse=float(sse),
            coefficients=coefficients / self._leading_scale(theta),
            shares=parts / safe[:, None],
            fitted=fitted,
        )

    def sse_with_jump(
        self, theta: Floats, later: Floats, factor: float, held: Held | None = None
    ) -> float:
        """The squared residuals when every cost but the overhead is a factor higher where `later`.

        `later` is 0 before the jump, 1 after it, and may be in between on the way.
        """
        matrix, target = self._holding(theta, held, factor**later)
        return _nnls(matrix, target)[1]

    def sse_with_onset(
        self, theta: Floats, later: Mask, term: Monomial, held: Held | None = None
    ) -> float:
        """The squared residuals when a term costs more from a threshold on, as page faults do."""
        matrix, target = self._holding(theta, held, np.ones_like(self._target))
        onset = (term.evaluate(self.cells.sizes) * later * self._target / self.cells.cost)[:, None]
        return _nnls(np.column_stack([matrix, onset / _norms(onset)]), target)[1]

    def sse_above_floor(self, theta: Floats, later: Mask, held: Held | None = None) -> float:
        """The squared residuals when all cells before `later` read one value, whatever their size.

        Waiting does that: for a scheduler's slice, or for a launch that hides the work.
        """
        matrix, target = self._holding(theta, held, later.astype(np.float64))
        matrix[:, : self.overheads] *= later[:, None]
        floor = np.where(later, 0.0, self._target / self.cells.cost)[:, None]
        return _nnls(np.column_stack([floor / _norms(floor), matrix]), target)[1]

    def sse_with_share(self, theta: Floats, held: Held) -> float:
        """The squared residuals when one leading term has a fixed largest share of a cell."""
        matrix, target = self._holding(theta, held, np.ones_like(self._target))
        return _nnls(matrix, target)[1]

    def _holding(self, theta: Floats, held: Held | None, scale: Floats) -> tuple[Floats, Floats]:
        """The columns, all but the overhead scaled, and what is left for them to explain."""
        matrix = self._matrix(theta, None)
        matrix[:, self.overheads :] *= scale[:, None]
        if held is None:
            return matrix, self._target
        column = self._psi(theta)[:, held.term] * self._weights[-1] * scale
        # Held in the last regime; an earlier one keeps a coefficient of its own.
        place = self._base.shape[1] + (held.term + 1) * len(self._weights) - 1
        share = column * (held.share / float((column / self._target).max()))
        return np.delete(matrix, place, axis=1), self._target - share

    def jump(self, theta: Floats, solution: Solution) -> float:
        """How many times the later regime costs what the earlier one's coefficients would give.

        The median over the later regime's cells, the overhead left out; 1 without a split.
        """
        if self.split is None:
            return 1.0
        later = {name: values[self.split] for name, values in self.cells.sizes.items()}
        before, now = np.zeros(int(self.split.sum())), np.zeros(int(self.split.sum()))
        for k, (term, last, _) in enumerate(self.columns(theta)):
            if k >= self.overheads and term not in self.extra:
                value = solution.coefficients[k] * term.evaluate(later)
                before, now = (before, now + value) if last else (before + value, now)
        usable = (now > 0) & (before > 0)
        return float(np.median(now[usable] / before[usable])) if usable.any() else math.inf

    def columns(self, theta: Floats) -> list[tuple[Monomial, bool, int]]:
        """What each column is: its term, whether it is of the last regime, its leading number.

        The leading number is -1 for the others. Exponents are as given, to four decimals.
        """
        described = [(term, last, -1) for term, last in self.terms]
        for j, term in enumerate(self.leading):
            for _, last in self._parts():
                described.append((self._at(term, j, theta), last, j))
        return described

    def _at(self, term: Monomial, j: int, theta: Floats) -> Monomial:
        for v, name in enumerate(self.names):
            if self._free[j, v]:
                term = term.with_power(
                    name, Fraction(round(float(theta[v]), 4)).limit_denominator(10**4)
                )
        return term

    def _psi(self, theta: Floats) -> Floats:
        exponents = np.where(self._free, theta, self._fixed)
        return np.asarray(np.exp(self._logs @ exponents.T) * self._log_parts, dtype=np.float64)

    def _leading_columns(self, psi: Floats, drop: int | None) -> list[Floats]:
        return [
            psi[:, j] * weight for j in range(psi.shape[1]) if j != drop for weight in self._weights
        ]

    def _leading_scale(self, theta: Floats) -> Floats:
        """The largest sizes to the powers: psi is scaled to 1 there, and coefficients are not."""
        exponents = np.where(self._free, theta, self._fixed)
        scale = np.exp(exponents @ np.log(self._largest))
        kept = [s for s in scale for _ in self._weights]
        return np.array([1.0] * self._base.shape[1] + kept)

    def _matrix(self, theta: Floats, drop: int | None) -> Floats:
        columns = self._leading_columns(self._psi(theta), drop)
        if not columns:
            return self._base_unit.copy()
        leading = np.column_stack(columns)
        return np.column_stack([self._base_unit, leading / _norms(leading)])


def _log_part(term: Monomial, sizes: Mapping[str, Floats]) -> Floats:
    logs = Monomial.of({}, {f.name: f.log_power for f in term.factors})
    first = next(iter(sizes.values()))
    return logs.evaluate(sizes) * np.ones_like(first)


def _norms(columns: Floats) -> Floats:
    norms = np.sqrt((columns**2).sum(axis=0))
    return np.where(norms > 0, norms, 1.0)


def _nnls(matrix: Floats, target: Floats) -> tuple[Floats, float]:
    if not matrix.shape[1]:
        return np.empty(0), float(target @ target)
    coefficients, norm = nnls(matrix, target, maxiter=20 * matrix.shape[1] + 50)
    return coefficients, float(norm) ** 2
