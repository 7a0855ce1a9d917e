"""Where one term of a law overtakes another: n²·d overtakes n·d² at n = 1.9·d.

Two terms t₁, t₂ with coefficients c₁, c₂ cost the same where t₁/t₂ = c₂/c₁, a line in the sizes.
Without logarithms in t₁/t₂ that line is one size as a factor times powers of the others. Every law
of an `Ensemble` has its own, and the interval is that of the factor over the laws that have both
terms. As powers differ a little between laws, each is solved at the geometric middle of the other
sizes, and the factor is that of the line through there with the powers of the named terms.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

import numpy as np

from reports.cells.case_columns import LARGEST_SIZE
from reports.judge.compatible.ensemble import Ensemble
from reports.judge.models.non_negative import Mask
from reports.laws.monomials import Floats, Monomial
from reports.tables.units import NO_UNIT, show

LEAST_SHARE = 0.05
"""What both terms must be of the cost of some measured cell, unless they cross among the cells."""
LEAST_THERE = 0.9
"""The part of the laws that must have both. Where fewer have, half of the simulated crossovers were
of a term that did not exist; where more have, one in fifty."""
NEAR = 0.05  # so near the interval of a power, the claimed one still names it
_STEPS = 60
_FARTHEST = math.log(LARGEST_SIZE)

Where = Literal["inside", "beyond", "below"]
_WORDS: Mapping[Where, str] = MappingProxyType(
    {"inside": "among", "beyond": "beyond", "below": "below"}
)


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """The sizes at which the term `faster`, which leads above, costs as much as `slower`.

    They are `size` = factor · the product of the other sizes to `powers`. Where a logarithm stands
    in the way, `at` has the values of the other sizes for which `factor` is the size itself. `low`
    and `high` bound the factor; None where there is no bound. `there` is the part of the laws that
    have both terms, and `where` says whether the line passes among the measured cells (of the last
    regime), or below or beyond them all.
    """

    faster: str
    slower: str
    size: str
    factor: float
    low: float | None
    high: float | None
    powers: Mapping[str, float]
    at: Mapping[str, float]
    there: float
    where: Where
    confidence: float
    text: str


@dataclass(frozen=True, kw_only=True)
class _Term:
    """One term, with the numbers of those of the ensemble that look the same.

    `parts` is what it costs at the measured cells, in each law: (draws, cells).
    """

    named: Monomial
    numbers: tuple[int, ...]
    parts: Floats
    share: float


def crossovers(ensemble: Ensemble, *, confidence: float) -> tuple[Crossover, ...]:
    """Every crossover of two terms that matter, those among the measured cells first.

    Both are in nearly all laws that fit, and both are at least 5 % of the cost of some measured
    cell, or they cross among the cells.
    """
    found = []
    for one, other in itertools.combinations(_terms(ensemble), 2):
        quotient = one.named.times(other.named.raised(Fraction(-1)))
        if not quotient.factors:
            continue
        first = quotient.factors[0]
        if first.growth < (Fraction(0), Fraction(0)):
            one, other = other, one
            quotient = quotient.raised(Fraction(-1))
        crossing = _crossing(ensemble, one, other, quotient, confidence)
        if crossing is not None:
            found.append(crossing)
    return tuple(sorted(found, key=lambda crossing: list(_WORDS).index(crossing.where)))


def _terms(ensemble: Ensemble) -> Iterator[_Term]:
    """The terms of the laws, those that look the same together."""
    parts = ensemble.parts(ensemble.measured)
    total = parts.sum(axis=-1)
    named = _named(ensemble)
    for term in dict.fromkeys(named):
        numbers = tuple(k for k, other in enumerate(named) if other == term)
        own = parts[..., list(numbers)].sum(axis=-1)
        # A law that costs nothing in some cell has no shares there.
        parted = np.divide(own, total, out=np.zeros_like(own), where=total > 0)
        share = float(parted.mean(axis=0).max())
        yield _Term(named=term, numbers=numbers, parts=own, share=share)


def _named(ensemble: Ensemble) -> list[Monomial]:
    """The terms with the claimed powers, where the laws agree with those; else with their own."""
    low, middle, high = np.quantile(ensemble.powers, (0.025, 0.5, 0.975), axis=0)
    named = []
    for k, claimed in enumerate(ensemble.terms):
        term = claimed
        for v, name in enumerate(ensemble.names):
            power = float(claimed.power(name))
            if not low[k, v] - NEAR <= power <= high[k, v] + NEAR:
                term = term.with_power(name, Fraction(round(100 * middle[k, v]), 100))
        named.append(term)
    return named


def _crossing(
    ensemble: Ensemble, fast: _Term, slow: _Term, quotient: Monomial, confidence: float
) -> Crossover | None:
    both: Mask = np.logical_and((fast.parts > 0).any(axis=1), (slow.parts > 0).any(axis=1))
    there = float(both.mean())
    matter = min(fast.share, slow.share) >= LEAST_SHARE
    if there < LEAST_THERE:
        return None
    ahead = np.median(fast.parts[both] > slow.parts[both], axis=0) > 0.5
    where: Where = "below" if ahead.all() else "inside" if ahead.any() else "beyond"
    if where != "inside" and not matter:
        return None
    name = quotient.factors[0].name
    middle = np.exp(np.log(ensemble.cells).mean(axis=0))
    others = {n: float(v) for n, v in zip(ensemble.names, middle, strict=True) if n != name}
    logs = _solved(ensemble, fast, slow, name, both)
    chances = ((1 - confidence) / 2, 0.5, (1 + confidence) / 2)
    low, best, high = (float(value) for value in np.quantile(logs, chances))
    if not 0 < best < _FARTHEST:
        return None
    powers: dict[str, float] = {}
    at: dict[str, float] = {}
    if any(factor.log_power for factor in quotient.factors):
        at = others
        shift, right = 0.0, ""
    else:
        own = quotient.power(name)
        rest = Monomial.of({n: -quotient.power(n) / own for n in others})
        powers = {factor.name: float(factor.power) for factor in rest.factors}
        shift = sum(power * math.log(others[n]) for n, power in powers.items())
        right = f"·{rest.unicode()}" if powers else ""
    ends = [math.exp(value - shift) if abs(value) < _FARTHEST else None for value in (low, high)]
    factor = math.exp(best - shift)
    line = f"{show(factor, NO_UNIT)}{right} [{_bound(ends[0])}, {_bound(ends[1])}]"
    place = ", ".join(f"{n} = {show(value, NO_UNIT)}" for n, value in at.items())
    return Crossover(
        faster=str(fast.named),
        slower=str(slow.named),
        size=name,
        factor=factor,
        low=ends[0],
        high=ends[1],
        powers=powers,
        at=at,
        there=there,
        where=where,
        confidence=confidence,
        text=f"{fast.named.unicode()} overtakes {_called(slow)} at {name} = {line}"
        + f" where {place}" * bool(place)
        + f", {_WORDS[where]} the measured sizes"
        + " of the last regime" * (not ensemble.last.all())
        + f" (both are in {there:.0%} of the laws that fit)" * (there < 0.995),
    )


def _solved(ensemble: Ensemble, fast: _Term, slow: _Term, name: str, both: Mask) -> Floats:
    """The logarithm of one size at which the two cost the same, in each law that has both.

    By bisection, at the middle of the other sizes; it ends at the ends of the search where they do
    not meet within.
    """
    logs = np.tile(np.log(ensemble.cells).mean(axis=0), (int(both.sum()), 1))
    size = logs[:, ensemble.names.index(name)]
    logarithms = any(term.named.factor(name).log_power for term in (fast, slow))
    low = np.full(size.size, 1e-6 if logarithms else -_FARTHEST)
    high = np.full(size.size, _FARTHEST)
    for _ in range(_STEPS):
        size[:] = (low + high) / 2
        ahead = _log_costs(ensemble, fast, logs, both) > _log_costs(ensemble, slow, logs, both)
        low, high = np.where(ahead, low, size), np.where(ahead, size, high)
    return np.asarray((low + high) / 2)


def _log_costs(ensemble: Ensemble, term: _Term, logs: Floats, both: Mask) -> Floats:
    """The logarithm of what a term costs at these logarithms of sizes, a row for each law."""
    numbers = list(term.numbers)
    coefficients = ensemble.coefficients[both][:, numbers]
    values = np.log(np.maximum(coefficients, 1e-300))
    values += np.einsum("dkv,dv->dk", ensemble.powers[both][:, numbers], logs)
    for v, name in enumerate(ensemble.names):
        powers = [float(ensemble.terms[k].factor(name).log_power) for k in numbers]
        if any(powers):
            values += np.log(logs[:, v, None]) * powers
    values[coefficients <= 0] = -np.inf
    return np.asarray(np.logaddexp.reduce(values, axis=1))


def _bound(value: float | None) -> str:
    return "?" if value is None else show(value, NO_UNIT)


def _called(term: _Term) -> str:
    return term.named.unicode() if term.named.names else "the constant part"
