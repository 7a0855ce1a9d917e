"""One column of a table as costs in one unit, whatever its cells and its neighbours say of units.

The unit of a cost stands in the name of its column (`time_ms`), else in the cell (`12.5 ms`), else
in a column of units (`unit`, `time_unit`). Different units become one. Rates become times of a
call, or are refused (`reports.tables.units`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.laws.monomials import Floats
from reports.tables.columns import TableError, is_text, shown
from reports.tables.columns import numbers as plain_numbers
from reports.tables.spelled import Spelled, spelled
from reports.tables.units import (
    BASE,
    NO_UNIT,
    Rate,
    Unit,
    rate_in,
    time_of_call,
    unit_named,
    unit_of,
)
from reports.text.wording import listed

UNIT_COLUMNS = ("unit", "units", "time_unit", "time unit", "timeunit", "mode")
"""Columns that hold the unit of a cost; a `mode` does so where it says `thrpt`."""
_NO_UNITS = frozenset({"min", *"hsbjn"})
"""Names of columns that are spelled like units and mean something else, as a minimum."""
SECONDS = Unit(kind="time", symbol="s", factor=1.0)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Costs in one unit, `name` stating it; NaN in `words`, which are cells that hold no number.

    `column` is where they stand in the table, `unit_column` the column that told the unit, if one
    did; `notes` are sentences for the user.
    """

    column: str
    name: str
    numbers: Floats
    words: npt.NDArray[np.bool_]
    unit: Unit
    unit_column: str | None = None
    notes: tuple[str, ...] = ()

    def in_base_unit(self) -> Cost:
        """The same costs in seconds, bytes or joules."""
        if self.unit.kind is None or self.unit.factor == 1:
            return self
        return replace(self, numbers=self.numbers * self.unit.factor, unit=_base(self.unit))


def read_numbers(frame: pd.DataFrame, column: str) -> Spelled:
    """The cells of a column as numbers, with what follows them.

    Raises:
        TableError: there is no such column, it holds no numbers or text, or `1.024` in it may be
            1024 as well.

    """
    values = frame[column] if column in frame.columns else None
    if not isinstance(values, pd.Series) or not is_text(values):
        found = plain_numbers(frame, column)
        none = np.zeros(len(frame), dtype=np.bool_)
        return Spelled(numbers=found, words=none, units=np.full(len(frame), "", dtype=object))
    cells = spelled(values)
    if cells.mark is None:
        example = next(one for one in values if isinstance(one, str) and set(one) & {".", ","})
        digits = example.replace(".", "").replace(",", "")
        raise TableError(
            f'column "{column}" holds {shown(example)}, which may have decimals or thousands; '
            f"write {digits} if it is that many, else {example.replace(',', '.')}0"
        )
    return cells


def size_in(frame: pd.DataFrame, column: str) -> Spelled:
    """The sizes of a column; those with a unit, such as `64 KiB`, in seconds, bytes or joules.

    Raises:
        TableError: there is no such column, or it holds no numbers.

    """
    cells = read_numbers(frame, column)
    codes, distinct = pd.factorize(cells.units)
    units = [unit_named(text) if text else NO_UNIT for text in distinct]
    factors = np.array([math.nan if one is None else one.factor for one in units])[codes]
    numbers = cells.numbers * factors
    return replace(cells, numbers=numbers, words=cells.words | np.isnan(factors))


def cost_in(frame: pd.DataFrame, column: str) -> Cost:
    """The costs of a column, in its own unit, or in seconds, bytes or joules where it has several.

    Raises:
        TableError: it holds no numbers, a rate of unknown work, or amounts of different kinds.

    """
    cells = read_numbers(frame, column)
    own = (None if column.casefold() in _NO_UNITS else _meaning(column)) or NO_UNIT
    texts, beside = cells.units, None
    if own == NO_UNIT or isinstance(own, Rate):
        stated, beside = _stated_beside(frame.drop(columns=column))
        texts = np.where(texts == "", stated, texts)
    codes, distinct = pd.factorize(texts)
    known = [own if text == "" else _meaning(text) for text in distinct]
    meanings = [meaning or own for meaning in known]
    # What follows a number in its cell has to be known; a column of units may hold anything.
    unknown = np.array([meaning is None for meaning in known], dtype=np.bool_)[codes]
    words = cells.words | (unknown & (cells.units != ""))
    bare = np.array([meaning == NO_UNIT for meaning in meanings], dtype=np.bool_)[codes]
    filled = ~words & ~np.isnan(cells.numbers)
    if (filled & ~bare).any():
        words |= bare & filled  # a number without a unit among others that have one
    used = list(dict.fromkeys(meanings[code] for code in np.unique(codes[filled & ~words])))
    unit = _common_unit(column, own, used, list(distinct), beside)
    name = column if unit_of(column) == unit else f"{column} ({unit.symbol})"
    if any(isinstance(meaning, Rate) for meaning in used):
        name = f"1/{column} ({unit.symbol})"
    factors = np.array([meaning.factor / unit.factor for meaning in meanings])[codes]
    inverted = np.array([isinstance(meaning, Rate) for meaning in meanings], dtype=np.bool_)[codes]
    costs = np.where(words, np.nan, cells.numbers)
    with np.errstate(divide="ignore"):
        costs[inverted] = 1 / costs[inverted]
    return Cost(
        column=column,
        name=name,
        numbers=costs * factors,
        words=words,
        unit=unit,
        unit_column=beside if any(one not in (own, NO_UNIT) for one in used) else None,
        notes=(*thousands_note(column, cells), *_notes(column, used)),
    )


def _common_unit(
    column: str,
    own: Unit | Rate,
    used: Sequence[Unit | Rate],
    texts: Sequence[str],
    beside: str | None,
) -> Unit:
    """The unit that all costs of a column get, if they are of one kind and of known work."""
    units = [one for one in used if isinstance(one, Unit)]
    unknown = [one for one in used if isinstance(one, Rate) and math.isnan(one.factor)]
    if unknown:
        what = "" if unknown[0].symbol == column else f" ({unknown[0].symbol})"
        raise TableError(
            f'column "{column}" is a rate{what}, which is no cost, and the work of a call is not '
            "known; name a column of times with --value, or divide the work of a call by its "
            "rate: 2e12 operations at 4 TFLOPS take 0.5 s"
        )
    if len(units) < len(used):
        if any(unit.kind != "time" for unit in units):
            raise _mixed(column, [one.symbol for one in used], None)
        return SECONDS
    if len({one.kind for one in units}) > 1:
        raise _mixed(column, texts, beside)
    if not units or (len(units) == 1 and own in (NO_UNIT, units[0])):
        return units[0] if units else NO_UNIT
    unit = own if isinstance(own, Unit) and own.kind else _base(units[0])
    if unit.kind not in (None, units[0].kind):
        raise _mixed(column, [unit.symbol, *texts], beside)
    return unit


def thousands_note(column: str, cells: Spelled) -> tuple[str, ...]:
    """What to say of a K in a column."""
    note = f'a K in column "{column}" is read as 1024, since its numbers are powers of two'
    return (note,) if cells.thousand == 1024 else ()


def _meaning(text: str) -> Unit | Rate | None:
    """What a unit, or the name of a column, says of its numbers; None where it says nothing."""
    for unit in (unit_named(text), unit_of(text), time_of_call(text)):
        if unit is not None and unit != NO_UNIT:
            return unit
    return rate_in(text)


def _stated_beside(frame: pd.DataFrame) -> tuple[npt.NDArray[np.object_], str | None]:
    """The text of a column of units in each row, and the column's name; "" without one."""
    folded = {str(column).casefold().strip(): column for column in reversed(frame.columns)}
    for name in UNIT_COLUMNS:
        if name not in folded or not isinstance(frame[folded[name]], pd.Series):
            continue
        texts = frame[folded[name]].map(lambda one: one.strip() if isinstance(one, str) else "")
        if any(_meaning(text) is not None for text in texts.unique()):
            return texts.to_numpy(dtype=object), str(folded[name])
    return np.full(len(frame), "", dtype=object), None


def _base(unit: Unit) -> Unit:
    """Seconds for a time, and so on."""
    return unit if unit.kind is None else Unit(kind=unit.kind, symbol=BASE[unit.kind], factor=1.0)


def _notes(column: str, used: Sequence[Unit | Rate]) -> tuple[str, ...]:
    rates = [one.symbol for one in used if isinstance(one, Rate)]
    if rates:
        what = "" if rates == [column] else f" ({', '.join(rates)})"
        note = f"is a rate{what}; the cost is judged as its inverse, the seconds of a call"
    elif len(used) > 1:
        note = f"holds {listed([one.symbol for one in used])}, which become one unit"
    else:
        return ()
    return (f'column "{column}" {note}',)


def _mixed(column: str, units: Iterable[str], beside: str | None) -> TableError:
    names = [text for text in units if text]
    choose = f"choose rows with --where {beside}={names[0]}" if beside else "name one kind of cost"
    return TableError(f'column "{column}" holds amounts in {" and in ".join(names)}; {choose}')
