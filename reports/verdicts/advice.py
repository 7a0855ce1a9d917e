"""The numbers of one fit behind its reasons, and what they say to do next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from reports.judge.exact.counted import in_words
from reports.judge.findings import FEWEST_SIZES, VISIBLE_SHARE
from reports.judge.judged_cells import fewest_cells
from reports.judge.models.explanations import is_long
from reports.judge.proposals import proposed
from reports.judge.refutation import REFUTING
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import LawError, parse_declared, parse_monomial
from reports.laws.monomials import Law
from reports.text.wording import capital, count, listed, percent, shortened
from reports.verdicts.exponents import outside_claim, reaching_beyond_claim
from reports.verdicts.foreign_tables import growth_of_few, on_moving_sizes, on_settings

ENOUGH = 0.5
"""The part of the cost that the claimed terms should have at the largest size."""
MOST_DOUBLINGS = 20  # of the largest size: beyond, no advice is worth giving
WANTED_LEVELS = FEWEST_SIZES + 1  # the judge trusts four values of a size least
WANTED_DOUBLINGS = 5
_LONGEST = 320  # characters of evidence, which ends with what to do


def advice(fit: Fit, code: str) -> str | None:
    """What this fit's own numbers add to a reason code; None where they add nothing.

    "extend n to 16384: the claimed term is 18 % of the cost at the largest size measured". Below
    the first of the codes that refute a claim stands which law to claim instead.
    """
    text = _ADVICE[code](fit) if code in _ADVICE else ""
    parts = [text if not text or text.endswith(".") else f"{text}."]
    if fit.basis is not None and code == next((one for one in fit.reasons if one in REFUTING), ""):
        parts.append(str(proposed(fit) or _NO_PROPOSAL))
    return " ".join(filter(None, parts)) or None


_NO_PROPOSAL = "No law of half powers near these exponents passes on these cells."


def _overhead(fit: Fit) -> str:
    if not fit.leading or fit.overhead is None:
        return ""
    if fit.basis is not None:
        cost = fit.basis.setting.cells.cost
        growth = float(cost.max() / cost.min()) - 1
        exponents = [one.estimate for one in fit.exponents.values()]
        level = all(one is not None and abs(one) < fit.tolerance for one in exponents)
        if growth < VISIBLE_SHARE or (exponents and level):  # too little to extrapolate
            text = f"The dearest cell costs {percent(growth)} more than the cheapest."
            law = _confirmed_law(fit)
            return text if law is None else f"{text} These cells confirm the claim {law}."
    share = sum(one.share for one in fit.leading)
    claimed = "claimed term is" if len(fit.leading) == 1 else "claimed terms are"
    state = (
        f"At the largest size measured the {claimed} {percent(share)} of the cost, "
        f"fixed overhead {percent(fit.overhead)}."
    )
    further = _further(fit)
    return f"{state} Extend {further}." if further else state


def _confirmed_law(fit: Fit) -> Law | None:
    """Another law that these cells confirm."""
    other = proposed(fit)
    return other.law if other is not None and other.verdict is Verdict.CONFIRMED else None


def _absent(fit: Fit) -> str:
    return listed(
        [
            f"{one.term} is at most {percent(one.most)} of any cell"
            for one in fit.leading
            if one.most < VISIBLE_SHARE
        ]
    )


def _outgrowing(fit: Fit) -> str:
    if fit.basis is None or not (rivals := fit.basis.fitted.rival):
        return ""
    shares = {one.term: one.share_at_largest for one in fit.terms}
    text = listed(
        [f"{term} is {percent(shares[str(term)])}" for term in rivals if str(term) in shares]
    )
    return f"{text} of the cost at the largest sizes" if text else ""


def _further(fit: Fit) -> str | None:
    """The first size, so far extended that the claimed terms have enough of the fitted cost."""
    claimed = {one.term for one in fit.leading}
    growing = [
        name
        for name, (_, top) in fit.ranges.items()
        if top > 0 and any(_power(term, name) > 0 for term in claimed)
    ]
    if not growing or not fit.terms:
        return None
    name, sizes = growing[0], {other: high for other, (_, high) in fit.ranges.items()}
    top = sizes[name]
    for doublings in range(MOST_DOUBLINGS):
        sizes[name] = top * 2.0**doublings
        costs = {
            term.term: term.coefficient * float(parse_monomial(term.term).evaluate(sizes))
            for term in fit.terms
        }
        led = sum(cost for term, cost in costs.items() if _carries(term, claimed))
        if led >= ENOUGH * sum(costs.values()) > 0:
            return f"{name} to {sizes[name]:g}" if doublings else None
    return None


def _carries(term: str, leading: set[str]) -> bool:
    """Whether a fitted term is a claimed one, its exponents as they were found."""
    names = set(parse_monomial(term).names)
    return term in leading or any(
        names == set(parse_monomial(one).names)
        and all(_power(term, n) > _power(one, n) - ENOUGH for n in names)
        for one in leading
    )


def _power(term: str, name: str) -> float:
    try:
        return float(parse_monomial(term).power(name))
    except LawError:
        return 0.0


def _few(fit: Fit) -> str:
    if not fit.cells:
        return ""
    try:
        claimed = parse_declared(fit.law, fit.sizes)
    except LawError:
        return ""
    names = [n for n in dict.fromkeys((*claimed.names, *fit.levels)) if n in fit.levels]
    names = [n for n in names if n not in fit.held and (n in claimed.names or fit.levels[n] > 1)]
    if not names:
        return ""
    parts = [
        f"{name} takes {count(fit.levels[name], 'value')}; measure {WANTED_LEVELS} or more"
        for name in names
        if fit.levels[name] < FEWEST_SIZES
    ]
    fewest = fewest_cells(claimed.only(names), names)
    if fit.cells < fewest:
        are = "is" if fit.cells == 1 else "are"
        few = f"{count(fit.cells, 'cell')} {are} too few for {fit.claim}"
        parts.append(f"{few}, which needs {fewest} or more")
    thin = growth_of_few(fit)
    if not parts:  # a letter that stands for a size has no capital
        thin = [capital(text) for text in thin]
    return "; ".join([*parts, *thin])


def _short(fit: Fit) -> str:
    return "; ".join(
        f"{name} spans {math.log2(high / low):.1f} doublings; "
        f"measure it from {low:g} to {low * 2**WANTED_DOUBLINGS:g}"
        for name, (low, high) in fit.ranges.items()
        if high > low and math.log2(high / low) < 3 - 1e-9
    )


def _noisy(fit: Fit) -> str:
    parts = []
    if fit.scatter.reading:
        parts.append(f"readings of one cell scatter by {percent(fit.scatter.reading)}")
    if fit.scatter.rounds:
        parts.append(f"rounds differ by {percent(fit.scatter.rounds)}")
    if fit.set_aside:
        are = "is" if fit.set_aside == 1 else "are"
        parts.append(f"{fit.set_aside} of {count(fit.readings, 'reading')} {are} set aside")
    elif fit.readings and fit.readings <= fit.cells:
        parts.append("no cell was measured twice")
    if fit.rms_residual:
        parts.append(f"cells lie off the fitted law by {percent(fit.rms_residual)}")
    return capital(", ".join(parts))


def _undecided(fit: Fit) -> str:
    parts = [
        f"the term {one.term} is at most {percent(one.most)} of any cell"
        for one in fit.leading
        if one.most < ENOUGH
    ]
    if outside := outside_claim(fit):
        parts.insert(0, f"{listed(outside)}, which may be a change of the cost and no growth")
    if beyond := reaching_beyond_claim(fit):
        parts.insert(0, beyond)
    if (other := _twin(fit)) is not None:
        parts.insert(0, f"these cells confirm the claim {other}")
    elif further := _further(fit):
        parts.append(f"extend {further}")
    return capital("; ".join(parts))


def _twin(fit: Fit) -> Law | None:
    """Another law that the cells confirm, where sizes reach so far that a logarithm shows."""
    setting = fit.basis.setting if fit.basis is not None else None
    if setting is None or len(setting.law.terms) > 1:
        return None
    law = _confirmed_law(fit) if all(is_long(setting.cells, n) for n in setting.names) else None
    return None if law is None or str(law) == fit.law else law


def _misfit(fit: Fit) -> str:
    if fit.rms_residual is None:
        return ""
    text = f"The best law of this form is off by {percent(fit.rms_residual)} in a typical cell"
    exact = False
    if fit.basis is not None:
        setting, fitted = fit.basis.setting, fit.basis.fitted.solution.fitted
        exact = setting.exact
        worst = int(np.abs(np.log(np.maximum(fitted, 1e-300))).argmax())
        where = ", ".join(f"{n} = {values[worst]:g}" for n, values in setting.cells.sizes.items())
        measured = 1 / max(float(fitted[worst]), 1e-300) - 1
        side = "above" if measured > 0 else "below"
        text += f"; the farthest, {where}, lies {percent(abs(measured))} {side} it"
    once = fit.readings and fit.readings <= fit.cells and not exact
    return f"{text}.{' No cell was measured twice, so this may be noise.' if once else ''}"


def _regimes(fit: Fit) -> str:
    if not fit.regimes:
        return ""
    last = fit.regimes[-1]
    name = next(iter(fit.sizes), "n")
    where = f"{name} {last.start:g} to {last.end:g}"
    return f"The verdict holds for {last.name} ({where}): {shortened(last.evidence, _LONGEST)}."


def _elsewhere(fit: Fit) -> str:
    if fit.recorded is None:
        return ""
    law = fit.recorded
    words = in_words(law.terms)
    return f"The counted law holds for {law.where}, where nothing was measured: {words}"


def _censored(fit: Fit) -> str:
    if not fit.censored:
        return ""
    verb = "has" if fit.censored == 1 else "have"
    return f"{count(fit.censored, 'cell')} of those wanted {verb} no value."


_ADVICE: Mapping[str, Callable[[Fit], str]] = MappingProxyType(
    {
        "exponent_outside_tolerance": lambda fit: capital(listed(outside_claim(fit))),
        "claimed_term_absent": _absent,
        "faster_growing_term": _outgrowing,
        "overhead_dominates": _overhead,
        "too_few_sizes": _few,
        "mixed_readings": on_settings,
        "sizes_collinear": on_moving_sizes,
        "range_too_short": _short,
        "noisy_measurements": _noisy,
        "models_undecided": _undecided,
        "lack_of_fit": _misfit,
        "regime_change": _regimes,
        "counted_elsewhere": _elsewhere,
        "censored_cells": _censored,
    }
)
