"""Whether evidence against a claim refutes it, or something else might explain it."""

from __future__ import annotations

from reports.judge.findings import FEWEST_SIZES, Findings, long_enough
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import Fitted, fit_model
from reports.judge.models.outgrowing import rests_on_largest
from reports.judge.result import Verdict
from reports.judge.saving import is_saved

REFUTING = ("faster_growing_term", "claimed_term_absent", "exponent_outside_tolerance")


def refutation(setting: Setting, chosen: Fitted, findings: Findings) -> tuple[Verdict, list[str]]:
    """Refuted, and by what, unless sizes, a small share or a change of the cost leave it open."""
    if (
        "sizes_collinear" in findings.limits
        or _sizes_too_few(setting, chosen, findings)
        or _too_few_at_the_limit(setting, chosen, findings)
    ):
        return Verdict.INCONCLUSIVE, []
    if (
        _too_few_beside_a_jump(setting, chosen, findings)
        or (chosen.rival and rests_on_largest(setting, chosen.rival))
        or (findings.outside and _rests_on_ramp(setting, chosen, findings))
        or is_saved(setting, chosen, findings.absent)
    ):
        return Verdict.INCONCLUSIVE, ["models_undecided"]
    grounds = (chosen.rival, findings.absent, findings.outside)
    return Verdict.REFUTED, [code for code, found in zip(REFUTING, grounds, strict=True) if found]


def _sizes_too_few(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether a missing or an outgrowing term is told from sizes that do not reach far enough."""
    long = all(long_enough(setting.cells, name) for name in setting.names)
    return bool(findings.absent or chosen.rival) and not long


def _too_few_beside_a_jump(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether a jump leaves three sizes to tell growth by: it takes one to be told from growth."""
    few = [setting.cells.distinct(name).size <= FEWEST_SIZES for name in findings.outside]
    return any(few) and chosen.broken is not None


def _too_few_at_the_limit(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether four sizes refute where there is too little of another size.

    They do not tell a clock's growth from a ramp, or noise.
    """
    few = [setting.cells.distinct(name).size <= FEWEST_SIZES for name in findings.outside]
    told = setting.exact or chosen.broken is not None
    return bool(few) and all(few) and bool(findings.limits) and not told


def _rests_on_ramp(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether no exponent lies outside both with a cache that is left by degrees and without it.

    Such a ramp takes over a part of the growth, or gives some to the exponents: alone it refutes
    nothing.
    """
    if chosen.broken is None or chosen.broken.gradual is None:
        return False
    model = setting.model()
    plain = fit_model(setting, model, chosen.price)
    for name in findings.outside:
        v = setting.names.index(name)
        least, most = findings.allowed[v]
        (low, high), (plain_low, plain_high) = chosen.intervals[v], plain.intervals[v]
        lows, highs = (low, plain_low), (high, plain_high)
        if all(one is not None and one > most for one in lows):
            return False
        if all(one is not None and one < least for one in highs):
            return False
    return True
