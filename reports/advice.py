"""What to do next, with the numbers of one fit: which size to extend, how far, what to repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from reports.judgement import Fit
from reports.laws import LawError, parse_declared, parse_monomial
from reports.wording import count, percent, shortened

ENOUGH = 0.5
"""The part of the cost that the claimed terms should have at the largest size."""
FARTHEST = 2.0**20  # times the largest size: beyond, no advice is worth giving
WANTED_LEVELS, WANTED_DOUBLINGS = 6, 5
_LONGEST = 320  # characters of evidence, which ends with what to do


def advice(fit: Fit, code: str) -> str | None:
    """One sentence for a reason code with this fit's own numbers; None where it has nothing to add.

    "extend n to 16384: the claimed term is 18 % of the cost at the largest size measured".
    """
    found = _ADVICE.get(code)
    return found(fit) if found is not None else None


def _overhead(fit: Fit) -> str | None:
    if not fit.leading or fit.overhead is None:
        return None
    flat = bool(fit.exponents) and all(
        i.estimate is not None and abs(i.estimate) < fit.tolerance / 2
        for i in fit.exponents.values()
    )
    if flat or [term.term for term in fit.terms] == ["1"]:
        return "The cost hardly grows over these sizes; the claim 1 would say so."
    share = sum(one.share for one in fit.leading)
    claimed = "claimed term is" if len(fit.leading) == 1 else "claimed terms are"
    state = (
        f"the {claimed} {percent(share)} of the cost at the largest size measured, "
        f"fixed overhead {percent(fit.overhead)}"
    )
    further = _further(fit)
    return f"Extend {further}: {state}." if further else f"Here {state}."


def _further(fit: Fit) -> str | None:
    """The first size, so far extended that the claimed terms have enough of the fitted cost."""
    growing = [
        name
        for name in fit.ranges
        if any(_power(one.term, name) > 0 for one in fit.leading) and fit.ranges[name][1] > 0
    ]
    names = {one.term for one in fit.leading}
    if not growing or not fit.terms:
        return None
    name = growing[0]
    sizes = {other: high for other, (_, high) in fit.ranges.items()}
    top, factor = sizes[name], 1.0
    while factor < FARTHEST:
        sizes[name] = top * factor
        costs = {
            term.term: term.coefficient * float(parse_monomial(term.term).evaluate(sizes))
            for term in fit.terms
        }
        total = sum(costs.values())
        led = sum(cost for term, cost in costs.items() if _carries(term, names))
        if total > 0 and led >= ENOUGH * total:
            return f"{name} to {sizes[name]:g}" if factor > 1 else None
        factor *= 2
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


def _few(fit: Fit) -> str | None:
    try:
        claimed = parse_declared(fit.claim, fit.sizes).names
    except LawError:
        return None
    short = [
        f"{name} takes {count(fit.levels[name], 'value')}"
        for name in dict.fromkeys((*claimed, *fit.levels))
        if name in fit.levels and (name in claimed or fit.levels[name] > 1)
        if fit.levels[name] < WANTED_LEVELS
    ]
    if not short:
        return f"There {'is' if fit.cells == 1 else 'are'} {count(fit.cells, 'cell')}."
    return f"{' and '.join(short)} in {count(fit.cells, 'cell')}; measure {WANTED_LEVELS} or more."


def _short(fit: Fit) -> str | None:
    short = [
        f"{name} spans {math.log2(high / low):.1f} doublings; "
        f"measure it from {low:g} to {low * 2**WANTED_DOUBLINGS:g}"
        for name, (low, high) in fit.ranges.items()
        if high > low and math.log2(high / low) < 3 - 1e-9
    ]
    return f"{'; '.join(short)}." if short else None


def _noisy(fit: Fit) -> str | None:
    parts = []
    if fit.scatter.reading:
        parts.append(f"readings of one cell scatter by {percent(fit.scatter.reading)}")
    if fit.scatter.rounds:
        parts.append(f"rounds differ by {percent(fit.scatter.rounds)}")
    if fit.set_aside:
        parts.append(f"{fit.set_aside} of {count(fit.readings, 'reading')} are set aside")
    elif fit.readings and fit.readings <= fit.cells:
        parts.append("no cell was measured twice")
    if fit.rms_residual:
        parts.append(f"cells lie off the fitted law by {percent(fit.rms_residual)}")
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if parts else None


def _undecided(fit: Fit) -> str | None:
    wide = [
        f"the exponent of {name} may be anything from {interval.low:.2f} to {interval.high:.2f}"
        for name, interval in fit.exponents.items()
        if interval.low is not None
        and interval.high is not None
        and interval.high - interval.low > fit.tolerance
    ]
    small = [
        f"the term {one.term} is at most {percent(one.most)} of any cell"
        for one in fit.leading
        if one.most < ENOUGH
    ]
    parts = [*wide, *small]
    further = _further(fit)
    if not parts and not further:
        return None
    text = "; ".join(parts)
    extend = f"extend {further}" if further else ""
    joined = "; ".join(part for part in (text, extend) if part)
    return f"{joined[:1].upper()}{joined[1:]}."


def _misfit(fit: Fit) -> str | None:
    if fit.rms_residual is None:
        return None
    return f"The best law of this form is off by {percent(fit.rms_residual)} in a typical cell."


def _regimes(fit: Fit) -> str | None:
    if not fit.regimes:
        return None
    last = fit.regimes[-1]
    name = next(iter(fit.sizes), "n")
    where = f"{name} {last.start:g} to {last.end:g}"
    return f"The verdict holds for {last.name} ({where}): {shortened(last.evidence, _LONGEST)}."


def _censored(fit: Fit) -> str | None:
    if not fit.censored:
        return None
    verb = "has" if fit.censored == 1 else "have"
    return f"{count(fit.censored, 'cell')} of those wanted {verb} no value."


_ADVICE: Mapping[str, Callable[[Fit], str | None]] = MappingProxyType(
    {
        "overhead_dominates": _overhead,
        "too_few_sizes": _few,
        "range_too_short": _short,
        "noisy_measurements": _noisy,
        "models_undecided": _undecided,
        "lack_of_fit": _misfit,
        "regime_change": _regimes,
        "censored_cells": _censored,
    }
)
