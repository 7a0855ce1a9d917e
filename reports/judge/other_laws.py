"""What keeps a claim from being confirmed: a term that outgrows it, or its logarithmic twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import f as f_distribution

from reports.judge.models import jumps
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import Fitted, is_long
from reports.judge.models.outgrowing import rivals
from reports.judge.models.related_terms import twins
from reports.laws.monomials import Floats

TWIN_CONFIDENCE = 0.999
OUTGROWN_LEVEL = 0.002  # of a false alarm: it would cost a true claim its confirmation


def outgrown(setting: Setting, chosen: Fitted, visible: float) -> bool:
    """Whether some outgrowing term is significantly there and weighs a visible share of some cell.

    It has to explain more than free exponents do: a drift that stays within the tolerance is not
    another term.
    """
    tried = rivals(setting)
    later = chosen.model.later
    for term in tried:
        model = setting.model(extra=(term,), later=later)
        for theta in (_claimed(chosen), chosen.found.best):
            solution = model.solve(theta, chosen.price)
            free = max(len(setting.cells) - solution.active, 1)
            # One of many is tried, so the level is shared among them (Bonferroni).
            quantile = float(f_distribution.isf(OUTGROWN_LEVEL / len(tried), 1, free))
            gain = chosen.found.value - solution.priced
            share = float(solution.shares[:, model.overheads].max())
            if share >= visible and gain > quantile * setting.error(solution.sse, free) ** 2:
                return True
    return False


def twin_is_better(setting: Setting, chosen: Fitted, tolerance: float) -> bool:
    """Whether the law with a logarithm more or less explains the cells where the claim does not.

    n^2.2 and n²·log n lie within a tolerance of each other. The claim is not confirmed where its
    own exponents are excluded and such a twin, its exponents free, explains the cells as well.
    """
    excess = chosen.model.value(_claimed(chosen), chosen.price) - chosen.found.value
    margin = setting.threshold(0.0, chosen.free, confidence=TWIN_CONFIDENCE)
    noise = setting.error(chosen.solution.sse, chosen.free) ** 2
    if excess <= noise * margin / setting.error(0.0, chosen.free) ** 2:
        return False
    off = np.abs(chosen.found.best[: len(setting.names)] - chosen.model.claimed)
    far = {
        name
        for name, by in zip(setting.names, off, strict=True)
        if by > tolerance / (4 if is_long(setting.cells, name) else 2)
    }
    for law in twins(setting.law, far):
        later = chosen.model.later
        model = replace(setting, law=law).model(later=later)
        value = model.value(jumps.near(model, chosen.found.best, chosen.price), chosen.price)
        if value <= chosen.found.value + noise:
            return True
    return False


def _claimed(chosen: Fitted) -> Floats:
    """The claimed exponents, at the jump that was found."""
    theta = chosen.found.best.copy()
    theta[: chosen.model.claimed.size] = chosen.model.claimed
    return theta
