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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reports.cells.cells import Cells
from reports.judge.answer import answer, shown_fit, stated_exponents
from reports.judge.findings import PRESENT_SHARE, Findings, findings_of, limits_of, outgrown
from reports.judge.judged_cells import (
    discounted,
    fewest_cells,
    judgeable,
    sizes_without_freedom,
    tested_sizes,
)
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import Fitted
from reports.judge.models.intervals import MOST_VARIABLES
from reports.judge.refutation import refutation
from reports.judge.result import Fit, Verdict
from reports.laws.monomials import Law
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
) -> Fit:
    """Judge a law on cells; `names` are the sizes whose exponents are asked for.

    A size that the law does not name, but that varies, is tested against exponent 0, unless it
    only moves along with the law's own sizes (d beside h at a fixed head_dim).

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
    unknown = {name: Interval(estimate=None, low=None, high=None) for name in law.names}
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
    if lacking > MOST_LACKING:
        limits = limits_of(setting, law)
        reasons = ["too_few_sizes", *limits, *notes]
        return replace(undecided, reasons=tuple(dict.fromkeys(reasons)))
    if lacking > 0:
        setting = replace(setting, least_error=ERROR_OF_FEW)
    setting, chosen, left_out = judgeable(discounted(setting))
    findings = findings_of(setting, chosen, law, tolerance)
    verdict, reasons = _verdict(setting, chosen, findings)
    shown, identified = shown_fit(setting, chosen, findings)
    if lacking > 0 and verdict is not Verdict.REFUTED:
        verdict, reasons = Verdict.INCONCLUSIVE, ["too_few_sizes", *findings.limits]
    if left_out is not None:
        reasons.append("regime_change")
    found = answer(
        setting,
        shown,
        chosen,
        verdict=verdict,
        reasons=(*dict.fromkeys([*reasons, *notes]),),
        exponents={**unknown, **(stated_exponents(setting, shown) if identified else {})},
        info=info,
        first_regime=1 if left_out is None else 2,
        fixed=fixed,
        given=cells,
        law=law,
        tolerance=tolerance,
    )
    return found if left_out is None else replace(found, regimes=(left_out, *found.regimes))


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
        noisy = _noisy(setting, setting.error(chosen.solution.sse, chosen.free))
        # What is little at the largest size does not dominate, though it does at most others.
        there = findings.overhead >= PRESENT_SHARE
        drowned = there and findings.usual_overhead >= OVERHEAD_SHARE and not setting.exact
        reasons = [
            "overhead_dominates"
            if drowned
            else "noisy_measurements"
            if noisy
            else "models_undecided"
        ]
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
