"""Names the regimes of a fit, each by the evidence for it.

A break is placed where it explains the costs best; its cause is what was recorded to change there:
page faults begin, or what a call touches outgrows a cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reports.cells.case_columns import CACHED
from reports.cells.cells import Cells
from reports.conditions.bounds import caches_of
from reports.judge.models.breaks import FAULTS, MINOR_PART, PAGE_BYTES, Break
from reports.judge.models.fitted import Fitted
from reports.judge.models.non_negative import Mask
from reports.judge.result import Regime
from reports.laws.monomials import Floats
from reports.text.wording import byte_size

PAGE_FAULT, IN_CACHE, MEMORY_BOUND = "page-fault", "in-cache", "memory-bound"
"""Names of regimes whose cause was recorded; the others are numbered."""
KEEP_MEMORY = "--allocator pinned keeps the memory (docs/measuring.md)"
SMALL_PART = 0.1
MOST = 0.8  # of the cells on one side of a break, which a cause must hold for


def describe(
    shown: Fitted, overhead: Floats, info: Mapping[str, Any], number: int = 1
) -> Iterator[Regime]:
    """Names the regimes, each by evidence; `regime 1`, … where there is none.

    `info` is the object of `run.json`, and `device` in it what the cells ran on, a CPU by default.
    `number` is the first regime's; `overhead` is the overhead's part of the fitted cost, cell by
    cell.
    """
    cells, found = shown.model.cells, shown.broken
    first = next(iter(cells.sizes.values()))
    light = _overhead_leads(first, overhead)
    if light.any():
        text = "fixed overhead is more than half of the fitted cost of every cell here"
        yield Regime.over(first[light], "overhead", text)
    if found is None:
        if not light.all():
            busy = _busy(cells, ~light, info)
            name = "compute-bound" if busy else f"regime {number}"
            text = busy or "one set of coefficients describes every cell"
            yield Regime.over(first[~light], name, text)
        return
    before, after, cause = _cause(cells, found, shown.factor, info, number)
    what = "the cost" if found.dearer is None else f"by the term {found.dearer.unicode()} the cost"
    how = "is" if found.gradual is None else "rises by degrees to"
    beyond = f"{found.cause} at least {_short(found.above)}" + f", where {cause}" * bool(cause)
    rise = f"{what} {how} {shown.factor:.2g} times what the first regime's coefficients give"
    memory = after == PAGE_FAULT and info.get("allocator") != "pinned"
    within = f"{found.cause} at most {_short(found.below)}"
    yield Regime.over(first[~found.later], before, within)
    evidence = "; ".join([beyond, rise, *[KEEP_MEMORY] * memory])
    yield Regime.over(first[found.later], after, evidence)


def _cause(
    cells: Cells, found: Break, factor: float, info: Mapping[str, Any], number: int
) -> tuple[str, str, str]:
    """The names of both regimes, and what begins with the second: nothing where it is unknown.

    A threshold in sizes is often only where a recorded quantity jumps: that is then the cause,
    however the threshold was found. What makes a cost fall is none of these.
    """
    before = f"regime {number}"
    if factor > 1:
        faulting = _faults_begin(cells, found)
        if faulting or found.cause == FAULTS:
            return before, PAGE_FAULT, faulting
        outgrown = _outgrown_cache(cells, found, info)
        if outgrown:
            return IN_CACHE, MEMORY_BOUND, outgrown
    return before, f"regime {number + 1}", ""


def _faults_begin(cells: Cells, found: Break) -> str:
    """What page faults begin with the second regime, in words; nothing if they do not.

    Memory that an allocator gave back is touched anew in every call. At the threshold cells change
    from visit to visit, so most of either side decides.
    """
    faults = cells.covariates.get("minor_faults")
    workspace = cells.covariates.get("workspace_bytes")
    if faults is None or workspace is None:
        return ""
    times = faults * PAGE_BYTES / np.maximum(workspace, PAGE_BYTES)
    before, after = _sides(times, found)
    if not (before.size and after.size):
        return ""
    if (after >= MINOR_PART).mean() < MOST or (before < MINOR_PART).mean() < MOST:
        return ""
    usual, earlier = float(np.median(after)), float(np.median(before))
    return f"page faults of {usual:.2g} times the workspace a call begin ({earlier:.2g} below)"


def _outgrown_cache(cells: Cells, found: Break, info: Mapping[str, Any]) -> str:
    """The cache that a call outgrows with the second regime, in words; nothing if none."""
    touched = cells.covariates.get(CACHED)
    if touched is None:
        return ""
    before, after = _sides(touched, found)
    if not (before.size and after.size):
        return ""
    # Data are shared with other lines: the drop shows from half a cache to twice it. What sets in
    # by degrees has begun there, since others use a part of the cache. A working set of twice the
    # cache has some bytes more for what is small.
    least = 1 / (2 if found.gradual is None else 8)
    for name, size in caches_of(info, info.get("device", "cpu")).items():
        if before.max() <= (2 + SMALL_PART) * size and after.min() >= least * size:
            return f"the working set outgrows the {name} cache of {byte_size(size)}"
    return ""


def _sides(values: Floats, found: Break) -> tuple[Floats, Floats]:
    """What is known of the values before a break, and beyond it."""
    known = np.isfinite(values)
    return values[known & ~found.later], values[known & found.later]


def _busy(cells: Cells, rest: Mask, info: Mapping[str, Any]) -> str | None:
    """Evidence that arithmetic is the limit: at least half of the machine's own matmul peak."""
    ceilings = info.get("ceilings")
    flops = cells.covariates.get("flops")
    if flops is None or not isinstance(ceilings, Mapping) or len(ceilings) != 1:
        return None
    entry = next(iter(ceilings.values()))
    peak = entry.get("matmul_flops_per_s") if isinstance(entry, Mapping) else None
    if not isinstance(peak, int | float) or not peak > 0:
        return None
    share = float(np.nanmedian(flops[rest] / cells.cost[rest])) / peak
    if not 0.5 <= share <= 1.1:  # above the peak, one of the two was disturbed
        return None
    return f"runs at {share:.0%} of this machine's own matrix product"


def _overhead_leads(first: Floats, overhead: Floats) -> Mask:
    """The cells of the smallest sizes, as long as overhead is most of the cost of all of one."""
    others = first[overhead <= 0.5]
    return np.asarray(first < (others.min() if others.size else math.inf))


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
