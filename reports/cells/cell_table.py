"""Records into a table of cells: one row a cell, with the value of every instrument."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reports.cells.case_columns import CASE_COLUMNS, SIZE_COLUMNS
from reports.cells.cells import values_of_cells
from reports.cells.readings import chosen_readings, marked_noisy
from reports.tables.columns import FARTHEST, numbers_or_nan

NUMBERS = ("batch", "threads", *SIZE_COLUMNS)
"""Columns of a case that hold numbers."""
_NOT_MEDIANS = {"time_min_s": "min", "readings": "sum"} | dict.fromkeys(
    (
        *("compile_s", "gpu_temperature_c", "waiting_share", "other_load", "steal_share"),
        *("max_error", "allowed_error"),
    ),
    "max",
)
READINGS = {
    name: _NOT_MEDIANS.get(name, "median")
    for name in (
        *("time_min_s", "typical_s", "readings", "cpu_time_s", "graph_time_s", "compile_s"),
        *("workspace_bytes", "flops", "flops_executed", "transcendentals", "bytes_moved"),
        *("operator_launches", "minor_faults", "energy_j", "energy_resolution_j"),
        *("frequency_hz", "gpu_clock_hz", "gpu_temperature_c", "gpu_power_w"),
        *("calls_per_sample", "waiting_share", "other_load", "steal_share"),
        *("max_error", "allowed_error"),
    )
}
"""How the rows of a cell become one number, for each instrument beside the time."""
KERNELS = ("attention_kernel", "expected_kernel")
"""What is told of a cell once, and is no number."""
ALL_ROWS = "all rows"


def cell_table(frame: pd.DataFrame, *, by: Sequence[str] = ()) -> pd.DataFrame:
    """One row a cell, in the order of implementation and sizes.

    Columns: the case (those of `CASE_COLUMNS` and `by` that the records have), `status`
    (`measured` when any row is), `reason` and those of `KERNELS` (the first that is told), `rounds`
    (measured rows), `time_s` (their median, those set aside left out, as fits do), `time_low_s` and
    `time_high_s` (the fastest and slowest row, noisy or not), `noisy` (any of them), the other
    instruments (see `READINGS`; absent columns are NaN), `spread` ((high - low) / median), and
    `rows_used` and `deviation`: how many rows the median is of, and the relative standard deviation
    among them. A row is a round, or all that one process read of a cell (see
    `reports.cells.readings`). Rows of a table without a `status` column count as measured; a table
    without an `implementation` column is one implementation.
    """
    rows = _normalised(frame)
    keys = [name for name in dict.fromkeys((*CASE_COLUMNS, *by)) if name in rows.columns]
    grouped = rows.groupby(keys, dropna=False, sort=False, observed=True)
    number = np.asarray(grouped.ngroup(), dtype=np.int64)
    told = {
        **{name: (name, "first") for name in ("status", "reason", *KERNELS)},
        "rounds": ("time_s", "count"),
        "time_s": ("time_s", "median"),
        "time_low_s": ("time_s", "min"),
        "time_high_s": ("time_s", "max"),
        "noisy": ("noisy", "any"),
    }
    cells = grouped.agg(
        **{name: how for name, how in told.items() if name not in keys}
    ).reset_index()
    # Tables are merged by these columns: what no cell of one has may be a text in another.
    missing = [name for name in keys if name not in NUMBERS and cells[name].isna().all()]
    cells[missing] = cells[missing].astype(object)
    if "status" not in keys:
        is_measured = rows["status"].eq("measured").groupby(number).any()
        cells["status"] = cells["status"].where(~is_measured, "measured")
    values = values_of_cells(rows, number, {"time_s": "median", **READINGS})
    cells[values.columns] = values
    cells["spread"] = (cells["time_high_s"] - cells["time_low_s"]) / cells["time_s"]
    logs = np.log(rows["time_s"].where(chosen_readings(rows, "time_s", number))).groupby(number)
    cells["rows_used"], cells["deviation"] = logs.count(), logs.std()
    order = ["implementation", *(n for n in ("seq_len", "d_model") if n in keys)]
    rest = [name for name in keys if name not in order]
    return cells.sort_values([*order, *rest], key=_sortable, kind="stable").reset_index(drop=True)


def measured(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that have a positive time, and sizes and times that an axis can show."""
    shown = cells["status"] == "measured"
    for name in {"time_s", "seq_len", "d_model"} & set(cells.columns):
        within = cells[name].between(1 / FARTHEST, FARTHEST)
        shown &= within if name == "time_s" else within | cells[name].isna()
    return cells[shown].reset_index(drop=True)


def _normalised(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy with every column that the aggregation reads, as numbers where numbers are meant."""
    rows = frame.copy()
    usual_values = {"implementation": ALL_ROWS, "status": "measured", "reason": None}
    for name, usual in (usual_values | dict.fromkeys(KERNELS)).items():
        found = rows[name] if name in rows else pd.Series(usual, index=rows.index)
        rows[name] = found.astype(object)
    rows["status"] = rows["status"].fillna("measured")
    rows["noisy"] = marked_noisy(rows)
    for name in ("time_s", *READINGS, *(name for name in NUMBERS if name in rows)):
        rows[name] = numbers_or_nan(rows, name)
    rows.loc[rows["status"] != "measured", ["time_s", *READINGS]] = np.nan
    return rows


def _sortable(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda value: "" if pd.isna(value) else str(value))
