"""Says in plain words what a fit found: a sentence and a next step for every reason.

What a reason says of one fit, with its numbers, is `reports.verdicts.advice`; a reason itself holds
for all fits that have it, so that it is said once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from reports.judge.regimes import MEMORY_BOUND, PAGE_FAULT
from reports.judge.result import Fit
from reports.laws.grammar import LawError, parse_declared

COSTS: Mapping[str, str] = MappingProxyType(
    {
        "time_s": "time",
        "graph_time_s": "time of the GPU alone",
        "workspace_bytes": "workspace",
        "energy_j": "energy",
        "flops": "work",
    }
)
"""What the cost columns are called, in a sentence."""
MOSTLY = 0.5
"""The part of the cost from which on overhead is said to be most of it."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """What a reason code means, in one sentence, and what to do about it, in another."""

    sentence: str
    next_step: str


REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "exponent_outside_tolerance": Reason(
            sentence="A measured exponent lies outside the claimed one and its tolerance.",
            next_step="Look for what the code does more, or less, than the claim says.",
        ),
        "claimed_term_absent": Reason(
            sentence="A claimed term is a negligible part of the cost at every measured size.",
            next_step="Measure sizes at which it should lead, or claim no such term.",
        ),
        "faster_growing_term": Reason(
            sentence="A term that outgrows the claim is a large part of the cost.",
            next_step="Look for what in the code costs so much.",
        ),
        "lack_of_fit": Reason(
            sentence="No law of this form describes the cells, so no exponent can be stated.",
            next_step="Measure the farthest cells again, then judge a narrower range of sizes.",
        ),
        "overhead_dominates": Reason(
            sentence="Fixed overhead is so much of the cost that its growth hardly shows.",
            next_step="Measure larger sizes.",
        ),
        "too_few_sizes": Reason(
            sentence="There are too few cells, or a size takes fewer than four different values.",
            next_step="Measure more sizes.",
        ),
        "range_too_short": Reason(
            sentence="A size spans fewer than three doublings, too short to tell an exponent.",
            next_step="Measure that size over at least five doublings.",
        ),
        "sizes_collinear": Reason(
            sentence="The sizes move together, so that their exponents cannot be told apart.",
            next_step="Measure a grid in which each size varies while the others stand still.",
        ),
        "noisy_measurements": Reason(
            sentence="The readings scatter widely.",
            next_step="Stop other work on the machine and measure again, for longer.",
        ),
        "regime_change": Reason(
            sentence="The small sizes follow another law, or the coefficients jump within the "
            "range, as caches or page faults make them.",
            next_step="Measure more sizes in the last regime; pinning avoids page faults.",
        ),
        "models_undecided": Reason(
            sentence="More than one law describes these cells, the claimed one or another.",
            next_step="Widen the range of sizes, or measure more of them.",
        ),
        "counted_elsewhere": Reason(
            sentence="The law that the run counted holds for other sizes than were measured, and "
            "rules otherwise than the measured ones.",
            next_step="Measure sizes for which the counted law holds.",
        ),
        "mixed_readings": Reason(
            sentence="A column that is neither a size nor a group varies among rows of the same "
            "sizes, and changes the cost: these rows are no repeated readings.",
            next_step="Say what the column is: a size, a group, or a setting to average over.",
        ),
        "censored_cells": Reason(
            sentence="Some cells have no value: wrong, unsupported, out of memory or time, "
            "skipped or crashed.",
            next_step="Take the verdict for one on the measured cells alone.",
        ),
    }
)
"""Every reason code of `Fit.reasons`."""
_CHANGES: Mapping[str, Reason] = MappingProxyType(
    {
        PAGE_FAULT: Reason(
            sentence="Within the range page faults begin: the allocator returns large tensors "
            "after each call, and the next call pays for their memory again. So the cost jumps "
            "there, which is not growth.",
            next_step="Measure with --allocator pinned, which keeps the memory; see "
            "docs/measuring.md.",
        ),
        MEMORY_BOUND: Reason(
            sentence="Within the range the working set outgrows a cache, and memory is slower than "
            "the cache. So the cost rises there, which is not growth.",
            next_step="Measure more sizes beyond the cache; the verdict is that of the last "
            "regime.",
        ),
    }
)
"""What a regime change means where its cause was recorded, by the name of the last regime."""


_EARLY_OVERHEAD = Reason(
    sentence="If the claim is right, fixed overhead is most of the cost in half of the cells, so "
    "that few cells show the growth.",
    next_step="Measure more of the large sizes.",
)
"""What overhead that dominates means where it does so no longer at the largest size."""


_NO_CELLS = Reason(
    sentence="No cell has a cost above 0, so there is nothing to judge.",
    next_step="See whether --value names the column that is meant.",
)
"""What too few sizes mean where there are none."""


_OTHER_POLYNOMIAL = Reason(
    sentence="The small sizes follow another polynomial, as buffers of a fixed size and blocks "
    "that are not full make them.",
    next_step="The verdict is that of the larger sizes; measure more of them if it matters.",
)
"""What a regime change means where the cost is counted: its cause is no cache and no page fault."""


_MOVING = Reason(
    sentence="A size that the claim does not name moves as one of its own rises, and has a part "
    "in the growth.",
    next_step="Judge with that size, or measure with it held.",
)
"""What sizes that move together mean where the claim names one of them only."""


def reason_of(fit: Fit, code: str) -> Reason:
    """What a reason code means for this fit; a regime change says its cause where that is known."""
    if code == "sizes_collinear" and fit.moving:
        return _MOVING
    if code == "too_few_sizes" and not fit.cells:
        return _NO_CELLS
    if code == "overhead_dominates" and fit.overhead is not None and fit.overhead < MOSTLY:
        return _EARLY_OVERHEAD
    if code == "regime_change" and fit.counted is not None:
        return _OTHER_POLYNOMIAL
    last = fit.regimes[-1].name if fit.regimes else ""
    return _CHANGES.get(last, REASONS[code]) if code == "regime_change" else REASONS[code]


def remark(fit: Fit) -> str:
    """What is special about a verdict: how it was come by, and another statistic's verdict."""
    try:
        parse_declared(fit.claim, fit.sizes)
    except LawError as problem:
        return f"The declared claim cannot be read, so nothing was judged: {problem}."
    parts = []
    if fit.counted is not None:
        parts.append(f"By count it is {fit.counted}.")
    if fit.held:
        names = " and ".join(fit.held)
        parts.append(f"Other sizes leave {names} no freedom: its power is taken as claimed.")
    averaged = [one.column for one in fit.mixed if one.averaged]
    if averaged:
        parts.append(f"The cost is that of the mean over {' and '.join(averaged)}.")
    if fit.other_verdict is not None:
        other = "minimum" if fit.statistic == "median" else "median"
        parts.append(f"By the {other} of readings it would be {fit.other_verdict}.")
    return " ".join(parts)


def span(fit: Fit) -> str:
    """The judged range of each size that varies, ` over n 128–32768`."""
    spans = [f"{name} {low:g}–{high:g}" for name, (low, high) in fit.ranges.items() if high > low]
    return f" over {', '.join(spans)}" if spans else ""
