"""From which length on does one implementation cost more than another? Read off the cells.

At each shared size the quickest and the slowest round say whether one is surely the slower. The
crossing lies between the largest size below which all cells are surely quicker, and the smallest
from which on all are surely slower: no law is assumed. The estimate is where the logarithm of the
ratio, straight between neighbours, is zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd

from reports.laws.monomials import Floats

ALONG = "seq_len"


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where `slower`, which grows faster, begins to take longer than `quicker`, at one width.

    `estimate`, `low` and `high` are lengths; None where the ratio does not cross 1 among the cells,
    or not surely so on that side. `predicted` is the estimate for the operations that were counted.
    `first` and `last` are the lengths that were compared, and `ratio` is that of the times at the
    last.
    """

    slower: str
    quicker: str
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

    `cells` are measured ones, as `reports.cells.cell_table` gives them.
    """
    keys = [ALONG, "d_model"]
    times = ["time_s", "time_low_s", "time_high_s", "flops_executed"]
    one, other = (
        cells[cells["implementation"] == name][[*keys, *times]] for name in (slower, quicker)
    )
    both = one.merge(other, on=keys, suffixes=("", "_other")).sort_values(keys)
    return both[keys].assign(
        ratio=both["time_s"] / both["time_s_other"],
        low=both["time_low_s"] / both["time_high_s_other"],
        high=both["time_high_s"] / both["time_low_s_other"],
        counted=both["flops_executed"] / both["flops_executed_other"],
    )


def crossings(cells: pd.DataFrame, slower: str, quicker: str) -> Iterator[Crossing]:
    """The crossing at each width at which three lengths or more were measured of both."""
    for d_model, rows in compared(cells, slower, quicker).groupby("d_model"):
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

    The one that grows faster is told by the cells: the other way round nothing rises through 1.
    """
    names = list(dict.fromkeys(cells["implementation"]))
    found = (
        crossing
        for slower, quicker in permutations(names, 2)
        for crossing in crossings(cells, slower, quicker)
    )
    return [one for one in found if one.estimate is not None or one.predicted is not None]


def _zero(logs: Floats, values: Floats) -> float | None:
    """Where the line through the points last rises through zero; None where it does not."""
    for at in range(len(values) - 1, 0, -1):
        before, after = values[at - 1], values[at]
        if before <= 0 < after:
            part = -before / (after - before)
            return math.exp(logs[at - 1] + part * (logs[at] - logs[at - 1]))
    return None
