"""Names the regimes of a fit, each by the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reports.breaks import Break
from reports.cells import Cells
from reports.judgement import Regime
from reports.models import Mask
from reports.monomials import Floats


def describe(
    cells: Cells,
    found: Break | None,
    factor: float,
    overhead: Floats,
    info: Mapping[str, Any],
    number: int = 1,
) -> tuple[Regime, ...]:
    """Names the regimes, each by evidence; `regime 1`, … where there is none.

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
    names = _names(cells, found, factor, info, number)
    jumped = f"the cost is {factor:.2g} times what the first regime's coefficients give"
    for late, name in ((False, names[0]), (True, names[1])):
        inside = found.later == late
        where = (
            f"{found.cause} at least {_short(found.above)}"
            if late
            else f"{found.cause} at most {_short(found.below)}"
        )
        regimes.append(
            Regime(
                name=name,
                start=float(first[inside].min()),
                end=float(first[inside].max()),
                evidence=f"{where}; {jumped}" if late else where,
            )
        )
    return tuple(regimes)


def _names(
    cells: Cells, found: Break, factor: float, info: Mapping[str, Any], number: int
) -> tuple[str, str]:
    faults = cells.covariates.get("minor_faults")
    if found.cause == "minor faults a call" and faults is not None and factor > 1:
        return f"regime {number}", "page-fault"
    if found.cause == "workspace bytes" and factor > 1:
        # Data are shared with other lines: the drop shows from half a cache to twice it.
        for size in _caches(info):
            if found.below <= 2 * size and found.above >= size / 2:
                return "in-cache", "memory-bound"
    return f"regime {number}", f"regime {number + 1}"


def _caches(info: Mapping[str, Any]) -> list[float]:
    machine = info.get("machine")
    caches = machine.get("caches_bytes") if isinstance(machine, Mapping) else None
    if not isinstance(caches, Mapping):
        return []
    return [float(v) for v in caches.values() if isinstance(v, int | float) and v > 0]


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
