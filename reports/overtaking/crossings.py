"""From which length on does one implementation cost more than another? Read off the cells.

Only cells of the same conditions are compared: forward passes with forward passes, one batch with
the same batch. At each shared size the quickest and the slowest round say whether one is surely the
slower. The crossing lies between the largest size below which all cells are surely quicker, and the
smallest from which on all are surely slower: no law is assumed. The estimate is where the logarithm
of the ratio, straight between neighbours, is zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from reports.cells.case_columns import CONDITIONS
from reports.cells.groups import group_columns
from reports.laws.monomials import Floats

ALONG, WIDTH = "seq_len", "d_model"
OWN = frozenset({"run", "kind", "growth", "kv_heads", "window"})
"""Conditions of one mechanism alone: two without a common value of such a one may be compared."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where `slower`, which grows faster, begins to take longer than `quicker`, at one width.

    `estimate`, `low` and `high` are lengths; None where the ratio does not cross 1 among the cells,
    or not surely so on that side. `predicted` is the estimate for the operations that were counted.
    `first` and `last` are the lengths that were compared, and `ratio` is that of the times at the
    last. `conditions` says for which cells it holds, where there are several sorts: `batch 32`.
    """

    slower: str
    quicker: str
    conditions: str
    d_model: float
    estimate: float | None
    low: float | None
    high: float | None
    predicted: float | None
    first: float
    last: float
    ratio: float


def compared(cells: pd.DataFrame, slower: str, quicker: str) -> pd.DataFrame:
    """The cells that two implementations share: seq_len, d_model, `ratio`, its `low` and `high`.

    `counted` is the ratio of the operations that were counted, NaN where they were not.
    `conditions` tells cells of the same sizes apart, in words; empty where all are of one sort.

    `cells` are measured ones, as `reports.cells.cell_table` gives them.
    """
    both = cells[cells["implementation"].isin((slower, quicker))]
    one, other = (both[both["implementation"] == name] for name in (slower, quicker))
    present = [name for name in CONDITIONS if name in cells]
    keys = [ALONG, WIDTH, *(n for n in present if n not in OWN or _is_shared(n, one, other))]
    varying = [name for name in group_columns(both, {ALONG, WIDTH}) if name in present]
    if "num_heads" in cells and both.duplicated(["implementation", ALONG, WIDTH, *present]).any():
        keys.append("num_heads")  # one width in several numbers of heads
        varying.append("num_heads")
    pairs = one.merge(other, on=keys, suffixes=("", "_other"))
    called: dict[str, str] = {}
    for name in varying:
        own = {name: f"{slower} {name}", f"{name}_other": f"{quicker} {name}"}
        called |= {name: name} if name in keys else own
    sorts = pairs[list(called)].rename(columns=called).to_dict("records")
    words = [in_words({str(name): value for name, value in one.items()}) for one in sorts]
    return (
        pairs[[ALONG, WIDTH]]
        .assign(
            conditions=pd.Series(words, index=pairs.index, dtype=object),
            ratio=pairs["time_s"] / pairs["time_s_other"],
            low=pairs["time_low_s"] / pairs["time_high_s_other"],
            high=pairs["time_high_s"] / pairs["time_low_s_other"],
            counted=pairs["flops_executed"] / pairs["flops_executed_other"],
        )
        .sort_values([WIDTH, ALONG], kind="stable")
    )


def _is_shared(name: str, one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether a condition has the same value in some cell of both."""
    return not one[[name]].drop_duplicates().merge(other[[name]].drop_duplicates()).empty


def in_words(conditions: Mapping[str, Any]) -> str:
    """Conditions on one line, those without a value left out: `pass forward, batch 32`."""
    known = {name: value for name, value in conditions.items() if not pd.isna(value)}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in known.items()
    )


def crossings(cells: pd.DataFrame, slower: str, quicker: str) -> Iterator[Crossing]:
    """The crossing of each width and condition of which both have three lengths or more."""
    for (conditions, d_model), rows in compared(cells, slower, quicker).groupby(
        ["conditions", WIDTH], sort=False
    ):
        if len(rows) < 3:
            continue
        lengths, ratio, low, high, counted = (
            rows[name].to_numpy(dtype=np.float64)
            for name in (ALONG, "ratio", "low", "high", "counted")
        )
        sure_below = np.logical_and.accumulate(high < 1)
        sure_above = np.logical_and.accumulate((low > 1)[::-1])[::-1]
        yield Crossing(
            slower=slower,
            quicker=quicker,
            conditions=str(conditions),
            d_model=float(str(d_model)),
            estimate=_zero(np.log(lengths), np.log(ratio)),
            low=float(lengths[sure_below][-1]) if sure_below.any() else None,
            high=float(lengths[sure_above][0]) if sure_above.any() else None,
            predicted=_zero(np.log(lengths), np.log(counted)),
            first=float(lengths[0]),
            last=float(lengths[-1]),
            ratio=float(ratio[-1]),
        )


def every_crossing(cells: pd.DataFrame) -> list[Crossing]:
    """The crossings of every two implementations, of which the times or the counts do cross.

    The one that grows faster is told by the cells: the other way round nothing rises through 1. Two
    whose times cross are not told again for a crossing of their counts the other way.
    """
    names = list(dict.fromkeys(cells["implementation"]))
    found = [
        crossing
        for slower, quicker in permutations(names, 2)
        for crossing in crossings(cells, slower, quicker)
    ]
    timed = {_which(one) for one in found if one.estimate is not None}
    counted = [one for one in found if one.predicted is not None and _which(one) not in timed]
    return [one for one in found if one.estimate is not None or one in counted]


def _which(one: Crossing) -> tuple[frozenset[str], str, float]:
    """What a crossing shares with that of the same two the other way round."""
    return frozenset((one.slower, one.quicker)), one.conditions, one.d_model


def _zero(logs: Floats, values: Floats) -> float | None:
    """Where the line through the points last rises through zero; None where it does not."""
    for at in range(len(values) - 1, 0, -1):
        before, after = values[at - 1], values[at]
        if before <= 0 < after:
            part = -before / (after - before)
            return math.exp(logs[at - 1] + part * (logs[at] - logs[at - 1]))
    return None
