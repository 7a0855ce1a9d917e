"""Reads CSV: commas, semicolons or tabs, told apart by which of them gives every line its fields.

Stricter than most readers on purpose. A line with a field too many is usually a number with a comma
inside, and shifting its fields would turn one column's values into another's. The options
`decimal`, `thousands` and `comment` of pandas are of no use here: they must be known beforehand,
drop commas wherever they stand (`0,5` becomes 5), and cut lines in their middle.
"""

from __future__ import annotations

import csv
import io
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.tables.columns import TableError
from reports.tables.plain_text.notation import (
    Mark,
    decimal_mark,
    in_points,
    is_dubious,
    is_number,
    marks_elsewhere,
)
from reports.text.wording import shortened

# Where two would do, the rarer one in text and numbers is meant.
_SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma"}
_LOOKED_AT = 50  # lines, to tell the separator
_COMMENTS = ("#", "//")
_STARTS = frozenset("+-.,0123456789")
_MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "None", "<NA>"}
)
_TRUTHS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


def read_delimited(text: str) -> pd.DataFrame:
    """The table in a text: a header, then one row a line; blank lines and comments are skipped.

    Raises:
        TableError: there is no separator, a name occurs twice, a line has more or fewer fields
            than the header, or a quote is not closed.

    """
    separator = _separator(text)
    try:
        lines = list(_lines(text, separator))
    except csv.Error as problem:
        raise TableError(
            f"is not CSV: {problem}; quotes must be closed and doubled inside"
        ) from None
    header, lines = _header(text, lines, separator)
    width = len(header)
    for number, fields in lines:
        if len(fields) < width or any(map(str.strip, fields[width:])):
            raise TableError(_wrong_length(number, len(fields), width, separator))
    return table_of(header, [fields for _, fields in lines], separator)


def table_of(
    header: Sequence[str], rows: Sequence[Sequence[str]], separator: str = ""
) -> pd.DataFrame:
    """The table of some rows of text, each with as many fields as the header at least.

    A column becomes numbers or booleans where every value that is not missing is one, however its
    thousands and decimals are written; a column without a name and without values is left out.
    """
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise TableError(f'has two columns called "{twice[0]}"; rename one of them')
    columns = [[field.strip() for field in column] for column in zip(*rows, strict=False)]
    elsewhere = cache(lambda: marks_elsewhere(columns[: len(header)]))
    named = {}
    for at, name in enumerate(header):
        values = columns[at] if columns else []
        if name or any(values):
            named[name or f"column {at + 1}"] = _column(values, elsewhere, separator)
    return pd.DataFrame(named)


def _lines(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the last line of each row, and its fields."""
    reader = csv.reader(_uncommented(text), delimiter=separator, skipinitialspace=True, strict=True)
    for fields in reader:
        if any(fields):
            yield reader.line_num, fields


def _uncommented(text: str) -> Iterator[str]:
    """The lines, empty where they are comments; a line within quotes is none."""
    quoted = False
    for line in io.StringIO(text, newline=""):
        if not quoted and line.lstrip().startswith(_COMMENTS):
            yield "\n"
        else:
            quoted ^= line.count('"') % 2 == 1
            yield line


def _header(
    text: str, lines: list[tuple[int, list[str]]], separator: str
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the lines below them.

    Where the first line holds numbers only, a comment above it with as many fields names them.
    """
    first, fields = lines[0]
    if all(map(is_number, fields)):
        above = io.StringIO(text, newline="").readlines()[: first - 1]
        comment = next((line for line in reversed(above) if line.strip()), "")
        names = [name.strip() for name in comment.strip().lstrip("#/").split(separator)]
        if len(names) == len(fields) and not any(map(is_number, names)):
            return names, lines
    return [name.strip() for name in fields], lines[1:]


def _separator(text: str) -> str:
    """The one that divides the first lines into equally many fields, and the most of them."""
    written = (line for line in _uncommented(text) if line.strip())
    first = next(written, "").strip()
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
        raise TableError(
            "is no table: there is no comma, semicolon or tab in its header "
            f"{shortened(first, most=40)!r}"
        )
    return found


def _wrong_length(line: int, got: int, expected: int, separator: str) -> str:
    if separator == "," and got > expected:
        advice = "numbers have a point and no commas (1024, 0.5)"
    else:
        advice = f"give every line as many fields, with a {_SEPARATORS[separator]} between"
    fields = "1 field" if got == 1 else f"{got} fields"
    return f"line {line} has {fields}, expected {expected} as in the header; {advice}"


def _column(
    values: Sequence[str], elsewhere: Callable[[], Mark | None], separator: str
) -> npt.ArrayLike:
    """The values as numbers or booleans where all are, else as text; NaN where one is missing."""
    present = [value for value in values if value not in _MISSING]
    if all(value in _TRUTHS for value in present):
        return [_TRUTHS.get(value, np.nan) for value in values]
    filled = np.array([np.nan if v in _MISSING else v for v in values], dtype=object)
    try:
        found = pd.to_numeric(filled)
    except ValueError:
        found = filled
    is_text = found is filled
    if is_text and not any(value[0] in _STARTS for value in present):
        return filled
    if not (is_text or is_dubious(present)):
        return found
    mark = decimal_mark(present, elsewhere=elsewhere, separator=separator)
    if mark is None:
        return filled
    plain = [in_points(one, mark) if isinstance(one, str) else one for one in filled]
    if all(map(operator.eq, plain, filled)):
        return found
    return [float(one) if isinstance(one, str) and is_number(one) else one for one in plain]
