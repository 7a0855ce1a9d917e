"""Whether evidence against a claim refutes it, or something else might explain it."""

from __future__ import annotations

from reports.judge.findings import FEWEST_SIZES, PRESENT_SHARE, Findings, long_enough
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import Fitted, fit_model
from reports.judge.models.model import Model
from reports.judge.models.outgrowing import rests_on_largest
from reports.judge.result import Verdict
from reports.judge.saving import is_saved

REFUTING = ("faster_growing_term", "claimed_term_absent", "exponent_outside_tolerance")


def refutation(setting: Setting, chosen: Fitted, findings: Findings) -> tuple[Verdict, list[str]]:
    """Refuted, and by what, unless sizes, a small share or a change of the cost leave it open."""
    if "sizes_collinear" in findings.limits:
        return Verdict.INCONCLUSIVE, []
    long = all(long_enough(setting.cells, name) for name in setting.names)
    if (findings.absent or chosen.rival) and not long:
        return Verdict.INCONCLUSIVE, []
    # A jump takes a size to be told from growth: four sizes then show three of it. Beside another
    # size of which there is too little, four do not tell a clock's growth from a ramp, or noise.
    few = [setting.cells.distinct(name).size <= FEWEST_SIZES for name in findings.outside]
    if any(few) and chosen.broken is not None:
        return Verdict.INCONCLUSIVE, ["models_undecided"]
    if few and all(few) and findings.limits and not setting.exact:
        return Verdict.INCONCLUSIVE, []
    small = chosen.rival_share < PRESENT_SHARE
    if chosen.rival and (small or rests_on_largest(setting, chosen.rival)):
        return Verdict.INCONCLUSIVE, ["models_undecided"]
    if findings.outside and not _outside_without_ramp(setting, chosen, findings):
        return Verdict.INCONCLUSIVE, ["models_undecided"]
    if is_saved(setting, chosen, findings.absent, findings.allowed):
        return Verdict.INCONCLUSIVE, ["models_undecided"]
    grounds = (chosen.rival, findings.absent, findings.outside)
    return Verdict.REFUTED, [code for code, found in zip(REFUTING, grounds, strict=True) if found]


def _outside_without_ramp(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether an exponent lies outside whether or not a cache is thought to be left by degrees.

    Such a ramp takes over a part of the growth, or gives some to the exponents: alone it refutes
    nothing.
    """
    if chosen.broken is None or chosen.broken.gradual is None:
        return True
    model = Model(setting.cells, setting.law, names=setting.names)
    plain = fit_model(setting, model, chosen.price)
    for name in findings.outside:
        v = setting.names.index(name)
        least, most = findings.allowed[v]
        (low, high), (plain_low, plain_high) = chosen.intervals[v], plain.intervals[v]
        lows, highs = (low, plain_low), (high, plain_high)
        if all(one is not None and one > most for one in lows):
            return True
        if all(one is not None and one < least for one in highs):
            return True
    return False
