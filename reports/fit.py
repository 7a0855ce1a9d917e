"""Judges claims on tables: `fit` for one group of rows, `fit_groups` for a whole table.

Pure functions: a table in, a `Fit` out. The method is described in `reports.judging`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from reports.cells import SIZE_COLUMNS, Cells, cells_of
from reports.groups import groups
from reports.judgement import Fit, Verdict
from reports.judging import judge
from reports.laws import Law, LawError, parse, parse_declared
from reports.tables import TableError
from reports.wording import one_line

SIZES: Mapping[str, str] = MappingProxyType({"n": "seq_len", "d": "d_model"})
"""The default letters of laws and the columns they stand for."""
KNOWN_SIZES: Mapping[str, str] = MappingProxyType(
    {**SIZES, "h": "num_heads", "b": "batch", "m": "key_len"}
)
"""Letters that a claim may use without being told what they stand for."""
CLAIM = "n^2*d"
EXACT = frozenset({"workspace_bytes", "bytes_moved", "flops"})
"""Costs that are counted: the same at every visit."""
_CLAIM_COLUMNS = {"workspace_bytes": "workspace_claim"}


class ClaimWarning(UserWarning):
    """A claim that a group declares and that cannot be judged; the group is inconclusive."""


def fit(
    table: pd.DataFrame,
    *,
    sizes: Mapping[str, str] = SIZES,
    value: str = "time_s",
    claim: str = CLAIM,
    confidence: float = 0.95,
    tolerance: float = 0.1,
    group: Mapping[str, Any] = MappingProxyType({}),
    info: Mapping[str, Any] = MappingProxyType({}),
) -> Fit:
    """Judge one claim on one group of rows.

    `sizes` maps letters of the claim to columns; a size that varies without being claimed is
    tested against exponent 0. `value` is the cost column. Rows whose `status` is not `measured`
    are left out. `group` is carried into the result; `info` is the object of `run.json`, whose
    caches and ceilings name the regimes.

    Raises:
        LawError: the claim is not a law (a ValueError that shows the column).
        TableError: a column is missing or holds what no size or cost can be (a ValueError).
        ValueError: confidence or tolerance is out of range.

    """
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence must be from 0.5 to below 1, got {confidence}; try 0.95")
    if not 0 < tolerance < 0.5:
        raise ValueError(f"tolerance must lie between 0 and 0.5, got {tolerance}; try 0.1")
    law = parse(claim, names={*sizes, *KNOWN_SIZES, *SIZE_COLUMNS})
    columns = _columns(table, law, sizes)
    cells = cells_of(table, columns, value)
    found = judge(
        cells,
        law,
        names=tuple(columns),
        confidence=confidence,
        tolerance=tolerance,
        exact=value in EXACT,
        info=info,
    )
    return Fit(
        group=dict(group),
        claim=str(law),
        verdict=found.verdict,
        reasons=found.reasons,
        exponents=found.exponents,
        terms=found.terms,
        regimes=found.regimes,
        cells=len(found.cells),
        rms_residual=found.rms_residual,
        confidence=confidence,
        tolerance=tolerance,
        sizes=columns,
        value=value,
        ranges=_ranges(found.cells),
    )


def fit_groups(
    table: pd.DataFrame,
    *,
    sizes: Mapping[str, str] | None = None,
    value: str | None = None,
    by: Sequence[str] | None = None,
    claim: str | None = None,
    confidence: float = 0.95,
    tolerance: float = 0.1,
    info: Mapping[str, Any] | None = None,
) -> list[Fit]:
    """Judge every group of a table, in order of first appearance.

    Defaults: n is `seq_len`, d is `d_model`, the cost is `time_s`; one group per implementation
    and per condition that varies within one (see `reports.groups`); the claim is what the group
    itself declares in its column `claim` (`workspace_claim` for workspace_bytes), else n^2*d.

    What a declared claim names besides sizes is a constant of the implementation (the window w in
    n*w*d), which growth leaves out. A declared claim that is no law, or names a size without a
    column, leaves its own group inconclusive, with a `ClaimWarning` that says why.

    Raises:
        LawError: the claim given is not a law.
        TableError: a column is missing or broken, or a group declares two claims.
        ValueError: confidence or tolerance is out of range.

    """
    cost = value or "time_s"
    if cost not in table.columns:
        have = ", ".join(map(str, table.columns[:12]))
        raise TableError(f'there is no cost column "{cost}"; the table has {have}; try --value')
    for name, column in (sizes or {}).items():
        if column not in table.columns:
            have = ", ".join(map(str, table.columns[:12]))
            raise TableError(f"--size {name}={column}: the table has no such column, but {have}")
    taken = set((sizes or SIZES).values())
    keep = None if by is None else list(by)
    given = _present(table) if sizes is None else sizes
    fits = []
    for group, rows in groups(table, keep, without=taken):
        declared = None if claim else _declared(rows, cost)
        law, columns = claim or CLAIM, given
        if declared is not None:
            try:
                law, columns = _growth(rows, declared, given)
            except (LawError, TableError) as problem:
                named = one_line(", ".join(f"{name} {of}" for name, of in group.items()))
                what = f"{named or 'this table'} is not judged on {cost}"
                warnings.warn(f"{what}: {problem}", ClaimWarning, stacklevel=2)
                present = {name: c for name, c in given.items() if c in rows.columns}
                fits.append(
                    Fit(
                        group=group,
                        claim=declared,
                        verdict=Verdict.INCONCLUSIVE,
                        reasons=("too_few_sizes",) * isinstance(problem, TableError),
                        cells=len(cells_of(rows, present, cost)),
                        confidence=confidence,
                        tolerance=tolerance,
                        sizes=present,
                        value=cost,
                    )
                )
                continue
        found = fit(
            rows,
            sizes=columns,
            value=cost,
            claim=law,
            confidence=confidence,
            tolerance=tolerance,
            group=group,
            info=info or {},
        )
        fits.append(found if declared is None else replace(found, claim=declared))
    return fits


def _growth(
    rows: pd.DataFrame, declared: str, sizes: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """The declared law without constants of the implementation, and the columns of its sizes.

    Raises:
        LawError: the text is not a law.
        TableError: a size that is known as one has no column.

    """
    known = {*sizes, *KNOWN_SIZES, *SIZE_COLUMNS}
    law = parse_declared(declared, known)
    own = {
        name: name
        for name in law.names
        if name not in known and name in rows.columns and is_numeric_dtype(rows[name])
    }
    columns = {**sizes, **own}
    law = law.only(frozenset({*known, *own}))
    _columns(rows, law, columns)
    return str(law), columns


def _present(table: pd.DataFrame) -> Mapping[str, str]:
    return {name: column for name, column in SIZES.items() if column in table.columns}


def _declared(rows: pd.DataFrame, value: str) -> str | None:
    column = _CLAIM_COLUMNS.get(value, "claim")
    if column not in rows.columns:
        return None
    claims = list(rows[column].dropna().unique())
    if len(claims) > 1:
        raise TableError(
            f"one group declares {len(claims)} claims ({claims[0]} and {claims[1]}); "
            "name one with --claim, or group by more columns with --by"
        )
    return one_line(claims[0]) if claims else None


def _columns(table: pd.DataFrame, law: Law, sizes: Mapping[str, str]) -> dict[str, str]:
    """The column of every size that is claimed or given; a default that is absent is dropped."""
    columns = {
        name: column
        for name, column in sizes.items()
        if name in law.names or column in table.columns
    }
    for name in law.names:
        if name not in columns:
            columns[name] = KNOWN_SIZES.get(name, name)
        if columns[name] not in table.columns:
            have = ", ".join(map(str, table.columns[:12]))
            raise TableError(
                f'the claim {law} needs {name}, but there is no column "{columns[name]}" '
                f"(the table has {have}); name it with --size {name}=COLUMN"
            )
    return columns


def _ranges(cells: Cells) -> dict[str, tuple[float, float]]:
    if not len(cells):
        return {}
    ends = {name: (float(np.min(v)), float(np.max(v))) for name, v in cells.sizes.items()}
    return {name: pair for name, pair in ends.items() if all(map(math.isfinite, pair))}
