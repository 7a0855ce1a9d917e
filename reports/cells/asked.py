"""What is asked of a table: its rows, sizes and one cost, ready to be judged.

Anybody's table comes with units in its cells, rates, a column for each implementation, and rows
that failed. `asked` makes of it what `reports.judge.fit_groups` judges: plain sizes and costs, one
unit, stated by the name of the cost column, and a status where rows are lost.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pandas.api import types

from reports.cells.case_columns import (
    CONDITIONS,
    COVARIATES,
    EXACT,
    KNOWN_SIZES,
    SIZE_NAMES,
    SIZES,
)
from reports.cells.groups import group_columns, with_cost
from reports.laws.grammar import LawError, parse
from reports.laws.monomials import Floats
from reports.tables.columns import FARTHEST, TableError, TableWarning, column_called, numbers
from reports.tables.costs import Cost, cost_in, size_in, thousands_note
from reports.tables.losses import Statuses, by_status, without_number
from reports.tables.selection import columns_meant, rows_where
from reports.tables.spelled import spelled

COST = "time_s"
"""The cost that is judged unless another is named."""
UNNAMED = "unnamed"
"""The implementation of rows that name none, beside others that name one."""
_MOST_CELLS = 20_000_000
"""Of a wide table once it is a long one, so that it fits into memory."""
_USUAL = ("implementation", *CONDITIONS, COST, *KNOWN_SIZES.values(), "head_dim")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A table as it is to be judged, and what its columns are: as `fit_groups` takes them."""

    frame: pd.DataFrame = field(repr=False)
    sizes: Mapping[str, str] | None
    value: str
    by: Sequence[str] | None


def asked(
    frame: pd.DataFrame,
    *,
    sizes: Mapping[str, str] | None = None,
    values: Sequence[str] = (COST,),
    by: Sequence[str] | None = None,
    where: Sequence[str] = (),
    claim: str | None = None,
) -> Asked:
    """The rows that `where` chooses, with the sizes and the costs that are named.

    Names are found in another case too. Several costs, or a pattern such as `time_*`, are columns
    of one cost, one for each implementation, and become groups. Rows without a size or a cost, or
    whose status says that they failed, are left out and said, in a TableWarning for each column.
    Records of our own are left as they are.

    Raises:
        TableError: a column is missing, holds no numbers, or a rate of unknown work; or no row is
            left, or has the cost.

    """
    frame = rows_where(_with_names(frame), where)
    is_run = "schema" in frame.columns
    frame = frame if is_run else _with_names(_usually_named(frame))
    if is_run:
        if len(values) != 1:
            raise TableError(f"a run is judged by one --value, got {len(values)}; name one")
        for column in (sizes or {}).values():
            numbers(frame, column)
        if values[0] != COST and np.isnan(numbers(frame, values[0])).all():
            raise TableError(f"no record has a {values[0]}; name another column with --value")
        return Asked(frame=frame, sizes=sizes, value=values[0], by=by)
    grouped = None if by is None else [column_called(frame, name) for name in by]
    found = _sizes(frame, sizes)
    own = {*(found or {}).values(), *(grouped or ())}
    columns = columns_meant(frame, values, own)
    if len(columns) == 1:
        frame = with_cost(frame, columns[0])
    costs = [cost_in(frame, column) for column in columns]
    notes = [note for cost in costs for note in cost.notes]
    usable, statuses_in = by_status(frame)
    changed = {}
    for column in _size_columns(frame, found, claim):
        cells = size_in(frame, column)
        _refuse_thousandths(column, cells.numbers)
        usable = without_number(frame, column, cells.numbers, cells.words, usable)
        notes += thousands_note(column, cells)
        changed[column] = cells.numbers
    for note in dict.fromkeys(notes):
        warnings.warn(note, TableWarning, stacklevel=2)
    statuses = [
        without_number(
            frame,
            cost.column,
            cost.numbers,
            cost.words,
            usable,
            zero=cost.unit.kind == "memory" or cost.column in EXACT,
        )
        for cost in costs
    ]
    if not any("measured" in of_cost for of_cost in statuses):
        raise TableError(
            "no row is left that has its sizes and a cost; correct the table, or choose other "
            "columns with --size and --value"
        )
    for column in COVARIATES:
        if column in frame.columns and not types.is_numeric_dtype(frame[column]):
            changed.setdefault(column, spelled(frame[column]).numbers)
    read = {*statuses_in, *(cost.unit_column for cost in costs)} - {None, "status", *own}
    read -= {cost.column for cost in costs}
    prepared = frame.assign(**changed).drop(columns=list(read))
    if len(costs) > 1:
        return _melted(prepared, costs, statuses, found, grouped)
    (cost,) = costs
    prepared = _with_status(prepared.assign(**{cost.name: cost.numbers}), statuses[0], own)
    return Asked(frame=prepared, sizes=found, value=cost.name, by=grouped)


def _usually_named(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that have a meaning of their own called as usual."""
    names = [str(name) for name in frame.columns]
    count = Counter(name.casefold() for name in names)
    usual = {name: name.casefold() for name in names if name.casefold() in _USUAL}
    return frame.rename(columns={name: low for name, low in usual.items() if count[low] == 1})


def _with_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with a name in every row, where some rows name an implementation."""
    named = frame.get("implementation")
    if not isinstance(named, pd.Series) or not named.isna().any() or named.isna().all():
        return frame
    return frame.assign(implementation=named.astype(object).where(named.notna(), UNNAMED))


def _sizes(frame: pd.DataFrame, sizes: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """The columns of the sizes; None where the usual ones are there under their usual names."""
    if sizes is not None:
        return {name: column_called(frame, column) for name, column in sizes.items()}
    if any(column in frame.columns for column in SIZES.values()):
        return None
    only = {}
    for letter in SIZES:
        columns = [name for name in map(str, frame.columns) if name.casefold() == letter]
        if len(columns) == 1:
            only[letter] = columns[0]
    return only if any(letter != column for letter, column in only.items()) else None


def _size_columns(
    frame: pd.DataFrame, sizes: Mapping[str, str] | None, claim: str | None
) -> list[str]:
    """The columns that are judged as sizes: those that are named, and those of the claim."""
    usual = {name: column for name, column in SIZES.items() if column in frame.columns}
    columns = dict(sizes or usual or {name: name for name in SIZES})
    try:
        names = parse(claim or "1", names={*columns, *SIZE_NAMES}).names
    except LawError:  # whoever judges says so
        names = ()
    for name in names:
        columns.setdefault(name, KNOWN_SIZES.get(name, name))
    return [column for column in dict.fromkeys(columns.values()) if column in frame.columns]


def _refuse_thousandths(column: str, sizes: Floats) -> None:
    """See that no size of a thousand is read as one: 1.024 and 2.048 may be meant so.

    Raises:
        TableError: every size has three decimals, or fewer, and none is whole.

    """
    known = np.unique(sizes[np.abs(sizes) <= FARTHEST])
    whole = np.abs(known * 1000 - np.round(known * 1000)) < 1e-6
    if known.size > 2 and (known >= 1).all() and (known % 1 > 0).all() and whole.all():
        raise TableError(
            f'column "{column}" holds sizes such as {known[0]:g}, which may have decimals or '
            f"thousands; write {known[0] * 1000:g} if it is that many, else give them in a smaller "
            "unit"
        )


def _with_status(frame: pd.DataFrame, statuses: Statuses, used: Collection[str]) -> pd.DataFrame:
    """The table with a status in each row; where `status` makes groups, without lost rows."""
    measured = statuses == "measured"
    if "status" in used:
        return pd.DataFrame(frame[measured])
    says = "status" in frame.columns and not types.is_numeric_dtype(frame["status"])
    return frame.assign(status=statuses) if says or not measured.all() else frame


def _melted(
    frame: pd.DataFrame,
    costs: Sequence[Cost],
    statuses: Sequence[Statuses],
    sizes: Mapping[str, str] | None,
    by: Sequence[str] | None,
) -> Asked:
    """A table with a column for each implementation as one with a row for each.

    Raises:
        TableError: the columns hold costs of different kinds.

    """
    kinds = {cost.unit.kind: cost.column for cost in costs}
    if len(kinds) > 1:
        told = " and ".join(f'{kind or "no unit"} in "{name}"' for kind, name in kinds.items())
        raise TableError(f"--value means columns of different kinds, {told}; name those of one")
    if len({cost.unit for cost in costs}) > 1:
        costs = [cost.in_base_unit() for cost in costs]
    unit = costs[0].unit
    value = f"{unit.kind} ({unit.symbol})" if unit.kind else "value"
    rest = frame.drop(columns=[cost.column for cost in costs])
    if rest.size * len(costs) > _MOST_CELLS:
        raise TableError(
            f"--value means {len(costs)} columns beside {len(rest.columns)} others in "
            f"{len(rest)} rows, which is too much at once; name fewer, or choose rows with --where"
        )
    key = next(one for one in ("implementation", "column", "of column") if one not in rest.columns)
    if by is not None:
        by = [*by, key]
    elif key != "implementation":
        by = [*group_columns(rest, (sizes or SIZES).values()), key]
    while value in rest.columns:
        value = f"cost, {value}"
    parts = [rest.assign(**{value: cost.numbers}).assign(**{key: cost.column}) for cost in costs]
    melted = pd.concat(parts, ignore_index=True)
    melted.attrs = {}  # its rows are no longer those of the file
    melted = _with_status(melted, np.concatenate(statuses), by or ())
    return Asked(frame=melted, sizes=sizes, value=value, by=by)
