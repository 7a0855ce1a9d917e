"""The questions that a verdict rests on, answered for the chosen explanation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri

from reports.cells.cells import Cells
from reports.judge.models.error_scale import MISFIT_IN_ERRORS, Setting
from reports.judge.models.fitted import Fitted
from reports.judge.models.model import Model
from reports.laws.monomials import Floats, Law, outgrowing

FEWEST_SIZES = 4
FEWEST_DOUBLINGS = 3.0
COLLINEAR = 0.05  # smallest eigenvalue of the correlations of log sizes; two sizes: r = 0.95
PRESENT_SHARE = 0.2
VISIBLE_SHARE = 0.1
LARGEST_DRIFT = 0.05  # of the cost about a law whose exponents lie a little off
OUTGROWN_LEVEL = 0.002  # of a false alarm: it would cost a true claim its confirmation
WIDEST = 2.5  # with the usual tolerance, half-way to the next half power

Allowed = tuple[tuple[float, float], ...]
"""The least and the most that each exponent may be."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a verdict rests on.

    `claim_fits` says that the law fits with the claimed exponents about as well as with others.
    `limits` are reasons in the sizes themselves; `absent` numbers leading terms shown to be
    absent; `overhead` is its part of the cost at the largest cell, `usual_overhead` in the middle
    one; `outside` names sizes whose interval lies outside what is `allowed`.
    """

    limits: tuple[str, ...]
    misfit: bool
    absent: tuple[int, ...]
    overhead: float
    usual_overhead: float
    inside: bool
    claim_fits: bool
    outside: tuple[str, ...]
    allowed: Allowed


def findings_of(setting: Setting, chosen: Fitted, claimed: Law, tolerance: float) -> Findings:
    """Answer the questions for the chosen explanation of a claim."""
    absent = _absent(setting, chosen)
    allowed = allowed_exponents(setting, chosen, tolerance)
    fixed = _overhead(setting, chosen)
    inside, outside = not absent, []
    for name, (least, most), (low, high) in zip(
        setting.names, allowed, chosen.intervals, strict=True
    ):
        beyond = (low is not None and low > most) or (high is not None and high < least)
        if beyond and not absent and long_enough(setting.cells, name):
            outside.append(name)
        inside &= low is not None and high is not None and low >= least and high <= most
    return Findings(
        limits=limits_of(setting, claimed),
        misfit=chosen.misfit > setting.largest_misfit,
        absent=absent,
        overhead=float(fixed[largest_cell(setting)]),
        usual_overhead=float(np.median(fixed)),
        claim_fits=_claim_fits(chosen),
        allowed=allowed,
        inside=inside,
        outside=tuple(outside),
    )


def allowed_exponents(setting: Setting, chosen: Fitted, tolerance: float) -> Allowed:
    """The least and the most that each exponent may be.

    The tolerance is meant for the growth of the cost. One of several leading terms, with a part s
    of the cost, moves that by s as much, so that its exponent may be off by tolerance / s; by
    WIDEST times the tolerance at most.
    """
    shares = chosen.solution.shares[:, len(chosen.model.terms) :]
    means = (shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0)
    margins = []
    for v in range(len(setting.names)):
        part = float(means[chosen.model.carriers(v)].sum()) if means.size > 1 else 1.0
        margins.append(tolerance * min(WIDEST, 1.0 / max(part, 1e-3)))
    largest = [float(setting.cells.sizes[name].max()) for name in setting.names]
    return within(chosen.model, margins, largest)


def within(model: Model, margins: Sequence[float], largest: Sequence[float]) -> Allowed:
    """The claimed exponents, plus and minus a margin or half of a claimed logarithm.

    A claimed logarithm is to be told from none: it adds 1 / ln n to the exponent at the largest n,
    and on that side half of it may be missing.
    """
    found = []
    for v, (name, margin) in enumerate(zip(model.names, margins, strict=True)):
        carrying = itertools.compress(model.leading, model.carriers(v))
        logs = [power for term in carrying if (power := term.factor(name).log_power)]
        halves = [0.5 * float(power) / math.log(largest[v]) for power in logs]
        below = min([margin, *(half for half in halves if half > 0)])
        above = min([margin, *(-half for half in halves if half < 0)])
        claim = float(model.claimed[v])
        found.append((claim - below, claim + above))
    return tuple(found)


def _claim_fits(chosen: Fitted) -> bool:
    """Whether the residual standard error is about as small with the claimed exponents."""
    claimed = chosen.model.solve(chosen.at_the_claim)
    misfit = math.sqrt(claimed.sse / max(chosen.model.cells.cost.size - claimed.active, 1))
    return misfit <= max(LARGEST_DRIFT, MISFIT_IN_ERRORS * chosen.misfit)


def _absent(setting: Setting, chosen: Fitted) -> tuple[int, ...]:
    """The leading terms that are shown to be absent."""
    model = chosen.model
    absent: list[int] = []
    if not model.overheads:
        return ()  # a constant law: its one term is the whole cost
    theta = chosen.at_the_claim
    base = model.solve(theta)
    threshold = setting.threshold(base.sse, len(setting.cells) - base.active)
    region = chosen.found.value + setting.margin(chosen.solution.sse, chosen.free, theta.size + 1)
    # A jump, and what counts allocate in blocks, can hide a term that is there.
    told = chosen.broken is None and not setting.exact
    fits = told and math.sqrt(base.sse / len(setting.cells)) <= setting.largest_misfit
    for j in range(len(model.leading)):
        squares = model.squares_with(theta, j, VISIBLE_SHARE)
        share = float(base.shares[:, len(model.terms) + j].max())
        negligible = share < VISIBLE_SHARE and squares > threshold
        if negligible and (fits or model.value(theta, chosen.price, drop=j) <= region):
            absent.append(j)
    return tuple(absent)


def _overhead(setting: Setting, chosen: Fitted) -> Floats:
    """The overhead's part of the cost of each cell."""
    model = chosen.model
    solution = chosen.solution
    claimed = model.solve(chosen.at_the_claim)
    if math.sqrt(claimed.sse / len(setting.cells)) <= max(setting.largest_misfit, chosen.misfit):
        solution = claimed  # free exponents near 0 would take the overhead's place
    return np.asarray(solution.shares[:, : model.overheads].sum(axis=1))


def outgrown(setting: Setting, chosen: Fitted) -> bool:
    """Whether some outgrowing term is significantly there and weighs a visible share of some cell.

    It has to explain more than free exponents do: a drift that stays within the tolerance is not
    another term.
    """
    tried = outgrowing(setting.law, setting.names)
    for term in tried:
        model = setting.model(extra=(term,), later=chosen.model.later)
        for theta in (chosen.at_the_claim, chosen.found.best):
            solution = model.solve(theta, chosen.price)
            free = max(len(setting.cells) - solution.active, 1)
            # One of many is tried, so the level is shared among them (Bonferroni).
            quantile = float(fdtri(1, free, 1 - OUTGROWN_LEVEL / len(tried)))
            gain = chosen.found.value - solution.priced
            share = float(solution.shares[:, model.overheads].max())
            if share >= VISIBLE_SHARE and gain > quantile * setting.error(solution.sse, free) ** 2:
                return True
    return False


def limits_of(setting: Setting, claimed: Law) -> tuple[str, ...]:
    """What about the sizes themselves keeps the claim from being confirmed."""
    cells = setting.cells
    limits = []
    wanted = {*claimed.names, *setting.names}
    if any(cells.distinct(name).size < FEWEST_SIZES for name in wanted):
        limits.append("too_few_sizes")
    if any(_doublings(cells, name) < FEWEST_DOUBLINGS for name in setting.names):
        limits.append("range_too_short")
    if len(setting.names) > 1:
        logs = np.array([np.log(cells.sizes[name]) for name in setting.names])
        if float(np.linalg.eigvalsh(np.corrcoef(logs)).min()) < COLLINEAR:
            limits.append("sizes_collinear")
    return tuple(limits)


def long_enough(cells: Cells, name: str) -> bool:
    """Whether a size takes enough values, over enough doublings, for its exponent to be told."""
    enough = cells.distinct(name).size >= FEWEST_SIZES
    return enough and _doublings(cells, name) >= FEWEST_DOUBLINGS


def _doublings(cells: Cells, name: str) -> float:
    """Over how many doublings the values of a size reach."""
    values = cells.distinct(name)
    return math.log2(values[-1] / values[0]) + 1e-9


def largest_cell(setting: Setting) -> int:
    """The cell where the law is largest; among equal ones, where the other sizes are."""
    cells = setting.cells
    size = setting.law.leading[0].evaluate(cells.sizes)
    for name in setting.names:
        size = size * cells.sizes[name] ** 1e-6
    return int(size.argmax())
