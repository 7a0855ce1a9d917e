"""Numbers as people spell them in a cell: `64K`, `2^10`, `n=256`, `1_000`, `12.5 ± 0.3 ms`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.laws.monomials import Floats
from reports.tables.plain_text.notation import Mark, decimal_mark
from reports.tables.plain_text.number import Number, number_in, thousand_among


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


def spelled(values: pd.Series[Any]) -> Spelled:
    """Read a column of text, or of text among numbers."""
    codes, distinct = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
    texts = [one.strip() for one in distinct if isinstance(one, str)]
    mark = decimal_mark(texts)
    cells = [_number(one, mark or ".") for one in distinct]
    base = thousand_among([one for one in cells if one is not None and one.number])
    numbers = [math.nan if cell is None else cell.value(base or 1000) for cell in cells]
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


def _number(value: object, mark: Mark) -> Number | None:
    """What a cell says; None where that is no number."""
    if isinstance(value, str):
        return number_in(value, mark)
    try:
        return None if isinstance(value, bool | np.bool_) else Number(float(value))  # type: ignore[arg-type]  # whatever has no float is caught
    except (TypeError, ValueError):
        return None
    except OverflowError:
        return Number(math.inf)
