"""Judges a cost without noise by its polynomial: memory, bytes and operations, counted.

Such a cost is a polynomial in the sizes, from some size on, where blocks are full and buffers have
the size that they keep. A polynomial that gives every cell to its last decimal place, with one cell
more than it has coefficients, leaves no room for another law, and needs no interval: which terms
it has is known, however small a part of the cost they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

import numpy as np

from reports.cells.cells import Cells
from reports.judge.exact.recorded_law import RecordedLaw
from reports.judge.findings import long_enough
from reports.judge.models.non_negative import Mask
from reports.judge.result import Fit, Leading, Regime, Term, Verdict
from reports.laws.monomials import Floats, Law, Monomial, outgrowing
from reports.text.interval import Interval

_LAST_PLACE = 1e-9  # of a cost: what floating point leaves of whole numbers
MOST_DIGITS = 10
FEWEST_MORE = 2  # values of a size than its highest power: one to tell it by, one to check it
_SHOWN = 4.0  # halves of the last place that a leading term must add to some cell
HALF = Fraction(1, 2)
_MISSED = 1.5  # of the half that rounding may take: least squares do not minimise the largest


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """The terms of a cost with their coefficients, and the cells that they give exactly.

    `names` are the sizes whose powers it tells. `start` has the smallest size of each letter among
    those cells, and `where` says in words where the polynomial holds, if that was counted too. Its
    coefficients are known to so many `digits`.
    """

    terms: tuple[tuple[Monomial, float], ...]
    names: tuple[str, ...]
    cells: Mask
    start: dict[str, float]
    where: str = ""
    digits: int = MOST_DIGITS

    @classmethod
    def of(cls, law: RecordedLaw, cells: Cells) -> Self:
        """The law that a run counted, on its cells."""
        inside = {name: values[law.cells] for name, values in cells.sizes.items()}
        start = {name: float(values.min()) for name, values in inside.items() if values.size}
        return cls(terms=law.terms, names=law.names, cells=law.cells, start=start, where=law.where)

    @property
    def leading(self) -> Law:
        """The terms that no other one covers."""
        return Law.of(Law.of(tuple(term for term, _ in self.terms)).leading)

    def ruling(self, law: Law) -> tuple[Verdict, tuple[str, ...]]:
        """What it says of a claim: nothing but the leading terms counts.

        A claimed size that stands still leaves the claim open, if nothing refutes the rest.
        """
        told = law.only(self.names)
        mine, claimed = set(self.leading.terms), set(told.leading)
        if mine == claimed:
            is_all = set(law.names) <= set(self.names)
            return (Verdict.CONFIRMED, ()) if is_all else (Verdict.INCONCLUSIVE, ("too_few_sizes",))
        grounds = []
        if any(not told.covers(term) for term in mine):
            grounds.append("faster_growing_term")
        if claimed - {term for term, _ in self.terms}:
            grounds.append("claimed_term_absent")
        return Verdict.REFUTED, tuple(grounds)

    @property
    def text(self) -> str:
        """The cost in words, with where it holds."""
        sides = [f"{name} at least {size:g}" for name, size in self.start.items()]
        return f"{in_words(self.terms, self.digits)} ({self.where or ', '.join(sides)})"

    def judged(self, found: Fit, given: Cells, law: Law) -> Fit:
        """The fit of a cost on the cells that were given, with what its polynomial says instead."""
        verdict, grounds = self.ruling(law)
        changes = not self.where and not self.cells.all()
        notes = [code for code in found.reasons if code == "censored_cells"]
        cells = given.only(self.cells)
        parts = np.column_stack([c * term.evaluate(cells.sizes) for term, c in self.terms])
        total = parts.sum(axis=1)
        largest = int(total.argmax())
        shares = {term: parts[:, k] / total for k, (term, _) in enumerate(self.terms)}
        exact = {}
        for name, unknown in found.exponents.items():
            if name not in self.names:
                exact[name] = unknown
                continue
            if name not in law.names and len(cells) < len(given) and cells.distinct(name).size <= 2:
                continue  # the claim does not name it, and it hardly varies where this holds
            power = max(float(term.power(name)) for term in self.leading.terms)
            exact[name] = Interval(estimate=power, low=power, high=power)
        terms = [
            Term(term=str(term), coefficient=c, share_at_largest=float(shares[term][largest]))
            for term, c in self.terms
        ]
        leading = [
            Leading(
                term=str(term),
                exponents={name: exact[name] for name in term.names},
                share=float(shares[term][largest]),
                most=float(shares[term].max()),
            )
            for term in law.only(self.names).leading
            if term in shares
        ]
        evidence = f"the cost is exactly {self.text}"
        counted = Regime.over(next(iter(cells.sizes.values())), "counted range", evidence)
        return replace(
            found.of(cells),
            verdict=verdict,
            reasons=(*grounds, *["regime_change"] * changes, *notes),
            exponents=exact,
            terms=tuple(sorted(terms, key=lambda term: -term.share_at_largest)),
            leading=tuple(leading),
            overhead=float(sum(of[largest] for term, of in shares.items() if not term.names)),
            regimes=(*self._left_out(given), counted),
            rms_residual=0.0,
            counted=self.text,
        )

    def _left_out(self, cells: Cells) -> Iterator[Regime]:
        """The range that another polynomial, or none, holds in."""
        if self.cells.all():
            return
        starts = self.start.items()
        sides = [f"{n} = {start:g}" for n, start in starts if start > cells.sizes[n].min()]
        text = f"another polynomial, or none, fits below {' or '.join(sides)}"
        if self.where:
            text = f"the polynomial holds for {self.where}"
        outside = next(iter(cells.sizes.values()))[~self.cells]
        yield Regime.over(outside, "regime 1", f"left out: {text}")


def in_words(terms: Sequence[tuple[Monomial, float]], digits: int = MOST_DIGITS) -> str:
    """A polynomial by its terms and their coefficients: `4·n·d + 592`."""
    parts = []
    for term, coefficient in terms:
        number = f"{abs(coefficient):.{digits}g}"
        body = number if not term.names else f"{number}·{term.unicode()}"
        parts.append((" − " if coefficient < 0 else " + ") + body)
    return "".join(parts).removeprefix(" + ").strip() or "0"


def polynomial_of(
    cells: Cells, law: Law, names: Sequence[str], *, exact: bool = True
) -> Polynomial | None:
    """The polynomial of the cells from the smallest sizes on that allow one; None if none does.

    Its terms are those of the claim, all that it covers, and one that outgrows it. Costs are
    `exact` counts, or rounded to their last place.
    """
    if any(f.log_power or f.power.denominator > 1 for t in law.terms for f in t.factors):
        return None
    own = tuple(dict.fromkeys((*law.leading, *law.divisors())))
    for kept in _beginnings(cells, names):
        part = cells.only(kept)
        if not kept.all() and not all(long_enough(part, name) for name in names):
            continue  # so few cells have a polynomial by chance
        # Where a part of the cells follows another polynomial, what outgrows the claim may end.
        for extra in (None, *(outgrowing(law, names) if kept.all() else ())):
            terms = own if extra is None else (*own, extra)
            found = _exact(part, terms, names)
            if found is None:
                continue
            start = {name: float(values.min()) for name, values in part.sizes.items()}
            polynomial = Polynomial(
                terms=found,
                names=tuple(names),
                cells=kept,
                start=start,
                digits=MOST_DIGITS if exact else _digits(part),
            )
            if kept.all() or polynomial.ruling(law)[0] is Verdict.CONFIRMED:
                return polynomial
    return None


def _digits(cells: Cells) -> int:
    """How many digits of a coefficient rounded costs tell, and one more."""
    rounding = max(cells.step / float(cells.cost.max()), 1e-9)
    return min(max(1 + math.ceil(-math.log10(rounding)), 3), MOST_DIGITS)


def _beginnings(cells: Cells, names: Sequence[str]) -> Iterator[Mask]:
    """All cells, then those from each size of each letter on."""
    yield np.ones(len(cells), dtype=np.bool_)
    for name in names:
        for start in cells.distinct(name)[1:]:
            yield cells.sizes[name] >= start


def _exact(
    cells: Cells, terms: Sequence[Monomial], names: Sequence[str]
) -> tuple[tuple[Monomial, float], ...] | None:
    """The terms that are there, with coefficients, if they give each cell to its last place."""
    powers = {name: max(int(term.power(name)) for term in terms) for name in names}
    few = any(cells.distinct(name).size < power + FEWEST_MORE for name, power in powers.items())
    if few or len(cells) <= len(terms):
        return None
    allowed = np.maximum(cells.step / 2, _LAST_PLACE * cells.cost)
    columns = np.column_stack([term.evaluate(cells.sizes) / allowed for term in terms])
    target = cells.cost / allowed
    scale = np.abs(columns).max(axis=0)
    if np.linalg.matrix_rank(columns / scale) < len(terms):
        return None
    degrees = [sum(float(factor.power) for factor in term.factors) for term in terms]
    needed = _needed(columns / scale, target, degrees)
    if needed is None:
        return None
    there = [term for term, kept in zip(terms, needed, strict=True) if kept]
    found = _solved((columns / scale)[:, needed], target)
    for term in Law.of(tuple(there)).leading:
        place = there.index(term)
        # A coefficient is what its term adds where it adds most, in halves of the last place.
        if found[place] <= _SHOWN:
            return None
        rest = np.delete(columns[:, needed], place, axis=1)
        # What rounding hides of the cost, it may hide of a baseline too.
        with_baseline = np.column_stack([rest, 1.0 / allowed])
        for twin in _twins(term):
            column = twin.evaluate(cells.sizes) / allowed
            if _fits(np.column_stack([rest, column]), target):
                return None  # rounding leaves room for another law
            beside = np.column_stack([with_baseline, column])
            if _fits(beside, target) and _solved(beside, target)[-2] >= 0:
                return None
    return tuple((term, float(c)) for term, c in zip(there, found / scale[needed], strict=True))


def _twins(term: Monomial) -> Iterator[Monomial]:
    """What grows nearly like a term: half a power more or less, a logarithm for a power or more."""
    powers = {factor.name: factor.power for factor in term.factors}
    for name, power in powers.items():
        for step, log in ((-HALF, 0), (HALF, 0), (-2 * HALF, 1), (0, 1)):
            yield Monomial.of({**powers, name: power + step}, {name: log})


def _needed(columns: Floats, target: Floats, degrees: Sequence[float]) -> Mask | None:
    """The terms without which some cell is missed, in the polynomial of the lowest degree.

    None where all of them together miss one.
    """
    needed = np.ones(len(degrees), dtype=np.bool_)
    if not _fits(columns, target):
        return None
    for k in np.argsort(degrees, kind="stable")[::-1]:
        rest = needed.copy()
        rest[k] = False
        if rest.any() and _fits(columns[:, rest], target):
            needed = rest
    return needed


def _fits(columns: Floats, target: Floats) -> bool:
    columns = columns / np.abs(columns).max(axis=0)
    return bool(np.abs(columns @ _solved(columns, target) - target).max() <= _MISSED)


def _solved(columns: Floats, target: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(columns, target, rcond=1e-14)[0])
