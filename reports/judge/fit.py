"""Judges one claim on one group of rows: a table in, a `Fit` out.

The method is described in `reports.judge.judge`; `reports.judge.fit_groups` judges whole tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from reports.cells.call_tensors import CallTensors, call_tensors
from reports.cells.case_columns import (
    CONDITIONS,
    EXACT,
    KNOWN_SIZES,
    SIZE_COLUMNS,
    SIZE_NAMES,
    SIZES,
)
from reports.cells.cells import STATISTICS, Cells, cells_of, pages, usual_statistic
from reports.cells.moving_sizes import moving_sizes
from reports.cells.unnamed_columns import Mixed, without_settings
from reports.judge.exact.counted import Polynomial, polynomial_of
from reports.judge.exact.recorded_law import RecordedLaw, recorded_law
from reports.judge.judge import judge
from reports.judge.judged_cells import tested_sizes
from reports.judge.refutation import REFUTING
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import LawError, parse
from reports.laws.monomials import Law
from reports.tables.columns import TableError, measured_rows, no_column, numbers
from reports.tables.rounds import TYPICAL, of_processes
from reports.tables.units import unit_of

CLAIM, WORKSPACE = "n^2*d", "workspace_bytes"
OTHER: Mapping[str, str] = MappingProxyType({"quiet": "median", "median": "min", "min": "median"})
"""The statistic by which a claim is judged beside each."""
MIXED, ELSEWHERE = "mixed_readings", "counted_elsewhere"
OF_READINGS = ("time_s", "time_min_s", TYPICAL)


def fit(
    table: pd.DataFrame,
    *,
    sizes: Mapping[str, str] = SIZES,
    value: str = "time_s",
    claim: str = CLAIM,
    confidence: float = 0.95,
    tolerance: float = 0.1,
    statistic: str | None = None,
    other: bool = True,
    average: Sequence[str] = (),
    group: Mapping[str, Any] = MappingProxyType({}),
    info: Mapping[str, Any] = MappingProxyType({}),
) -> Fit:
    """Judge one claim on one group of rows.

    `sizes` maps letters of the claim to columns; a size that varies without being claimed is
    tested against exponent 0. `value` is the cost column. Rows whose `status` is not `measured`
    are left out. Repeated readings of a cell become its value by `statistic`: quiet (the default
    where there are enough readings), median (the default else) or min. With `other`, the claim is
    judged by another one too, and the fit says if the verdicts differ. What would be refuted is so
    always, and left open where the other statistic confirms it; or, of many readings, does not
    refute it.

    A setting that varies among rows of the same sizes, and changes the cost, leaves the claim open
    until it is a size, makes groups, or is in `average`: its effect is taken out, so that the cost
    is that of its values in the mean. So does a size that falls as a claimed one rises, or a batch
    or heads that move with it.
    `group` is carried into the result; `info` is the object of `run.json`, whose caches and
    ceilings name the regimes.

    Raises:
        LawError: the claim is not a law (a ValueError that shows the column).
        TableError: a column is missing or holds what no size or cost can be (a ValueError).
        ValueError: confidence or tolerance is out of range.

    """
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence must be from 0.5 to below 1, got {confidence}; try 0.95")
    if not 0 < tolerance < 0.5:
        raise ValueError(f"tolerance must lie between 0 and 0.5, got {tolerance}; try 0.1")
    if statistic not in (None, *STATISTICS):
        raise ValueError(f"statistic must be quiet, median or min, got {statistic!r}")
    if not isinstance(claim, str):
        raise LawError(f"a claim is a text such as n^2*d, got {claim!r}")
    table = table.reset_index(drop=True) if table.index.name or table.index.names[0] else table
    law = parse(claim, names={*sizes, *SIZE_NAMES})
    table = of_processes(table)
    columns = columns_of(table, law, sizes)
    without = {value, *_measured(table)}
    mixed, table = _without_settings(table, columns, value, average, without)
    rows = table[measured_rows(table)]
    moving = () if rows.empty else moving_sizes(rows, list(columns.values()), without)
    statistic = statistic or usual_statistic(table, columns, value)
    devices = sorted(set(table["device"].dropna().astype(str))) if "device" in table else []

    cells = cells_of(table, columns, value, statistic)
    recorded = _recorded(table, cells, law, columns, info) if value == WORKSPACE else None

    def judged(cells: Cells, counted: Callable[[Fit], Fit] | None = None) -> Fit:
        return judge(
            cells,
            law,
            names=tuple(columns),
            confidence=confidence,
            tolerance=tolerance,
            exact=value in EXACT,
            info={**info, "device": devices[0]} if len(devices) == 1 else info,
            counted=counted,
        )

    found = judged(cells, _by_count(cells, law, columns, value, recorded))
    repeated = found.readings - found.set_aside > found.cells
    second = None
    if (other or found.verdict is Verdict.REFUTED) and repeated and value not in EXACT:
        second = judged(cells_of(table, columns, value, OTHER[statistic])).verdict
    # Of many readings both their quiet end and their median must refute; of few, a median that
    # refutes and a minimum that confirms do neither.
    is_saved = (
        second is not Verdict.REFUTED if statistic == "quiet" else second is Verdict.CONFIRMED
    )
    if found.verdict is Verdict.REFUTED and second is not None and is_saved:
        found = _left_open(found, "models_undecided")
    if recorded is not None and not recorded.is_measured:
        ruling, _ = Polynomial.of(recorded, cells).ruling(law)
        if found.verdict not in (ruling, Verdict.INCONCLUSIVE):
            found = _left_open(found, ELSEWHERE)
    unnamed = [MIXED] * any(one.factor > 1 and not one.averaged for one in mixed)
    unnamed += ["sizes_collinear"] * bool(moving)
    if unnamed:
        found, second = _left_open(found, *unnamed), None
    return replace(
        found,
        group=dict(group),
        sizes=columns,
        value=value,
        statistic=statistic,
        other_verdict=None if second is found.verdict else second,
        mixed=mixed,
        moving=moving,
        tensors=_tensors(found, cells, table, columns, info) if value == WORKSPACE else None,
        recorded=recorded,
    )


def _tensors(
    found: Fit,
    cells: Cells,
    table: pd.DataFrame,
    columns: Mapping[str, str],
    info: Mapping[str, Any],
) -> CallTensors | None:
    """Of our records: inputs and outputs in the sizes of the fit that move independently."""
    if "schema" not in table.columns:
        return None
    if found.basis is not None:
        of_fit = found.basis.names
        columns = {n: c for n, c in columns.items() if n in of_fit or cells.distinct(n).size == 1}
    return call_tensors(table, columns, info)


def _left_open(fit: Fit, *reasons: str) -> Fit:
    """The fit without a verdict, for these reasons first."""
    notes = [code for code in fit.reasons if code not in REFUTING]
    every = tuple(dict.fromkeys((*reasons, *notes)))
    return replace(fit, verdict=Verdict.INCONCLUSIVE, reasons=every)


def _recorded(
    table: pd.DataFrame,
    cells: Cells,
    law: Law,
    columns: Mapping[str, str],
    info: Mapping[str, Any],
) -> RecordedLaw | None:
    """The law that the run counted, in the sizes that are tested or stand still."""
    tested = tested_sizes(cells, law, tuple(columns))
    told = {n: c for n, c in columns.items() if n in tested or cells.distinct(n).size == 1}
    return recorded_law(table, cells, told, info)


def _by_count(
    cells: Cells,
    law: Law,
    columns: Mapping[str, str],
    value: str,
    recorded: RecordedLaw | None,
) -> Callable[[Fit], Fit] | None:
    """What a polynomial says of a cost without noise, where there is one."""
    scatter = cells.scatter.reading or 0.0
    if not len(cells) or not (value in EXACT or unit_of(value).kind == "memory") or scatter > 0:
        return None
    polynomial = None
    if recorded is not None and recorded.is_measured:
        polynomial = Polynomial.of(recorded, cells)
    if polynomial is None and value not in EXACT:
        # Whoever reads memory of a process reads pages, whose size hides a law.
        cells = replace(cells, step=max(cells.step, pages(cells.cost)))
        if cells.cost.max() <= cells.cost.min() + cells.step:
            return None
    if polynomial is None:
        varying = tuple(name for name in columns if cells.distinct(name).size > 1)
        exact = value in EXACT
        told = law.only(varying)
        polynomial = polynomial_of(cells, told, varying, exact=exact) if varying else None
    return None if polynomial is None else partial(polynomial.judged, given=cells, law=law)


def _without_settings(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    value: str,
    average: Sequence[str],
    without: Collection[str],
) -> tuple[tuple[Mixed, ...], pd.DataFrame]:
    """The settings that vary among rows of the same sizes, and the table without their effects.

    Raises:
        TableError: there is no column of that name to average over.

    """
    for column in average:
        if column not in table.columns:
            raise no_column(table, column)
    if value not in table.columns:
        return (), table
    cost = numbers(table, value)
    usable = measured_rows(table) & np.isfinite(cost) & (cost > 0)
    rows = table[usable].assign(**{value: cost[usable]})
    if rows.empty:
        return (), table
    sizes = list(columns.values())
    mixed, rest = without_settings(rows, value, sizes=sizes, without=without, averaged=average)
    if not any(one.factor > 1 or one.averaged for one in mixed):
        return mixed, table
    # What a run knows of its readings beside their quiet end is not that of the mean.
    rest = rest.drop(columns=[name for name in OF_READINGS if name != value and name in rest])
    return mixed, pd.concat([rest, table[~usable]])


def _measured(table: pd.DataFrame) -> set[str]:
    """The columns of our own records that no claim could name: of others nothing is known."""
    if "schema" not in table.columns:
        return set()
    return {str(column) for column in table.columns} - {*CONDITIONS, *SIZE_COLUMNS}


def columns_of(table: pd.DataFrame, law: Law, sizes: Mapping[str, str]) -> dict[str, str]:
    """The column of every size that is claimed or given; a default that is absent is dropped."""
    have = ", ".join(map(str, table.columns[:12]))
    columns = {
        name: column
        for name, column in sizes.items()
        if name in law.names or column in table.columns
    }
    for name in law.names:
        if name not in columns or columns[name] not in table.columns:
            usual = columns.get(name, KNOWN_SIZES.get(name, name))
            own = name in table.columns and (sizes is SIZES or usual not in table.columns)
            columns[name] = name if own and name not in columns.values() else usual
        if columns[name] not in table.columns:
            raise TableError(
                f'the claim {law} needs {name}, but there is no column "{columns[name]}" '
                f"(the table has {have}); name it with --size {name}=COLUMN, or claim another "
                "law with --claim"
            )
    if not columns:
        raise TableError(
            f"expected a size, but the claim {law} names none and the table has no usual one (it "
            f"has {have}); name it with --size n=COLUMN"
        )
    return columns
