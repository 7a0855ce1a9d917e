"""Judges a claim on the cells of one group: which explanation holds, its intervals, the verdict.

docs/judging.md describes the method; `reports.judge.models.explanations` chooses among the
claimed law, a jump and terms that outgrow it, `reports.judge.findings` answers what the verdict
rests on, and here the answers become a verdict with reasons.

Of a law with several leading terms, n²d + nd², an exponent is that of the term which leads in its
variable: n in n²d, d in nd². Terms that another one covers (nd in n²d + nd) are not judged. A size
that varies without being claimed is tested against 0. A claimed size that stands still, takes
fewer than four values or spans fewer than three doublings cannot have its exponent confirmed, and
so neither can the claim; the exponent of another size, of five values or more where a clock is
read, can still refute it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from reports.cells.cells import Cells
from reports.judge.findings import (
    PRESENT_SHARE,
    Findings,
    findings_of,
    largest_cell,
    limits_of,
    outgrown,
)
from reports.judge.judged_cells import (
    discounted,
    fewest_cells,
    judgeable,
    sizes_without_freedom,
    tested_sizes,
)
from reports.judge.models.error_scale import Setting
from reports.judge.models.fitted import Fitted, fit_model
from reports.judge.models.intervals import MOST_VARIABLES
from reports.judge.models.model import Solution
from reports.judge.refutation import refutation
from reports.judge.regimes import describe
from reports.judge.result import Basis, Fit, Leading, Regime, Term, Verdict
from reports.laws.monomials import Law, Monomial
from reports.tables.columns import TableError
from reports.text.interval import Interval

MOST_LEADING = 3
MOST_LACKING = 3
"""Cells that a claim may lack and still be refuted: tables in print often have five sizes."""
ERROR_OF_FEW = 0.01  # so few residuals may be small by luck
OVERHEAD_SHARE = 0.5
NOISY_ERROR = 0.05
NOISY_SPREAD = 0.15
NOISY_PART = 0.25


def judge(
    cells: Cells,
    law: Law,
    *,
    names: Sequence[str],
    confidence: float,
    tolerance: float,
    exact: bool,
    info: Mapping[str, Any],
    counted: Callable[[Fit], Fit] | None = None,
) -> Fit:
    """Judge a law on cells; `names` are the sizes whose exponents are asked for.

    A size that the law does not name, but that varies, is tested against exponent 0, unless it
    only moves along with the law's own sizes (d beside h at a fixed head_dim). Of a cost with a
    polynomial, `counted` says what that makes of an undecided fit; a law is then fitted only when
    somebody asks for it.

    Raises:
        TableError: more than three sizes vary.

    """
    notes = _notes(cells, exact)
    tested = tested_sizes(cells, law, names)
    fixed = sizes_without_freedom(cells, law, tested)
    tested = tuple(name for name in tested if name not in fixed.names)
    if len(tested) > MOST_VARIABLES:
        raise TableError(
            f"at most {MOST_VARIABLES} sizes can be judged at once, got {len(tested)} that vary "
            f"({', '.join(tested)}); hold one still, or leave it out of the sizes"
        )
    nothing = Interval(estimate=None, low=None, high=None)
    unknown = dict.fromkeys(law.names, nothing)
    undecided = Fit(
        claim=str(law),
        verdict=Verdict.INCONCLUSIVE,
        exponents=unknown,
        confidence=confidence,
        tolerance=tolerance,
    ).of(cells)
    if not len(cells):
        # Wanted, but wrong, unsupported, skipped or lost; or every cost is empty or 0.
        first = "censored_cells" if cells.unmeasured else "too_few_sizes"
        return replace(undecided, reasons=tuple(dict.fromkeys([first, *notes])))
    _possible(cells, law)
    setting = Setting(
        cells=replace(cells, cost=cells.cost / fixed.evaluate(cells.sizes)),
        law=law.only(tested),
        names=tested,
        confidence=confidence,
        exact=exact,
    )
    lacking = fewest_cells(setting.law, tested) - len(cells) if tested else math.inf
    if lacking > 0:
        setting = replace(setting, least_error=ERROR_OF_FEW)

    def basis_of(seek: Callable[[], tuple[Setting, Fitted]]) -> Basis | None:
        if fixed.names:
            return None
        return Basis(cells=cells, names=tested, exact=exact, seek=seek)

    if counted is not None:
        given = replace(undecided, reasons=tuple(notes))
        if lacking > MOST_LACKING:
            return counted(given)
        seek = partial(_sought, setting, law, tolerance)
        return counted(
            replace(
                given,
                exponents=dict.fromkeys((*law.names, *tested), nothing),
                held=fixed.names,
                basis=basis_of(seek),
            )
        )
    if lacking > MOST_LACKING:
        reasons = ["too_few_sizes", *limits_of(setting, law), *notes]
        return replace(undecided, reasons=tuple(dict.fromkeys(reasons)))
    setting, chosen, left_out = judgeable(discounted(setting))
    findings = findings_of(setting, chosen, law, tolerance)
    verdict, reasons = _verdict(setting, chosen, findings)
    if lacking > 0 and verdict is not Verdict.REFUTED:
        verdict, reasons = Verdict.INCONCLUSIVE, ["too_few_sizes", *findings.limits]
    if left_out is not None:
        reasons.append("regime_change")
    shown, identified = _shown_fit(setting, chosen, findings)
    found = replace(
        undecided,
        verdict=verdict,
        reasons=tuple(dict.fromkeys([*reasons, *notes])),
        exponents={**unknown, **(_stated_exponents(setting, shown) if identified else {})},
        held=fixed.names,
        basis=basis_of(partial(_pair, setting, shown)),
    )
    return _described(found, setting, shown, chosen, fixed=fixed, info=info, left_out=left_out)


def _pair(setting: Setting, shown: Fitted) -> tuple[Setting, Fitted]:
    return setting, shown


def _sought(setting: Setting, law: Law, tolerance: float) -> tuple[Setting, Fitted]:
    """The law that would be shown of a cost which is judged by its polynomial instead."""
    setting, chosen, _ = judgeable(discounted(setting))
    findings = findings_of(setting, chosen, law, tolerance)
    return setting, _shown_fit(setting, chosen, findings)[0]


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


def _verdict(setting: Setting, chosen: Fitted, findings: Findings) -> tuple[Verdict, list[str]]:
    """The verdict and what decided it, then what else stood in the way."""
    verdict = Verdict.INCONCLUSIVE
    against = bool(chosen.rival or findings.absent or findings.outside)
    if findings.misfit:
        reasons = ["lack_of_fit"]
    elif findings.overhead >= OVERHEAD_SHARE and not findings.inside and not setting.exact:
        reasons = ["overhead_dominates"]
    elif against:
        verdict, reasons = refutation(setting, chosen, findings)
    elif findings.limits:
        reasons = []
    elif not findings.inside:
        # What is little at the largest size does not dominate, though it does at most others.
        there = findings.overhead >= PRESENT_SHARE
        if there and findings.usual_overhead >= OVERHEAD_SHARE and not setting.exact:
            reasons = ["overhead_dominates"]
        elif _noisy(setting, setting.error(chosen.solution.sse, chosen.free)):
            reasons = ["noisy_measurements"]
        else:
            reasons = ["models_undecided"]
    elif not findings.claim_fits or outgrown(setting, chosen):
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


def _shown_fit(setting: Setting, chosen: Fitted, findings: Findings) -> tuple[Fitted, bool]:
    """The fit to print, and whether its exponents may be stated.

    Where the claimed term is not there to carry an exponent, overhead and one power law describe
    the cost, if they fit.
    """
    # The exponents are then those of terms that are there, in a model that fits.
    stated = not (findings.misfit or findings.absent)
    if stated or chosen.broken or chosen.rival or findings.misfit:
        return chosen, stated
    model = setting.model(lower=())
    single = fit_model(setting, model)
    fits = single.misfit <= setting.largest_misfit and len(model.leading) == 1
    fits = fits and single.share(0) >= PRESENT_SHARE
    return (single, True) if fits else (chosen, False)


def _stated_exponents(setting: Setting, shown: Fitted) -> dict[str, Interval]:
    """The exponent of each size; its estimate where both ends of the interval are known."""
    estimates = shown.found.best.tolist()
    return {
        name: Interval(estimate=None if None in ends else estimate, low=ends[0], high=ends[1])
        for name, estimate, ends in zip(setting.names, estimates, shown.intervals, strict=False)
    }


def _described(
    fit: Fit,
    setting: Setting,
    shown: Fitted,
    chosen: Fitted,
    *,
    fixed: Monomial,
    info: Mapping[str, Any],
    left_out: Regime | None,
) -> Fit:
    """The fit with its terms and regimes; a confirmed claim has the claimed exponents."""
    model = shown.model
    theta = np.round(shown.found.best, 4)
    if fit.verdict is Verdict.CONFIRMED:
        theta[: model.claimed.size] = model.claimed
    solution = model.solve(theta, shown.price)
    overhead = solution.shares[:, : model.overheads].sum(axis=1)
    before = () if left_out is None else (left_out,)
    return replace(
        fit.of(setting.cells),
        terms=_terms(setting, shown, solution, fixed),
        leading=_leading(setting, chosen, fit.exponents, fixed),
        overhead=float(overhead[largest_cell(setting)]),
        regimes=(*before, *describe(shown, overhead, info, 1 + len(before))),
        rms_residual=math.sqrt(solution.sse / len(setting.cells)),
    )


def _terms(
    setting: Setting, shown: Fitted, solution: Solution, fixed: Monomial
) -> tuple[Term, ...]:
    """The terms that hold at the largest cell, in falling order of their share there."""
    model, largest = shown.model, largest_cell(setting)
    later = 1.0 if model.later is None else shown.factor ** float(model.later[largest])
    terms: dict[str, Term] = {}
    columns = zip(model.described(solution.theta), solution.coefficients.tolist(), strict=True)
    for k, (monomial, coefficient) in enumerate(columns):
        name, share = str(monomial.times(fixed)), float(solution.shares[largest, k])
        if coefficient > 0 and share > 0:
            coefficient *= later if k >= model.overheads else 1.0
            same = terms.get(name, Term(term=name, coefficient=0.0, share_at_largest=0.0))
            terms[name] = Term(
                term=name,
                coefficient=same.coefficient + coefficient,
                share_at_largest=same.share_at_largest + share,
            )
    return tuple(sorted(terms.values(), key=lambda term: -term.share_at_largest))


def _leading(
    setting: Setting, chosen: Fitted, exponents: Mapping[str, Interval], fixed: Monomial
) -> tuple[Leading, ...]:
    """The claimed leading terms: their exponents, and their parts of the cost."""
    model, found = chosen.model, []
    for j, term in enumerate(model.leading):
        shares = chosen.solution.shares[:, len(model.terms) + j]
        free = {name for v, name in enumerate(setting.names) if model.carriers(v)[j]}
        found.append(
            Leading(
                term=str(term.times(fixed)),
                exponents={name: exponents[name] if name in free else None for name in term.names},
                share=float(shares[largest_cell(setting)]),
                most=float(shares.max()),
            )
        )
    return tuple(found)
