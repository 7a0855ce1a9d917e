"""Which visits speak for a cell: the same ones in fits, tables, figures and slopes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.bool_]


def marked_noisy(frame: pd.DataFrame) -> Mask:
    """Which rows are marked as disturbed while they were measured; none without such a column."""
    if "noisy" not in frame.columns:
        return np.zeros(len(frame), dtype=np.bool_)
    return np.asarray(frame["noisy"].eq(True).fillna(False), dtype=np.bool_)


def chosen_visits(noisy: Mask, cell: npt.NDArray[np.int64]) -> Mask:
    """The visits that speak for their cell, given which are noisy and the cell of each, from 0 on.

    A visit known to be disturbed is set aside where its cell has an undisturbed one; a cell that
    has none speaks by all of its visits.
    """
    if not cell.size:
        return ~noisy
    quiet = np.bincount(cell, weights=~noisy) > 0
    return np.asarray(~noisy | ~quiet[cell])
