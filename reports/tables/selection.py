"""Which rows and columns of a table are meant: `--where` conditions, and patterns of `--value`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from reports.tables.columns import TableError, column_called, nearest, no_column, shown
from reports.tables.condition import condition_of
from reports.tables.spelled import spelled
from reports.text.wording import count, listed, one_line, shortened

MOST_VALUES = 100
"""Columns of costs that one request may name."""
_MOST_SHOWN = 6


def rows_where(frame: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that fulfil every condition, such as `status=ok` or `heads!=16`.

    Values are compared as numbers where both are, else as text, without regard to case where
    nothing else is equal. `column=` is for rows without a value.

    Raises:
        ConditionError: a condition cannot be read.
        TableError: a condition names no column, or leaves no row.

    """
    for text in conditions:
        condition = condition_of(text)
        column = column_called(frame, condition.column)
        equal = _equals(frame[column], condition.value)
        rows = frame[equal if condition.is_equal else ~equal]
        if rows.empty:
            raise TableError(
                f"--where {text} leaves no row; {column} is {_values_in(frame[column])}"
            )
        frame = rows
    return frame


def rows_of(frame: pd.DataFrame, implementations: Sequence[str]) -> pd.DataFrame:
    """The rows of these implementations.

    Raises:
        TableError: one of them has no row.

    """
    known = frame.get("implementation", pd.Series(dtype=object)).dropna().astype(str)
    names = list(dict.fromkeys(known))
    for name in implementations:
        if name not in names:
            near = nearest(name, names)
            hint = f"; did you mean {near}?" if near else ""
            raise TableError(
                f"--only: there is no implementation {shown(name)}{hint} "
                f"(there {'is' if len(names) == 1 else 'are'} {listed(names) or 'none'})"
            )
    return frame.loc[known.index[known.isin(implementations)]]


def _equals(values: pd.Series, wanted: str) -> npt.NDArray[np.bool_]:
    """Which values are the wanted one."""
    if not wanted:
        return np.asarray(values.isna() | values.eq(""), dtype=np.bool_)
    texts = values.astype(str).str.strip()
    equal = texts == wanted
    number = spelled(pd.Series([wanted], dtype=object)).numbers[0]
    if not np.isnan(number) and not types.is_bool_dtype(values.dtype):
        numeric = types.is_numeric_dtype(values.dtype)
        cells = values.to_numpy(np.float64, na_value=np.nan) if numeric else spelled(values).numbers
        equal |= cells == number
    elif not equal.any():
        equal = texts.str.casefold() == wanted.casefold()
    return np.asarray(equal, dtype=np.bool_)


def _values_in(values: pd.Series) -> str:
    counts = values.astype(str).value_counts()
    parts = [
        f"{one_line(shortened(str(value)))} in {count(rows, 'row')}"
        for value, rows in counts.head(_MOST_SHOWN).items()
    ]
    more = len(counts) - len(parts)
    return ", ".join(parts) + (f" and something else in others ({more} values)" if more else "")


def columns_meant(frame: pd.DataFrame, wanted: Sequence[str], used: Collection[str]) -> list[str]:
    """The columns that names and patterns such as `time_*` mean, each once, without those in use.

    Raises:
        TableError: a name or pattern means no column, or all mean more than MOST_VALUES.

    """
    found: dict[str, None] = {}
    for name in wanted:
        if name not in frame.columns and any(sign in name for sign in "*?["):
            is_meant = re.compile(fnmatch.translate(name.casefold())).match
            names = [column for column in map(str, frame.columns) if is_meant(column.casefold())]
            names = [column for column in names if column not in used]
            if not names:
                raise no_column(frame, name)
            found |= dict.fromkeys(names)
        else:
            found[column_called(frame, name)] = None
    if len(found) > MOST_VALUES:
        raise TableError(
            f"--value means {len(found)} columns; at most {MOST_VALUES} can be judged at once, "
            "name fewer"
        )
    return list(found)
