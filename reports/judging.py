"""Judges a claim on the cells of one group: which explanation holds, its intervals, the verdict.

The method is section 7 of docs/design.md; `reports.explanations` chooses among the claimed law, a
jump and terms that outgrow it, `reports.findings` answers what the verdict rests on, and here the
answers become a verdict with reasons.

Of a law with several leading terms, n²d + nd², an exponent is that of the term which leads in its
variable: n in n²d, d in nd². Terms that another one covers (nd in n²d + nd) are not judged. A size
that varies without being claimed is tested against 0. A claimed size that stands still, takes
fewer than four values or spans fewer than three doublings cannot have its exponent confirmed, and
so neither can the claim; the exponent of another size, of five values or more where a clock is
read, can still refute it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from reports.cells import Cells
from reports.explanations import (
    Fitted,
    fit_model,
    outgrown,
    twin_is_better,
)
from reports.findings import (
    PRESENT_SHARE,
    VISIBLE_SHARE,
    Findings,
    findings_of,
    largest_cell,
    limits_of,
)
from reports.judged_cells import discounted, fewest_cells, judgeable
from reports.judgement import Basis, Interval, Leading, Regime, Term, Verdict
from reports.models import Model, Solution
from reports.monomials import Factor, Floats, Law, Monomial
from reports.profiles import MOST_VARIABLES
from reports.refutation import refutation
from reports.regimes import describe
from reports.setting import Setting
from reports.tables.columns import TableError

MOST_LEADING = 3
MOST_LACKING = 3
"""Cells that a claim may lack and still be refuted: tables in print often have five sizes."""
ERROR_OF_FEW = 0.01  # so few residuals may be small by luck
OVERHEAD_SHARE = 0.5
NOISY_ERROR = 0.05
NOISY_SPREAD = 0.15
NOISY_PART = 0.25


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What `judge` finds; what is not told here is as in `Fit`.

    `given` are the cells that came to it, `cells` those that it chose and weighed.
    """

    given: Cells
    cells: Cells
    verdict: Verdict
    reasons: tuple[str, ...]
    exponents: Mapping[str, Interval] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    leading: tuple[Leading, ...] = ()
    overhead: float | None = None
    regimes: tuple[Regime, ...] = ()
    rms_residual: float | None = None
    basis: Basis | None = None
    held: tuple[str, ...] = ()
    counted: str | None = None


def judge(
    cells: Cells,
    law: Law,
    *,
    names: Sequence[str],
    confidence: float,
    tolerance: float,
    exact: bool,
    info: Mapping[str, Any],
) -> Judgement:
    """Judge a law on cells; `names` are the sizes whose exponents are asked for.

    A size that the law does not name, but that varies, is tested against exponent 0, unless it
    only moves along with the law's own sizes (d beside h at a fixed head_dim).

    Raises:
        TableError: more than three sizes vary.

    """
    notes = _notes(cells, exact)
    tested = _tested(cells, law, names)
    held = _held(cells, law, tested)
    tested = tuple(name for name in tested if name not in held.names)
    if len(tested) > MOST_VARIABLES:
        raise TableError(
            f"at most {MOST_VARIABLES} sizes can be judged at once, got {len(tested)} that vary "
            f"({', '.join(tested)}); hold one still, or leave it out of the sizes"
        )
    unknown = {name: Interval(estimate=None, low=None, high=None) for name in law.names}
    if not len(cells):
        # Wanted, but wrong, unsupported, skipped or lost; or every cost is empty or 0.
        first = "censored_cells" if cells.unmeasured else "too_few_sizes"
        return _undecided(cells, [first, *notes], unknown)
    _possible(cells, law)
    setting = Setting(
        cells=replace(cells, cost=cells.cost / held.evaluate(cells.sizes)),
        law=law.only(frozenset(tested)),
        names=tested,
        confidence=confidence,
        exact=exact,
    )
    lacking = fewest_cells(setting.law, tested) - len(cells) if tested else math.inf
    if lacking > MOST_LACKING:
        limits = limits_of(setting, law)
        return _undecided(cells, ["too_few_sizes", *limits, *notes], unknown)
    if lacking > 0:
        setting = replace(setting, least_error=ERROR_OF_FEW)
    setting, choice, left_out = judgeable(discounted(setting))
    findings = findings_of(setting, choice.fitted, choice.tie, law, tolerance)
    verdict, reasons = _verdict(setting, choice.fitted, findings, tolerance)
    shown, identified = _shown(setting, choice.fitted, findings)
    if lacking > 0 and verdict is not Verdict.REFUTED:
        verdict, reasons = Verdict.INCONCLUSIVE, ["too_few_sizes", *findings.limits]
    if left_out is not None:
        reasons.append("regime_change")
    answer = _answer(
        setting,
        shown,
        choice.fitted,
        verdict=verdict,
        reasons=(*dict.fromkeys([*reasons, *notes]),),
        exponents={**unknown, **(_exponents(setting, shown) if identified else {})},
        info=info,
        first_regime=1 if left_out is None else 2,
        held=held,
        given=cells,
    )
    return answer if left_out is None else replace(answer, regimes=(left_out, *answer.regimes))


def check_leading(law: Law) -> None:
    """Refuse a law with more leading terms than can be told apart.

    Raises:
        TableError: it has more than MOST_LEADING.

    """
    if len(law.leading) > MOST_LEADING:
        raise TableError(
            f"at most {MOST_LEADING} leading terms can be judged at once, got {len(law.leading)} "
            f"in {law}; claim those that lead, without what they cover"
        )


def _possible(cells: Cells, law: Law) -> None:
    """Refuse what cannot be computed.

    Raises:
        TableError: a logarithm of a size below 1, or more leading terms than can be told apart.

    """
    check_leading(law)
    for term in law.terms:
        for factor in term.factors:
            if not factor.log_power:
                continue
            least = float(cells.sizes[factor.name].min())
            if least < 1 or (least == 1 and factor.log_power < 0):
                raise TableError(
                    f"{term} needs sizes above 1, since it takes their logarithm, got "
                    f"{factor.name} = {least:g}; count it in smaller units, or leave such rows out"
                )


def _verdict(
    setting: Setting, chosen: Fitted, findings: Findings, tolerance: float
) -> tuple[Verdict, list[str]]:
    """The verdict and what decided it, then what else stood in the way."""
    verdict = Verdict.INCONCLUSIVE
    against = bool(chosen.rival or findings.absent or findings.outside)
    if findings.misfit:
        reasons = ["lack_of_fit"]
    elif findings.tie:
        reasons = ["models_undecided"]
    elif findings.overhead >= OVERHEAD_SHARE and not findings.inside and not setting.exact:
        reasons = ["overhead_dominates"]
    elif against:
        verdict, reasons = refutation(setting, chosen, findings, tolerance)
    elif findings.limits:
        reasons = []
    elif findings.weak or not findings.inside:
        noisy = _noisy(setting, setting.error(chosen.solution.sse, chosen.free))
        # What is little at the largest size does not dominate, though it does at most others.
        there = findings.overhead >= PRESENT_SHARE
        drowned = there and findings.usual_overhead >= OVERHEAD_SHARE and not setting.exact
        reasons = [
            "overhead_dominates"
            if drowned
            else "noisy_measurements"
            if noisy and not findings.weak
            else "models_undecided"
        ]
    elif (
        not findings.claim_fits
        or outgrown(setting, chosen, VISIBLE_SHARE, PRESENT_SHARE)
        or twin_is_better(setting, chosen, tolerance)
    ):
        reasons = ["models_undecided"]
    else:
        verdict, reasons = Verdict.CONFIRMED, []
    if verdict is Verdict.INCONCLUSIVE:
        reasons += findings.limits
    if chosen.broken is not None:
        reasons.append("regime_change")
    return verdict, reasons


def _noisy(setting: Setting, error: float) -> bool:
    """Whether cells lie off the law for noise: not where their readings agree far better."""
    known = setting.cells.median_error
    return error > NOISY_ERROR and (known is None or known > error / 4)


def _shown(setting: Setting, chosen: Fitted, findings: Findings) -> tuple[Fitted, bool]:
    """The fit to print, and whether its exponents may be stated.

    Where the claimed term is not there to carry an exponent, or weighs too little to be the growth
    of the cost, overhead and one power law describe it, if they fit.
    """
    stated = findings.identified and not findings.weak
    if stated or chosen.broken or chosen.rival or findings.misfit:
        return chosen, stated
    model = Model(setting.cells, setting.law, names=setting.names, lower=())
    single = fit_model(setting, model)
    fits = single.misfit <= setting.largest_misfit and len(model.leading) == 1
    fits = fits and single.share(0) >= PRESENT_SHARE
    return (single, True) if fits else (chosen, False)


def _exponents(setting: Setting, shown: Fitted) -> dict[str, Interval]:
    exponents = {}
    for v, name in enumerate(setting.names):
        low, high = shown.intervals[v]
        estimate = float(shown.found.best[v])
        known = low is not None and high is not None
        exponents[name] = Interval(
            estimate=estimate if known else None,
            low=None if low is None else float(low),
            high=None if high is None else float(high),
        )
    return exponents


def _answer(
    setting: Setting,
    shown: Fitted,
    chosen: Fitted,
    *,
    verdict: Verdict,
    reasons: tuple[str, ...],
    exponents: Mapping[str, Interval],
    info: Mapping[str, Any],
    first_regime: int,
    held: Monomial,
    given: Cells,
) -> Judgement:
    """The printed answer; a confirmed claim is printed with the claimed exponents."""
    model = shown.model
    theta = np.round(shown.found.best, 4)
    if verdict is Verdict.CONFIRMED:
        theta[: model.claimed.size] = model.claimed
    solution = model.solve(theta, shown.price)
    overhead = solution.shares[:, : model.overheads].sum(axis=1)
    return Judgement(
        given=given,
        cells=setting.cells,
        verdict=verdict,
        reasons=reasons,
        exponents=exponents,
        terms=_terms(setting, shown, solution, held),
        leading=_leading(setting, chosen, exponents, held),
        overhead=float(overhead[largest_cell(setting)]),
        regimes=describe(setting.cells, shown.broken, shown.factor, overhead, info, first_regime),
        rms_residual=math.sqrt(solution.sse / len(setting.cells)),
        basis=None if held.names else Basis(cells=given, setting=setting, fitted=shown),
        held=held.names,
    )


def _terms(setting: Setting, shown: Fitted, solution: Solution, held: Monomial) -> tuple[Term, ...]:
    """The terms that hold at the largest cell, in falling order of their share there."""
    model, largest = shown.model, largest_cell(setting)
    later = 1.0 if model.later is None else shown.factor ** float(model.later[largest])
    terms: dict[Monomial, tuple[float, float]] = {}
    for k, term in enumerate(model.described(solution.theta)):
        coefficient = float(solution.coefficients[k])
        share = float(solution.shares[largest, k])
        if k >= model.overheads:
            coefficient *= later
        if coefficient > 0 and share > 0:
            before = terms.get(term, (0.0, 0.0))
            terms[term] = (before[0] + coefficient, before[1] + share)
    ordered = sorted(terms.items(), key=lambda entry: -entry[1][1])
    return tuple(
        Term(term=str(term.times(held)), coefficient=coefficient, share_at_largest=share)
        for term, (coefficient, share) in ordered
    )


def _leading(
    setting: Setting, chosen: Fitted, exponents: Mapping[str, Interval], held: Monomial
) -> tuple[Leading, ...]:
    """The claimed leading terms: their exponents, and their parts of the cost."""
    model, found = chosen.model, []
    for j, term in enumerate(model.leading):
        shares = chosen.solution.shares[:, len(model.terms) + j]
        free = {name for v, name in enumerate(setting.names) if model.carriers(v)[j]}
        found.append(
            Leading(
                term=str(term.times(held)),
                exponents={name: exponents[name] if name in free else None for name in term.names},
                share=float(shares[largest_cell(setting)]),
                most=float(shares.max()),
            )
        )
    return tuple(found)


def _undecided(cells: Cells, reasons: list[str], exponents: Mapping[str, Interval]) -> Judgement:
    return Judgement(
        given=cells,
        cells=cells,
        verdict=Verdict.INCONCLUSIVE,
        reasons=tuple(dict.fromkeys(reasons)),
        exponents=exponents,
    )


def _notes(cells: Cells, exact: bool) -> list[str]:
    """Reasons that inform, whatever the verdict; noise on the clock does not disturb a count."""
    notes = []
    wild = (cells.scatter.reading or 0.0) > NOISY_SPREAD
    unsure = len(cells) and (cells.weights < 1).mean() > NOISY_PART
    if not exact and (wild or cells.noisy > NOISY_PART or unsure):
        notes.append("noisy_measurements")
    if cells.censored:
        notes.append("censored_cells")
    return notes


def _tested(cells: Cells, law: Law, names: Sequence[str]) -> tuple[str, ...]:
    """The sizes that vary: the law's own, and others unless they only follow the law's own."""
    own = [name for name in law.names if cells.distinct(name).size > 1]
    others = [name for name in names if name not in law.names and cells.distinct(name).size > 1]
    return (*own, *(name for name in others if not _follows(cells, name, own)))


def _held(cells: Cells, law: Law, tested: Sequence[str]) -> Monomial:
    """The sizes, as a factor, whose power is taken as claimed: those that others leave no freedom.

    Where batch is 16384 / n, nothing tells its power from that of n. It is taken to be 1 if every
    leading term claims that: the cost is then judged for one item of a batch.
    """
    held: list[str] = []
    for name in reversed(tested):
        rest = [other for other in tested if other != name and other not in held]
        plain = Factor(name=name, power=Fraction(1))
        if rest and all(term.factor(name) == plain for term in law.leading):
            slopes = _slopes_of(cells, name, rest)
            if slopes is not None and slopes.max() < 1e-6:
                held.append(name)
    return Monomial.of(dict.fromkeys(held, 1))


def _follows(cells: Cells, name: str, own: Sequence[str]) -> bool:
    """Whether log size is a linear function of the law's log sizes, as d = 64 h is of h."""
    return bool(own) and _slopes_of(cells, name, own) is not None


def _slopes_of(cells: Cells, name: str, others: Sequence[str]) -> Floats | None:
    """The slopes of one log size over others, where it is a linear function of them."""
    target = np.log(cells.sizes[name])
    columns = [np.ones(target.size), *(np.log(cells.sizes[other]) for other in others)]
    matrix = np.column_stack(columns)
    solution = np.linalg.lstsq(matrix, target, rcond=None)[0]
    linear = float(np.abs(target - matrix @ solution).max()) < 1e-6
    return np.asarray(solution[1:]) if linear else None
