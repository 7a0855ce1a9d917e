"""Numbers as people spell them in a cell: `64K`, `2^10`, `n=256`, `1_000`, `12.5 ± 0.3 ms`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.laws.monomials import Floats
from reports.tables.plain_text.notation import Mark, decimal_mark, in_points, is_number

_CELL = re.compile(
    r"(?:[A-Za-z_]\w{0,40}\s*[=:]\s*)?"
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)\s*"
    r"(?:(?:±|\+/?-)\s*[0-9.]+\s*)?"
    r"(?:(?:\^|\*\*)\s*(?P<power>[0-9]{1,4})|(?P<thousand>[kKMGT]i?)|(?P<unit>[A-Za-zµμ][A-Za-z_/µμ]*))?"
    r"(?:\s*(?:±|\+/?-).*)?"
)
_LONGEST = 80
_THOUSANDS = ("", "K", "M", "G", "T")


@dataclass(frozen=True, kw_only=True)
class Spelled:
    """The cells of a column: numbers, NaN where a cell is empty or a word; which are words; units.

    `units` holds the text after each number, "" without. `thousand` is what K stood for, None
    where no number has it. `mark` is None where a point or comma may stand before decimals or
    between thousands, so that `1.024` was not read: no number is then to be trusted.
    """

    numbers: Floats
    words: npt.NDArray[np.bool_]
    units: npt.NDArray[np.object_]
    thousand: int | None = None
    mark: str | None = "."


class _Cell(NamedTuple):
    """What one text says: a number, times which power of a thousand, of which unit."""

    number: float
    thousand: str = ""
    unit: str = ""


def spelled(values: pd.Series[Any]) -> Spelled:
    """Read a column of text, or of text among numbers."""
    codes, distinct = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
    texts = [one.strip() for one in distinct if isinstance(one, str)]
    mark = decimal_mark(texts)
    cells = [_cell(one, mark or ".") for one in distinct]
    base = _thousand([one for one in cells if one is not None and one.number])
    numbers = [math.nan if cell is None else _value(cell, base or 1000) for cell in cells]
    words = [cell is None and bool(str(v).strip()) for cell, v in zip(cells, distinct, strict=True)]
    units = ["" if cell is None else cell.unit for cell in cells]
    # The last of each is what a missing cell has, whose code is -1.
    return Spelled(
        numbers=np.array([*numbers, math.nan], dtype=np.float64)[codes],
        words=np.array([*words, False], dtype=np.bool_)[codes],
        units=np.array([*units, ""], dtype=object)[codes],
        thousand=base,
        mark=mark,
    )


def _cell(value: object, mark: Mark) -> _Cell | None:
    """What a cell says; None where that is no number."""
    if not isinstance(value, str):
        try:
            return None if isinstance(value, bool | np.bool_) else _Cell(float(value))  # type: ignore[arg-type]  # whatever has no float is caught
        except (TypeError, ValueError):
            return None
        except OverflowError:
            return _Cell(math.inf)
    text = in_points(value.strip(), mark)
    if is_number(text):
        return _Cell(float(text))
    found = _CELL.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    number = float(found["number"])
    if found["power"]:
        try:
            number **= int(found["power"])
        except OverflowError:
            number = math.inf
    return _Cell(number, found["thousand"] or "", found["unit"] or "")


def _thousand(cells: Sequence[_Cell]) -> int | None:
    """What a K stands for: 1024 where all numbers are powers of two, else 1000."""
    if not any(cell.thousand and not cell.thousand.endswith("i") for cell in cells):
        return None
    numbers = {cell.number for cell in cells}
    return 1024 if numbers != {1.0} and all(map(_is_power_of_two, numbers)) else 1000


def _is_power_of_two(number: float) -> bool:
    return math.isfinite(number) and math.frexp(number)[0] == 0.5


def _value(cell: _Cell, base: int) -> float:
    power = _THOUSANDS.index(cell.thousand[:1].upper())
    return cell.number * (1024.0 if cell.thousand.endswith("i") else float(base)) ** power
