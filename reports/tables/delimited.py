"""Reads CSV: commas, semicolons or tabs, told apart by which of them gives every line its fields.

Stricter than most readers on purpose. A line with a field too many is usually a number with a comma
inside, and shifting its fields would turn one column's values into another's.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pandas as pd

from reports.tables.columns import TableError

# Where two would do, the rarer one in text and numbers is meant.
_SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma"}
_LOOKED_AT = 50  # lines, to tell the separator
_MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "None", "<NA>"}
)
_TRUTHS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


def read_delimited(text: str) -> pd.DataFrame:
    """The table in a text: a header, then one row a line; blank lines are skipped.

    A column becomes numbers or booleans where every value that is not missing is one; a column
    without a name and without values is left out.

    Raises:
        TableError: there is no separator, a name occurs twice, a line has more or fewer fields
            than the header, or a quote is not closed.

    """
    separator = _separator(text)
    lines = _lines(text, separator)
    try:
        header = [name.strip() for name in next(lines)[1]]
        rows = []
        for number, fields in lines:
            if len(fields) != len(header):
                raise TableError(_wrong_length(number, len(fields), len(header), separator))
            rows.append(fields)
    except csv.Error as problem:
        raise TableError(
            f"is not CSV: {problem}; quotes must be closed and doubled inside"
        ) from None
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise TableError(f'has two columns called "{twice[0]}"; rename one of them')
    named = {}
    for at, name in enumerate(header):
        values = [fields[at].strip() for fields in rows]
        if name or any(values):
            named[name or f"column {at + 1}"] = _column(values)
    return pd.DataFrame(named)


def _lines(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the last line of each row, and its fields."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    for fields in reader:
        if any(fields):
            yield reader.line_num, fields


def _separator(text: str) -> str:
    """The one that divides the first lines into equally many fields, and the most of them."""
    first = text.strip().splitlines()[0]
    best, found = (False, 1), ""
    for separator in _SEPARATORS:
        try:
            widths = [len(fields) for _, fields in islice(_lines(text, separator), _LOOKED_AT)]
            rank = (len(set(widths)) == 1, widths[0] if widths else 0)
        except csv.Error:
            rank = (False, len(first.split(separator)))
        if rank[1] > 1 and rank > best:
            best, found = rank, separator
    if not found:
        shown = repr(first if len(first) <= 40 else f"{first[:39]}…")
        raise TableError(f"is no table: there is no comma, semicolon or tab in its header {shown}")
    return found


def _wrong_length(line: int, got: int, expected: int, separator: str) -> str:
    if separator == "," and got > expected:
        advice = "numbers have a point and no commas (1024, 0.5)"
    else:
        advice = f"give every line as many fields, with a {_SEPARATORS[separator]} between"
    fields = "1 field" if got == 1 else f"{got} fields"
    return f"line {line} has {fields}, expected {expected} as in the header; {advice}"


def _column(values: Sequence[str]) -> pd.Series:
    series = pd.Series(values, dtype=object)
    missing = series.isin(_MISSING)
    if missing.all():
        return pd.Series(np.nan, index=series.index)
    filled = series.mask(missing)
    if series[~missing].isin(_TRUTHS).all():
        truths = filled.map(_TRUTHS)
        return truths if missing.any() else truths.astype(bool)
    try:
        return pd.to_numeric(filled)
    except ValueError:
        return filled
