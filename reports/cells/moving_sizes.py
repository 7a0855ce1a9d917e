"""Sizes that a claim does not name, and that move along with one of its own.

One that falls as another rises (batch = 16384 / n) takes a part of the growth away; heads or a
batch that rise with it add to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from reports.cells.readings import Mask
from reports.cells.scatter import Numbers
from reports.cells.unnamed_columns import cells_by, tells_nothing
from reports.laws.monomials import Floats
from reports.tables.units import rate_in

_COMPANIONS = frozenset(
    {"batch", "batch_size", "bs", "num_heads", "n_heads", "nheads", "heads", "num_seqs"}
)
"""Sizes of attention that a law has as factors of their own: these count if they rise, too."""
_WIDTHS = frozenset({"d", "d_model", "dim", "model_dim", "hidden", "hidden_size", "hidden_dim"})
"""Widths, of which heads are a part: as many more heads are in the law already."""
_LEAST_CHANGE = 2.0  # less takes no growth away


@dataclass(frozen=True, kw_only=True)
class Moving:
    """A size that the claim does not name, and that moves as one of its own sizes rises."""

    column: str
    against: str
    rises: bool = False


def moving_sizes(
    rows: pd.DataFrame, sizes: Sequence[str], without: Collection[str]
) -> tuple[Moving, ...]:
    """The columns of whole numbers that fall, and never rise, as one of the `sizes` rises.

    Batches and heads that rise count as well, but for heads that are as many as the width allows.
    """
    known = [column for column in dict.fromkeys(sizes) if is_numeric_dtype(rows[column])]
    if not known:
        return ()
    cell = cells_by(rows, known)
    first = np.unique(cell, return_index=True)[1]
    ladders = {size: _steps(rows[known].iloc[first], size) for size in known}
    found = []
    for column in rows.columns:
        if column in {*sizes, *without} or tells_nothing(str(column)) or rate_in(str(column)):
            continue
        if _is_whole(rows[column]):
            values = rows[column].to_numpy(dtype=np.float64)
            of_cells = values[first]
            if (of_cells[cell] == values).all():
                found += _moving(str(column), of_cells, ladders)[:1]
    return tuple(found)


def _is_whole(values: pd.Series) -> bool:
    if is_bool_dtype(values) or not is_numeric_dtype(values) or values.isna().any():
        return False
    numbers = values.to_numpy(dtype=np.float64)
    whole = (numbers >= 1).all() and (numbers == np.round(numbers)).all()
    return bool(whole and numbers.max() >= _LEAST_CHANGE * numbers.min())


def _steps(cells: pd.DataFrame, size: str) -> tuple[Numbers, Mask]:
    """The cells in the order of one size while the others stand still, and which steps do so."""
    others = [name for name in cells.columns if name != size]
    ladder = cells_by(cells, others) if others else np.zeros(len(cells), dtype=np.int64)
    order = np.lexsort((cells[size].to_numpy(), ladder))
    return order, np.diff(ladder[order]) == 0


def _moving(
    column: str, values: Floats, ladders: Mapping[str, tuple[Numbers, Mask]]
) -> list[Moving]:
    """The sizes with which a column moves, given its value in each cell."""
    found = []
    for size, (order, within) in ladders.items():
        steps = np.diff(values[order])[within]
        known = column.lower() in _COMPANIONS and size.lower() not in _WIDTHS
        if steps.size >= 2 and (steps <= 0).all() and (steps < 0).sum() >= 2:
            found.append(Moving(column=column, against=size))
        elif known and (steps >= 0).all() and (steps > 0).any():
            found.append(Moving(column=column, against=size, rises=True))
    return found
