"""What the law that an implementation declares says of the sizes that one group of rows has."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pandas.api.types import is_numeric_dtype

from reports.cells.case_columns import KNOWN_SIZES, SIZE_NAMES, SIZES
from reports.judge.fit import columns_of
from reports.judge.judge import check_leading
from reports.laws.grammar import parse_declared
from reports.laws.monomials import Law


def declared_law(
    rows: pd.DataFrame, declared: str, sizes: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """The declared law without constants of the implementation, and the columns of its sizes.

    Raises:
        LawError: the text is not a law.
        TableError: a size that is known as one has no column.

    """
    known = {*sizes, *SIZE_NAMES}
    law = parse_declared(declared, known)
    own = {
        name: name
        for name in law.names
        if name not in known and name in rows.columns and is_numeric_dtype(rows[name])
    }
    columns = {**sizes, **own}
    law = _in_swept_sizes(law.only({*known, *own}), rows, sizes)
    # A law that an implementation declares, such as n*w*d, may hold for tables without windows.
    letters = {name for name in law.names if KNOWN_SIZES.get(name) == "window"}
    if letters and "window" not in rows.columns:
        law = law.only(set(law.names) - letters)
    columns_of(rows, law, columns)
    check_leading(law)
    return str(law), columns


def in_swept_sizes(
    rows: pd.DataFrame, claim: Law, sizes: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """A claim on records of ours, in the sizes that were swept, and their columns.

    The window of a run stands still: n*w*d is put to the test as n*d.
    """
    swept = {name: column for name, column in sizes.items() if column in SIZES.values()}
    law = _in_swept_sizes(claim, rows, swept)
    used = {name: of for name, of in sizes.items() if name in law.names or name in swept}
    return str(law), used


def _in_swept_sizes(law: Law, rows: pd.DataFrame, sizes: Mapping[str, str]) -> Law:
    """The law without other sizes that stand still, or move in proportion to one of `sizes`.

    Heads of one width are as many as d allows, and without a window every key is seen.
    """
    swept = {name: column for name, column in sizes.items() if column in rows.columns}
    for name in set(law.names) - set(sizes):
        column = KNOWN_SIZES.get(name, name)
        if column not in rows.columns:
            continue
        values = rows[column]
        if column == "window" and "key_len" in rows.columns:
            values = values.fillna(rows["key_len"])
        if values.nunique(dropna=False) == 1:
            law = law.only(set(law.names) - {name})
            continue
        alike = [of for of, other in swept.items() if (values / rows[other]).nunique() == 1]
        law = law.in_place_of(name, alike[0]) if alike else law
    return law
