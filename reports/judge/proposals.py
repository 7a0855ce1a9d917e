"""The law to claim next: only such as the same judge does not refute on the same cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reports.judge.findings import PRESENT_SHARE
from reports.judge.judge import judge
from reports.judge.result import Basis, Fit, Verdict
from reports.laws.grammar import LawError, parse, parse_declared, parse_monomial
from reports.laws.monomials import Law, Monomial
from reports.tables.columns import TableError

USUAL = ("1", "{n}", "{n}*log({n})", "{n}^2", "{n}^3")
MOST_TRIED = 3  # each takes as long as judging the claim did


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A law, and what the judge says of it on the cells of the fit."""

    law: Law
    verdict: Verdict

    def __str__(self) -> str:
        """One sentence that promises no more than the verdict."""
        if self.verdict is Verdict.CONFIRMED:
            return f"Claim {self.law}: these cells confirm it."
        return f"{self.law} is left open by these cells, neither confirmed nor refuted."


def proposed(fit: Fit) -> Proposal | None:
    """The nearest law of half powers that is confirmed, else one that is not refuted, or None."""
    if fit.basis is None:
        return None
    if fit.counted is not None:
        terms = tuple(parse_monomial(one.term) for one in fit.terms)
        return Proposal(law=Law.of(Law.of(terms).leading), verdict=Verdict.CONFIRMED)
    open_ones = []
    for law in itertools.islice(_candidates(fit, fit.basis), MOST_TRIED):
        verdict = verdict_on(law, fit, fit.basis)
        if verdict is Verdict.CONFIRMED:
            return Proposal(law=law, verdict=verdict)
        if verdict is Verdict.INCONCLUSIVE:
            open_ones.append(Proposal(law=law, verdict=verdict))
    return open_ones[0] if open_ones else None


def compatible(fit: Fit) -> tuple[tuple[Law, ...], tuple[Law, ...]] | None:
    """Of the usual laws of one size, those that its cells leave open, and those that they exclude.

    For a group with too few sizes to confirm anything; None where nothing was fitted. A law that
    has no value at these sizes is neither.
    """
    if fit.basis is None or len(fit.basis.names) != 1:
        return None
    (name,) = fit.basis.names
    left_open: list[Law] = []
    excluded: list[Law] = []
    for text in USUAL:
        law = parse(text.format(n=name), names={name})
        verdict = verdict_on(law, fit, fit.basis)
        if verdict is None:
            continue
        out = verdict is Verdict.REFUTED or _grows_otherwise(fit, law.terms[0], name)
        (excluded if out else left_open).append(law)
    return tuple(left_open), tuple(excluded)


def _grows_otherwise(fit: Fit, leading: Monomial, name: str) -> bool:
    """Whether the cost grows less in the last steps, or more in all, than a leading term allows."""
    steps = fit.local_slopes
    if not steps:
        return False
    # Beside terms of a power less, a leading one that is more than a part adds that to the growth
    # from size to size.
    least = float(leading.power(name)) - 1 + PRESENT_SHARE
    low, high = steps[0].start, steps[-1].end
    ends = leading.evaluate({name: (low, high)}) * np.ones(2)
    # Terms beside the leading one grow less than it does. A logarithm of 1 has no growth to state.
    most = math.log(ends[1] / ends[0]) / math.log(high / low) if ends[0] > 0 else math.inf
    rise = sum(one.slope * math.log(one.end / one.start) for one in steps)
    # A step is as uncertain as its two cells are, and so is the way from the first to the last.
    error = max((one.high - one.slope) * math.log(one.end / one.start) for one in steps)
    overall = (rise - error) / math.log(high / low)
    return max(one.high for one in steps[-2:]) < least or overall > most + PRESENT_SHARE


def verdict_on(law: Law, fit: Fit, basis: Basis) -> Verdict | None:
    """What the judge says of another claim on the same cells; None where it cannot be computed."""
    try:
        return judge(
            basis.cells,
            law,
            names=tuple(fit.sizes),
            confidence=fit.confidence,
            tolerance=fit.tolerance,
            exact=basis.setting.exact,
            info={},
        ).verdict
    except TableError:  # the logarithm of a size below 1, say
        return None


def _candidates(fit: Fit, basis: Basis) -> Iterator[Law]:
    """What the fit suggests: the claim with the terms that outgrow it, or its exponents rounded."""
    try:
        claimed = parse_declared(fit.law, fit.sizes).only(fit.sizes).leading
    except LawError:
        return
    if basis.fitted.rival:
        yield Law.of(Law.of((*claimed, *basis.fitted.rival)).leading)
    elif len(claimed) == 1:
        yield from _rounded(fit, claimed[0])
        if fit.verdict is Verdict.INCONCLUSIVE and claimed != (Monomial(),):
            yield Law.of((Monomial(),))


def _rounded(fit: Fit, claimed: Monomial) -> Iterator[Law]:
    """Half powers, with one logarithm beside a whole power or none, the nearest first.

    Only such as lie within the tolerance of the intervals: the judge would refute others.
    """
    choices = []
    for name in dict.fromkeys((*claimed.names, *fit.exponents)):
        low, high = fit.ranges.get(name, (1.0, 1.0))
        if low == high:
            choices.append([(0.0, Monomial(factors=(claimed.factor(name),)))])
            continue
        found = fit.exponents.get(name)
        if found is None or found.estimate is None or found.low is None or found.high is None:
            return
        bent = _log_slope(low, high) if low >= 1 and high > 2 else 0.0
        own = float(claimed.factor(name).log_power) * bent
        near = []
        for log in (0, 1) if bent else (0,):
            power = Fraction(round(2 * (found.estimate + own - log * bent)), 2)
            slope = float(power) + log * bent - own
            within = found.low - fit.tolerance <= slope <= found.high + fit.tolerance
            if within and (not log or (power >= 1 and power.denominator == 1)):
                off = abs(slope - found.estimate)
                near.append((off, Monomial.of({name: power}, {name: log})))
        choices.append(near)
    laws = []
    for picked in itertools.product(*choices):
        term = Monomial()
        for _, factor in picked:
            term = term.times(factor)
        if sum(bool(factor.log_power) for factor in term.factors) < 2:
            laws.append((sum(off for off, _ in picked), Law.of((term,))))
    yield from (law for _, law in sorted(laws, key=lambda pair: pair[0]))


def _log_slope(low: float, high: float) -> float:
    """How much a logarithm adds to the exponent over a range of sizes."""
    first = max(low, 2.0)
    return math.log(math.log(high) / math.log(first)) / math.log(high / first)
