"""Which visits speak for a cell: the same ones in fits, tables, figures and slopes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.monomials import Floats

Mask = npt.NDArray[np.bool_]
TIMES = ("time_s", "time_min_s", "cpu_time_s")
SLOWER = 0.1


def marked_noisy(frame: pd.DataFrame) -> Mask:
    """Which rows are marked as disturbed while they were measured; none without such a column."""
    if "noisy" not in frame.columns:
        return np.zeros(len(frame), dtype=np.bool_)
    return np.asarray(frame["noisy"].eq(True).fillna(False), dtype=np.bool_)


def readings(frame: pd.DataFrame, value: str) -> Floats | None:
    """The times of a sweep's visits, by which disturbed ones can be told; None for other tables.

    Other costs may scatter both ways, and rows without a round may be anything.
    """
    if value not in TIMES or "round" not in frame.columns:
        return None
    return np.asarray(pd.to_numeric(frame[value], errors="coerce"), dtype=np.float64)


def chosen_visits(noisy: Mask, cell: npt.NDArray[np.int64], times: Floats | None = None) -> Mask:
    """The visits that speak for their cell, given which are noisy and the cell of each, from 0 on.

    A visit known to be disturbed is set aside where its cell has an undisturbed one; a cell that
    has none speaks by all of its visits. Disturbances only ever add time, and a shared machine may
    be slow for the whole of a round: a visit that took over SLOWER longer than the quickest
    undisturbed one of its cell counts as disturbed too.
    """
    if not cell.size:
        return ~noisy
    quiet = np.bincount(cell, weights=~noisy) > 0
    chosen = np.asarray(~noisy | ~quiet[cell])
    if times is not None:
        quickest = np.full(int(cell.max()) + 1, np.inf)
        np.minimum.at(quickest, cell[chosen], times[chosen])
        chosen &= times <= (1.0 + SLOWER) * quickest[cell]
    return chosen
