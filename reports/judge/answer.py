"""What is printed of a fit: its exponents, terms, shares and regimes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reports.cells.cells import Cells
from reports.judge.findings import PRESENT_SHARE, Findings, largest_cell
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import Fitted, fit_model
from reports.judge.models.model import Solution
from reports.judge.regimes import describe
from reports.judge.result import Basis, Fit, Leading, Term, Verdict
from reports.laws.monomials import Law, Monomial
from reports.text.interval import Interval


def shown_fit(setting: Setting, chosen: Fitted, findings: Findings) -> tuple[Fitted, bool]:
    """The fit to print, and whether its exponents may be stated.

    Where the claimed term is not there to carry an exponent, overhead and one power law describe
    the cost, if they fit.
    """
    stated = findings.identified
    if stated or chosen.broken or chosen.rival or findings.misfit:
        return chosen, stated
    model = setting.model(lower=())
    single = fit_model(setting, model)
    fits = single.misfit <= setting.largest_misfit and len(model.leading) == 1
    fits = fits and single.share(0) >= PRESENT_SHARE
    return (single, True) if fits else (chosen, False)


def stated_exponents(setting: Setting, shown: Fitted) -> dict[str, Interval]:
    """The exponent of each size; its estimate where both ends of the interval are known."""
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


def answer(
    setting: Setting,
    shown: Fitted,
    chosen: Fitted,
    *,
    verdict: Verdict,
    reasons: tuple[str, ...],
    exponents: Mapping[str, Interval],
    info: Mapping[str, Any],
    first_regime: int,
    fixed: Monomial,
    given: Cells,
    law: Law,
    tolerance: float,
) -> Fit:
    """The printed answer; a confirmed claim is printed with the claimed exponents."""
    model = shown.model
    theta = np.round(shown.found.best, 4)
    if verdict is Verdict.CONFIRMED:
        theta[: model.claimed.size] = model.claimed
    solution = model.solve(theta, shown.price)
    overhead = solution.shares[:, : model.overheads].sum(axis=1)
    found = Fit(
        claim=str(law),
        verdict=verdict,
        reasons=reasons,
        exponents=exponents,
        terms=_terms(setting, shown, solution, fixed),
        leading=_leading(setting, chosen, exponents, fixed),
        overhead=float(overhead[largest_cell(setting)]),
        regimes=describe(setting.cells, shown.broken, shown.factor, overhead, info, first_regime),
        rms_residual=math.sqrt(solution.sse / len(setting.cells)),
        basis=None if fixed.names else Basis(cells=given, setting=setting, fitted=shown),
        held=fixed.names,
        confidence=setting.confidence,
        tolerance=tolerance,
    )
    return found.of(setting.cells)


def _terms(
    setting: Setting, shown: Fitted, solution: Solution, fixed: Monomial
) -> tuple[Term, ...]:
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
        Term(term=str(term.times(fixed)), coefficient=coefficient, share_at_largest=share)
        for term, (coefficient, share) in ordered
    )


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
