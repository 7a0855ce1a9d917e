"""Judges every group of a table: `fit_groups`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from reports.cells.case_columns import KNOWN_SIZES, SIZE_NAMES, SIZES
from reports.cells.cells import cells_of
from reports.cells.groups import group_columns, groups, with_cost
from reports.cells.readings import ENOUGH_READINGS
from reports.judge.declared_law import declared_law, in_swept_sizes
from reports.judge.fit import CLAIM, fit
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import LawError, parse
from reports.tables.columns import TableError, no_column
from reports.tables.units import unit_of
from reports.text.telling import Tell, tell_nobody
from reports.text.wording import listed, one_line

MOST_CELLS = 1000
"""So many cells of a group are judged at most: what they say is no more exact with others."""
MOST_GROUPS = 1000
"""Groups of one table that are judged at once."""
MOST_TOLD = 5  # columns that vary among repeated readings are named
MOST_COMPARED = 30
"""Up to so many groups are judged by the other statistic too, which takes as long again."""
_CLAIM_COLUMNS: Mapping[str, str] = MappingProxyType({"workspace_bytes": "workspace_claim"})


class ClaimWarning(UserWarning):
    """What a reader of the verdicts should know of the table, in one line."""


def fit_groups(
    table: pd.DataFrame,
    *,
    sizes: Mapping[str, str] | None = None,
    value: str | None = None,
    by: Sequence[str] | None = None,
    claim: str | None = None,
    confidence: float = 0.95,
    tolerance: float = 0.1,
    statistic: str | None = None,
    compare: bool = True,
    average: Sequence[str] = (),
    parameters: Sequence[str] = (),
    info: Mapping[str, Any] | None = None,
    runs: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    tell: Tell = tell_nobody,
) -> list[Fit]:
    """Judge every group of a table, in order of first appearance.

    Defaults: n is `seq_len`, d is `d_model`, the cost is `time_s`; one group per implementation
    and per condition that varies within one (see `reports.cells.groups`); the claim is what the
    group itself declares in its column `claim` (`workspace_claim` for workspace_bytes), else n^2*d.

    What a declared claim names besides sizes is a constant of the implementation (the window w in
    n*w*d), which growth leaves out. A declared claim that is no law, or names a size without a
    column, leaves its own group inconclusive, with a `ClaimWarning` that says why.

    `runs` has the object of `run.json` for each value of the column `run`, `info` that of all rows.

    Whether the other statistic of readings would lead to another verdict is asked, with `compare`,
    of MOST_COMPARED groups at most; beyond, of none.

    Raises:
        LawError: the claim given is not a law.
        TableError: a column is missing or broken, there are more than MOST_GROUPS groups, or one
            declares two claims.
        ValueError: confidence or tolerance is out of range.

    """
    cost = "time_s" if value is None else value
    for column in (cost, *(sizes or {}).values()):
        if column not in table.columns:
            raise no_column(table, column)
    if sizes is not None:
        _distinct(sizes, cost, [*(by or ()), *average])
    keep = None if by is None else list(by)
    given = present_sizes(table) if sizes is None else sizes
    taken = set((given or SIZES).values())
    claimed = None
    if claim is not None and "schema" in table.columns:  # a run: its columns are known
        claimed = parse(claim, names={*given, *SIZE_NAMES})
        taken |= {KNOWN_SIZES[name] for name in claimed.names if name in KNOWN_SIZES}
    fits = []
    if keep is None and average:
        keep = [one for one in group_columns(table, taken) if one not in average]
    parts = list(islice(groups(with_cost(table, cost), keep, without=taken), MOST_GROUPS + 1))
    if len(parts) > MOST_GROUPS:
        names = ", ".join(parts[0][0])
        raise TableError(
            f"{names} makes more than {MOST_GROUPS} groups, each of which takes a moment; group by "
            "other columns with --by, or choose rows with --where"
        )
    for done, (group, rows) in enumerate(parts):
        tell(f"judging {cost} of groups", done, len(parts))
        declared = _declared(rows, cost) if claim is None else None
        law, columns = CLAIM if claim is None else claim, given
        if claimed is not None:
            law, columns = in_swept_sizes(rows, claimed, given)
        if declared is not None:
            try:
                law, columns = declared_law(rows, declared, given)
            except (LawError, TableError) as problem:
                _warn(f"{_called(group)} is not judged on {cost}: {problem}")
                present = {name: of for name, of in given.items() if of in rows.columns}
                unjudged = Fit(
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
                fits.append(unjudged)
                continue
        told_apart = [one for one in parameters if one not in average]
        found = fit(
            _drawn(_unrepeated(rows, group, columns, cost, told_apart), group, columns),
            sizes=columns,
            value=cost,
            claim=law,
            confidence=confidence,
            tolerance=tolerance,
            statistic=statistic,
            other=compare and len(parts) <= MOST_COMPARED,
            average=average,
            group=group,
            info=runs.get(str(group.get("run")), info or {}),
        )
        _tell_repeated(found, group)
        written = declared or (claimed and str(claimed))
        fits.append(replace(found, claim=written, judged=found.claim) if written else found)
    return fits


def _warn(text: str) -> None:
    warnings.warn(text, ClaimWarning, stacklevel=3)


def _tell_repeated(fit: Fit, group: Mapping[str, Any]) -> None:
    """Say which columns vary among rows that count as repeated readings."""
    silent = [one for one in fit.mixed if one.factor <= 1 and not one.averaged]
    if not silent:
        return
    first, among = silent[0], f" of {_called(group)}"
    if len(silent) == 1:
        text, others = first.text(among), ""
    else:
        columns = listed([one.column for one in silent], most=MOST_TOLD)
        text = f"{columns} vary among rows{among} that have the same sizes"
        others = " or another of them"
    counted = "they count as repeated readings; if they are not, add --by"
    _warn(f"{text}: {counted} {first.column}{others}")


def _distinct(sizes: Mapping[str, str], cost: str, by: Sequence[str]) -> None:
    """See that no column has two parts to play.

    Raises:
        TableError: one is two sizes, or a size and the cost, or a size and a group.

    """
    used: dict[str, str] = {cost: "the cost"} | dict.fromkeys(by, "a group")
    for name, column in sizes.items():
        if column in used:
            raise TableError(
                f'column "{column}" is {used[column]} and the size {name}; name another for one'
            )
        used[column] = f"the size {name}"


def _called(group: Mapping[str, Any]) -> str:
    return one_line(", ".join(f"{name} {of}" for name, of in group.items())) or "this table"


def _unrepeated(
    rows: pd.DataFrame,
    group: Mapping[str, Any],
    columns: Mapping[str, str],
    cost: str,
    parameters: Sequence[str],
) -> pd.DataFrame:
    """The rows, each once where all are repeated, after a look at what tells readings apart.

    Raises:
        TableError: a size that the file states varies among rows that would count as one cell.

    """
    empty = int(rows[cost].isna().sum())
    if empty and "status" not in rows.columns:
        _warn(f"{empty} rows of {_called(group)} have no {cost} and are left out")
    known = [column for column in columns.values() if column in rows.columns]
    if not known or "schema" in rows.columns:  # our own records say what belongs together
        return rows
    cells = rows.groupby(known, dropna=False, sort=False)
    for column in parameters:
        own = column in (*known, *group, cost)
        if not own and column in rows and (cells[column].nunique(dropna=False) > 1).any():
            raise TableError(
                f"{column} varies among rows of {_called(group)} that have the same sizes; name "
                f"it with --size LETTER={column}, group by it with --by {column}, or average over "
                f"it with --average {column}"
            )
    readings = cells.size()
    if readings.max() < 2 or readings.median() >= ENOUGH_READINGS:
        return rows  # among so many a coarse clock gives the same time again
    alike = rows.astype(str).groupby(list(rows.columns), sort=False)
    times = int(np.gcd.reduce(alike.size().to_numpy()))
    if times < 2 or unit_of(cost).kind != "time":
        return rows  # a coarse clock gives some times again
    kept = alike.cumcount().to_numpy() % times == 0
    _warn(f"every row of {_called(group)} stands there {times} times and counts once")
    once: pd.DataFrame = rows[kept]
    return once


def _drawn(
    rows: pd.DataFrame, group: Mapping[str, Any], columns: Mapping[str, str]
) -> pd.DataFrame:
    """The rows of MOST_CELLS cells where there are more: ends of sizes, and others by chance.

    Every k-th one instead could leave a single value of a size in a grid of two.
    """
    known = [column for column in columns.values() if column in rows.columns]
    if not known or len(rows) <= MOST_CELLS:
        return rows
    cell = rows[known].groupby(known, dropna=False, sort=True).ngroup().to_numpy()
    every, first = np.unique(cell, return_index=True)
    if every.size <= MOST_CELLS:
        return rows
    sizes = rows[known].iloc[first].apply(pd.to_numeric, errors="coerce")
    ends = ((sizes == sizes.min()) | (sizes == sizes.max())).any(axis=1).to_numpy()
    order = np.random.default_rng(0).permutation(every.size)
    kept = every[order[np.argsort(~ends[order], kind="stable")][:MOST_CELLS]]
    _warn(
        f"{_called(group)} has {every.size} different sizes, of which {MOST_CELLS}, drawn at "
        "random, are judged; choose others with --where"
    )
    return rows[np.isin(cell, kept)]


def present_sizes(table: pd.DataFrame) -> Mapping[str, str]:
    """The usual columns of n and d; where there is none, a column of the letter's own name."""
    found = {name: column for name, column in SIZES.items() if column in table.columns}
    if not found:
        found = {name: name for name in SIZES if name in table.columns}
    return found


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
