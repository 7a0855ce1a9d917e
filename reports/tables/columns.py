"""One column of a table as numbers, and what to say where it is none."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from bench.records import STATUSES
from reports.tables.plain_text.notation import Mark, in_points
from reports.tables.units import UnitError, parse_quantity, unit_of
from reports.text.wording import shortened

FILES = "files"
"""Key of `DataFrame.attrs`: pairs of the first row's label and the file that it was read from."""

FARTHEST = 1e60
"""Sizes and costs lie between this and its inverse: squares of their products stay finite."""

_MOST_NAMES = 12
_MARKS: tuple[Mark, ...] = (".", ",")


class TableError(ValueError):
    """A table that cannot be read or judged; the message is one line for the user."""


class TableWarning(UserWarning):
    """What a user should know of how a table was read, in one line."""


def numbers(frame: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as floats, NaN where it is empty.

    Text that is a number counts as one; true and false, dates and durations do not.

    Raises:
        TableError: the column does not exist, or holds something else; the message says which
            file and row, where the table was read from a file. Rows count from 1, without a header.

    """
    if column not in frame.columns:
        raise no_column(frame, column)
    values = frame[column]
    if isinstance(values, pd.DataFrame):
        raise TableError(f'two columns are called "{column}"; rename one of them')
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    kind = values.dtype
    if types.is_bool_dtype(kind):
        raise TableError(f'{_file(frame)}column "{column}" holds true and false; expected numbers')
    if types.is_complex_dtype(kind) or not (types.is_numeric_dtype(kind) or is_text(values)):
        raise TableError(
            f'{_file(frame)}column "{column}" holds {kind}; expected numbers, '
            "such as seconds in a column time_s"
        )
    try:
        return _floats(values)
    except (ValueError, TypeError, OverflowError):
        raise no_number(frame, column, _first_wrong(values)) from None


def is_text(values: pd.Series[Any]) -> bool:
    """Whether a column holds text, or whatever else is no number."""
    return types.is_object_dtype(values.dtype) or types.is_string_dtype(values.dtype)


def numbers_or_nan(frame: pd.DataFrame, column: str) -> pd.Series[Any]:
    """A column as floats, NaN where it is absent, empty, or holds something else."""
    if column not in frame.columns:
        return pd.Series(np.nan, index=frame.index)
    return pd.to_numeric(frame[column], errors="coerce").astype(float)


def measured_rows(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows carry a measurement: those with status `measured`, or all without a status.

    A foreign column `status` that holds none of our words says nothing about that.
    """
    if "status" not in frame.columns or not frame["status"].isin(STATUSES).any():
        return np.ones(len(frame), dtype=np.bool_)
    return (frame["status"] == "measured").to_numpy(dtype=np.bool_)


def no_number(frame: pd.DataFrame, column: str, position: int) -> TableError:
    """The error for a value that is no number: where it stands, and what to write."""
    value = frame[column].iloc[position]
    file, row = row_of(frame, position)
    return TableError(
        f'{file}column "{column}" must hold numbers, got {shown(value)}{row}; {_advice(value)}'
    )


def column_called(frame: pd.DataFrame, name: str) -> str:
    """The column of that name, else the only one that differs from it in case alone.

    Raises:
        TableError: there is none.

    """
    if name in frame.columns:
        return name
    same = [str(one) for one in frame.columns if str(one).casefold() == name.casefold()]
    if len(same) != 1:
        raise no_column(frame, name)
    return same[0]


def no_column(frame: pd.DataFrame, column: str) -> TableError:
    """The error for a name that is no column: the nearest one, and what there is."""
    names = [str(name) for name in frame.columns]
    near = nearest(column, names)
    guess = f'did you mean "{near}"? ' if near else ""
    how = "; name the cost with --value" if column == "time_s" else ""
    return TableError(
        f'{_file(frame)}there is no column "{column}"; {guess}the table has {_listed(names)}{how}'
    )


def row_of(frame: pd.DataFrame, position: int) -> tuple[str, str]:
    """What to say before and after a message on one row: `table.csv: ` and ` in row 3`."""
    label = frame.index[position]
    if not isinstance(label, int | np.integer):
        return _file(frame), f" in row {label!r}"
    start, file = 0, ""
    for first, name in frame.attrs.get(FILES, ()):
        if first <= label:
            start, file = first, f"{name}: "
    return file, f" in row {int(label) - start + 1}"


def _file(frame: pd.DataFrame) -> str:
    files = [name for _, name in frame.attrs.get(FILES, ())]
    return f"{files[0]}: " if len(files) == 1 else ""


def nearest(column: str, names: Sequence[str]) -> str | None:
    """The name that is spelled nearly so; None where there is none."""
    folded = {name.casefold(): name for name in reversed(names)}
    asked = column.casefold()
    found = difflib.get_close_matches(asked, list(folded), n=_MOST_NAMES)
    # What is left out most often is the unit.
    found.sort(key=lambda name: unit_of(name).kind is None or not name.startswith(asked))
    return folded[found[0]] if found else None


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _advice(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    for read in (in_points(text, mark) for mark in _MARKS):
        if read != text:
            return f"write {read}, with a decimal point and no marks between the thousands"
    try:
        parse_quantity(text)
    except UnitError:
        return "correct the file, or name another column"
    return "write the number alone, and its unit in the header, such as time (ms)"


def shown(value: object) -> str:
    """A value of a cell as a message shows it, on one line."""
    return shortened(repr(value.item() if isinstance(value, np.generic) else value), most=60)


def _floats(values: pd.Series[Any]) -> npt.NDArray[np.float64]:
    if types.is_object_dtype(values.dtype) and any(isinstance(v, bool | np.bool_) for v in values):
        raise TypeError("a boolean is no number")
    return pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)


def _first_wrong(values: pd.Series[Any]) -> int:
    """The position of the first value that is no number; there must be one."""

    def is_wrong(position: int) -> bool:
        try:
            _floats(values.iloc[: position + 1])
        except (ValueError, TypeError, OverflowError):
            return True
        return False

    return bisect_left(range(len(values)), True, key=is_wrong)
