"""Sizes that a claim does not name, and that move along with one of its own.

One that falls as another rises (batch = 16384 / n) takes a part of the growth away; heads or a
batch that rise with it add to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

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
    known = [column for column in sizes if is_numeric_dtype(rows[column])]
    if not known:
        return ()
    ladders = _Ladders(rows, known)
    found = []
    for column in rows.columns:
        if column in {*sizes, *without} or tells_nothing(str(column)) or rate_in(str(column)):
            continue
        values = rows[column]
        if _is_whole(values):
            moving = ladders.moving(str(column), values.to_numpy(dtype=np.float64))
            found += [] if moving is None else [moving]
    return tuple(found)


def _is_whole(values: pd.Series) -> bool:
    if is_bool_dtype(values) or not is_numeric_dtype(values) or values.isna().any():
        return False
    numbers = values.to_numpy(dtype=np.float64)
    whole = (numbers >= 1).all() and (numbers == np.round(numbers)).all()
    return bool(whole and numbers.max() >= _LEAST_CHANGE * numbers.min())


class _Ladders:
    """The cells of some rows, in steps of each size while the other sizes stand still."""

    def __init__(self, rows: pd.DataFrame, sizes: Sequence[str]) -> None:
        self._cell = cells_by(rows, sizes)
        self._first = np.unique(self._cell, return_index=True)[1]
        one = rows[list(dict.fromkeys(sizes))].iloc[self._first]
        self._steps = {}
        for size in sizes:
            others = [name for name in sizes if name != size]
            ladder = cells_by(one, others) if others else np.zeros(len(one), dtype=np.int64)
            order = np.lexsort((one[size].to_numpy(), ladder))
            self._steps[size] = order, np.diff(ladder[order]) == 0

    def moving(self, column: str, values: Floats) -> Moving | None:
        """The first size with which the values move, if the sizes fix them at all."""
        of_cells = values[self._first]
        if (of_cells[self._cell] != values).any():
            return None
        for size, (order, within) in self._steps.items():
            steps = np.diff(of_cells[order])[within]
            if steps.size >= 2 and (steps <= 0).all() and (steps < 0).sum() >= 2:
                return Moving(column=column, against=size)
            known = column.lower() in _COMPANIONS and size.lower() not in _WIDTHS
            if known and (steps >= 0).all() and (steps > 0).any():
                return Moving(column=column, against=size, rises=True)
        return None
