"""How the numbers of a column are written: which mark stands before decimals, which in thousands.

`1,024` and `1.024` may each be either. What else stands in the column decides, then the rest of
the table; where neither does, the text stays text, and whoever asks for numbers is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

Mark = Literal[".", ","]

_UNIT = r"(?:\s*[A-Za-zµμ%][\w/µμ%]{0,15})?"
_GROUPED = {
    ",": re.compile(rf"[+-]?[1-9][0-9]{{0,2}}(?:,[0-9]{{3}})+(?P<decimals>\.[0-9]*)?{_UNIT}"),
    ".": re.compile(rf"[+-]?[1-9][0-9]{{0,2}}(?:\.[0-9]{{3}})+(?P<decimals>,[0-9]*)?{_UNIT}"),
}
_DECIMAL = {
    ",": re.compile(rf"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?{_UNIT}"),
    ".": re.compile(rf"[+-]?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?{_UNIT}"),
}
_PLAIN = re.compile(rf"[+-]?0*(?P<digits>[0-9]+){_UNIT}")
_SPACED = re.compile(r"[+-]?[0-9]{1,3}(?:[ '’\u00a0\u2009\u202f][0-9]{3})+(?:[.,][0-9]+)?")
_UNDERSCORED = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)+(?:[.,][0-9]+)?")
_GAPS = str.maketrans("", "", " '’_\u00a0\u2009\u202f")
_OTHER: dict[Mark, Mark] = {".": ",", ",": "."}
_LOOKED_AT = 10_000
"""Values of a column by which the rest of a table is told how it writes decimals."""


def shown_mark(values: Iterable[str]) -> Mark | None:
    """The mark before decimals that some of the values show beyond doubt, if none shows another.

    `0,5` and `1.024.000` show a comma; `0.5` and `1,024,000` a point; `1,024` shows nothing.
    """
    found: set[Mark] = set()
    for value in values:
        for mark, other in _OTHER.items():
            if mark not in value:
                continue
            grouped = _GROUPED[mark].fullmatch(value)
            if grouped is None:
                if _DECIMAL[mark].fullmatch(value):
                    found.add(mark)
            elif grouped["decimals"] is not None or value.count(mark) > 1:
                found.add(other)
        if len(found) > 1:
            return None
    return found.pop() if found else None


def decimal_mark(
    values: Sequence[str],
    *,
    elsewhere: Callable[[], Mark | None] = lambda: None,
    separator: str = "",
) -> Mark | None:
    """The mark before decimals in a column; None where it may be either.

    `elsewhere` tells the mark that other columns show, which takes long in a large table. A comma
    between what might be thousands is one where commas also separate the columns, or where smaller
    numbers stand without.
    """
    shown = shown_mark(values)
    if shown is not None:
        return shown
    commas = any(_GROUPED[","].fullmatch(value) for value in values)
    points = any(_GROUPED["."].fullmatch(value) for value in values)
    if not (commas or points):
        return "."
    if commas and points:
        return None
    told = elsewhere()
    if told == "," or (commas and told == "."):
        return told
    plain = [found for found in map(_PLAIN.fullmatch, values) if found]
    small = all(len(found["digits"]) <= 3 for found in plain)
    if commas:
        return "." if separator == "," or (plain and small) else None
    return None if plain and small else "."


def in_points(value: str, mark: Mark) -> str:
    """The text with a decimal point, and without marks between thousands, if it is a number."""
    if _SPACED.fullmatch(value) or _UNDERSCORED.fullmatch(value):
        value = value.translate(_GAPS)
    thousands = _OTHER[mark]
    if _GROUPED[thousands].fullmatch(value):
        value = value.replace(thousands, "")
    if mark == "," and (_DECIMAL[","].fullmatch(value) or _PLAIN.fullmatch(value)):
        value = value.replace(",", ".")
    return value


def is_dubious(values: Sequence[str]) -> bool:
    """Whether a column that reads as numbers may have points between its thousands.

    Such are whole thousands (1.000, 2.000), and numbers of which some have a point and three digits
    after it and others, below 1000, have none. All others may well be measured to three places.
    """
    grouped = [value for value in values if "." in value]
    alike = all(
        _GROUPED["."].fullmatch(value) or (len(value) < 4 and value.isdigit()) for value in values
    )
    return (
        bool(grouped)
        and alike
        and (decimal_mark(values) != "." or all(value.endswith(".000") for value in grouped))
    )


def marks_elsewhere(columns: Iterable[Sequence[str]]) -> Mark | None:
    """The mark before decimals that any column of a table shows, if only one is shown."""
    found = {shown_mark(values[:_LOOKED_AT]) for values in columns} - {None}
    return found.pop() if len(found) == 1 else None


def is_number(text: str) -> bool:
    """Whether Python reads the text as a number, such as 1e-3."""
    try:
        float(text)
    except ValueError:
        return False
    return True
