"""Tables of plain cells: objects become columns, and lists become text."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from reports.text.wording import one_line

_MOST_INSIDE = 200  # names in the objects of a column; more is no list of parameters
_DEEPEST = 4


def flattened(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with objects as columns, and lists and text that cannot be printed as plain text.

    Records of ours are left alone: they have lists where lists belong.
    """
    if "schema" in frame.columns:
        return frame
    changed: dict[str, Any] = {}
    for column in frame.columns:
        values = frame[column]
        if not (types.is_object_dtype(values.dtype) or types.is_string_dtype(values.dtype)):
            continue
        cells = list(values)
        plain = [_scalar(cell) for cell in cells]
        if any(map(operator.is_not, plain, cells)):
            changed[column] = plain
        inside = _inside(cells)
        for name, found in inside.items():
            for free in (f"{column}.{name}", name):
                if free not in frame.columns:
                    changed.setdefault(free, found)
    if not changed:
        return frame
    # As a whole: hundreds of columns, one put in after another, are slow.
    whole = {column: changed.pop(str(column), frame[column]) for column in frame.columns}
    return pd.DataFrame(whole | changed)


def _inside(cells: Sequence[Any]) -> dict[str, list[Any]]:
    """The columns that a column of objects, such as `params`, holds, if they are not too many."""
    rows = [dict(_named(cell)) if isinstance(cell, dict) else {} for cell in cells]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > _MOST_INSIDE:
        return {}
    return {name: [_scalar(row.get(name, np.nan)) for row in rows] for name in names}


def _named(inside: Mapping[str, Any], deeper: int = _DEEPEST) -> Iterator[tuple[str, Any]]:
    """What an object holds, objects in it included, each by a name with points in between."""
    for name, value in inside.items():
        if isinstance(value, dict) and deeper:
            yield from ((f"{name}.{more}", one) for more, one in _named(value, deeper - 1))
        else:
            yield name, value


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list | dict | set | tuple | np.ndarray):
        return one_line(value)
    return value
