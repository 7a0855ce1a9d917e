"""Which rows belong together: one group per implementation and per condition that varies."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from reports.cells.case_columns import CONDITIONS, SPECIAL
from reports.cells.moving_sizes import moving_sizes
from reports.tables.columns import measured_rows, no_column


def group_columns(frame: pd.DataFrame, without: Collection[str] = ()) -> list[str]:
    """`implementation`, where the table has it, and the conditions that vary within one.

    Columns in `without`, which a law uses as sizes, do not split groups.

    A condition that only ever differs between implementations (a loop's smaller batch, say) does
    not split any of them, and is left out. So is a batch that moves with a size, as that of
    constant tokens does: it is a size itself.
    """
    named = "implementation" in frame.columns
    columns = ["implementation"] if named else []
    for column in CONDITIONS:
        if column not in frame.columns or column in without:
            continue
        if column == "run" and is_numeric_dtype(frame[column]):
            continue  # a counter of repetitions; runs of ours are named
        if column == "batch" and _moves(frame, without):
            continue
        values = frame.groupby("implementation")[column] if named else frame[column]
        if pd.Series(values.nunique(dropna=column not in SPECIAL)).max() > 1:
            columns.append(column)
    return columns


def _moves(frame: pd.DataFrame, sizes: Collection[str]) -> bool:
    """Whether the batch is a size that moves with another one."""
    known = [column for column in sizes if column in frame.columns]
    named = "implementation" in frame.columns
    parts = [part for _, part in frame.groupby("implementation")] if named else [frame]
    rest = {str(column) for column in frame.columns} - {"batch", *known}
    return bool(known) and any(moving_sizes(part, known, rest) for part in parts)


def groups(
    frame: pd.DataFrame, by: Sequence[str] | None = None, without: Collection[str] = ()
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups in order of first appearance, each with what its rows share.

    Raises:
        TableError: a column of `by` does not exist.

    """
    columns = group_columns(frame, without) if by is None else list(by)
    for column in columns:
        if column not in frame.columns:
            raise no_column(frame, column)
    if not columns:
        yield {}, frame
        return
    for key, part in frame.groupby(columns, sort=False, dropna=False):
        values = key if isinstance(key, tuple) else (key,)
        yield {c: _plain(v) for c, v in zip(columns, values, strict=True)}, part


def with_cost(frame: pd.DataFrame, cost: str) -> pd.DataFrame:
    """A foreign table without the implementations of which other costs were measured, not this.

    A file of benchmarks may have the time of some and the memory of others. Where no
    implementation has the cost, all are kept.
    """
    if "schema" in frame.columns or not {"implementation", "status"} <= set(frame.columns):
        return frame
    read = measured_rows(frame)
    names = frame["implementation"].astype(str)
    others = set(names[read]) - set(names[frame[cost].notna()])
    kept = ~names.isin(others)
    return frame[kept] if (kept & read).any() else frame


def _plain(value: Any) -> Any:
    """A value that JSON can hold: numpy scalars become Python's, a missing one None."""
    if pd.isna(value):
        return None
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return str(plain)
    return plain if isinstance(plain, str | int | float | bool) else str(plain)
