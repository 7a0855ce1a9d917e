"""Names the regimes of a fit, each by the evidence for it.

A break is placed where it explains the costs best; its cause is what was recorded to change there:
page faults begin, or the workspace outgrows a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reports.cells.cells import Cells
from reports.conditions.bounds import caches_of
from reports.judge.models.breaks import FAULTS, MINOR_PART, PAGE_BYTES, Break
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
    cells: Cells,
    found: Break | None,
    factor: float,
    overhead: Floats,
    info: Mapping[str, Any],
    number: int = 1,
) -> tuple[Regime, ...]:
    """Names the regimes, each by evidence; `regime 1`, … where there is none.

    `info` is the object of `run.json`, and `device` in it what the cells ran on, a CPU by default.
    `number` is the first regime's; `overhead` is the overhead's part of the fitted cost, cell by
    cell.
    """
    first = next(iter(cells.sizes.values()))
    regimes = []
    light = _overhead_end(first, overhead)
    if light is not None:
        regimes.append(
            Regime(
                name="overhead",
                start=float(first.min()),
                end=light,
                evidence="fixed overhead is more than half of the fitted cost of every cell here",
            )
        )
    if found is None:
        rest = first > light if light is not None else np.ones(first.size, dtype=np.bool_)
        if rest.any():
            busy = _busy(cells, rest, info)
            regimes.append(
                Regime(
                    name="compute-bound" if busy else f"regime {number}",
                    start=float(first[rest].min()),
                    end=float(first[rest].max()),
                    evidence=busy or "one set of coefficients describes every cell",
                )
            )
        return tuple(regimes)
    before, after, cause = _cause(cells, found, factor, info, number)
    beyond = f"{found.cause} at least {_short(found.above)}"
    parts = [f"{beyond}, where {cause}" if cause else beyond]
    what = "the cost" if found.dearer is None else f"by the term {found.dearer.unicode()} the cost"
    how = "is" if found.gradual is None else "rises by degrees to"
    parts.append(f"{what} {how} {factor:.2g} times what the first regime's coefficients give")
    if after == PAGE_FAULT and info.get("allocator") != "pinned":
        parts.append(KEEP_MEMORY)
    for name, inside, evidence in (
        (before, ~found.later, f"{found.cause} at most {_short(found.below)}"),
        (after, found.later, "; ".join(parts)),
    ):
        regimes.append(
            Regime(
                name=name,
                start=float(first[inside].min()),
                end=float(first[inside].max()),
                evidence=evidence,
            )
        )
    return tuple(regimes)


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
    before, after = (_known(times[side]) for side in (~found.later, found.later))
    if not (before.size and after.size):
        return ""
    if (after >= MINOR_PART).mean() < MOST or (before < MINOR_PART).mean() < MOST:
        return ""
    usual, earlier = float(np.median(after)), float(np.median(before))
    return f"page faults of {usual:.2g} times the workspace a call begin ({earlier:.2g} below)"


def _outgrown_cache(cells: Cells, found: Break, info: Mapping[str, Any]) -> str:
    """The cache that the workspace outgrows with the second regime, in words; nothing if none."""
    workspace = cells.covariates.get("workspace_bytes")
    if workspace is None:
        return ""
    before, after = (_known(workspace[side]) for side in (~found.later, found.later))
    if not (before.size and after.size):
        return ""
    for name, size in caches_of(info, info.get("device", "cpu")).items():
        # Data are shared with other lines: the drop shows from half a cache to twice it. What
        # sets in by degrees has begun there, since others use a part of the cache. A workspace of
        # twice the cache has some bytes more for what is small.
        if before.max() <= (2 + SMALL_PART) * size and after.min() >= size / (
            2 if found.gradual is None else 8
        ):
            return f"the workspace outgrows the {name} cache of {byte_size(size)}"
    return ""


def _known(values: Floats) -> Floats:
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


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


def _overhead_end(first: Floats, overhead: Floats) -> float | None:
    end = None
    for value in np.unique(first):
        if not (overhead[first == value] > 0.5).all():
            break
        end = float(value)
    return end


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
