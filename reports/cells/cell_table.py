"""Records into cells: one row a cell, with the median over its rounds and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.records import Record
from reports.cells.case_columns import CASE_COLUMNS, SIZE_COLUMNS
from reports.cells.readings import chosen_readings, marked_noisy, times_read
from reports.tables.columns import FARTHEST, numbers_or_nan

NUMBERS = ("batch", "threads", *SIZE_COLUMNS)
"""Columns of a case that hold numbers."""
# Column of the records -> how the rounds of a cell become one number. The rounds marked noisy are
# left out where a cell has others; not of the errors, which no noise disturbs, nor of what tells
# how noisy the rounds were.
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
COUNT_COLUMNS = (
    *(one.name for one in fields(Record) if one.name in READINGS and one.type == "int | None"),
    "readings",
)
"""Readings that are whole numbers."""
_WHOLE_RUN = ("readings", "waiting_share", "other_load", "steal_share", "gpu_temperature_c")
_UNDISTURBED = ("max_error", "allowed_error", "compile_s", *_WHOLE_RUN)

UNNAMED = "all rows"


def cell_table(frame: pd.DataFrame, *, by: Sequence[str] = ()) -> pd.DataFrame:
    """One row a cell, in the order of implementation and sizes.

    Columns: the case (those of `CASE_COLUMNS` and `by` that the records have), `status`
    (`measured` when any row is), `reason`, `rounds` (measured rows), `time_s` (their median, those
    marked noisy left out where a cell has others, as fits do), `time_low_s` and `time_high_s` (the
    fastest and slowest row, noisy or not), `spread` ((high - low) / median), the other instruments
    (see `READINGS`; absent columns are NaN), and `noisy` (any of them). A row is a round, or all
    that one process read of a cell (see `reports.cells.readings`). Rows of a table without a
    `status` column count as measured; a table without an `implementation` column is one
    implementation.
    """
    records = _normalised(frame)
    keys = [name for name in dict.fromkeys((*CASE_COLUMNS, *by)) if name in records.columns]
    by_cell = records.groupby(keys, dropna=False, sort=False, observed=True)
    number = np.asarray(by_cell.ngroup(), dtype=np.int64)
    records["time_of_any_round_s"] = records["time_s"]
    disturbed = ("time_s", *(name for name in READINGS if name not in _UNDISTURBED))
    aside = {name: _set_aside(records, name, number) for name in disturbed}  # before any is blank
    for name in disturbed:
        records[name] = records[name].mask(aside[name])
    grouped = records.groupby(keys, dropna=False, sort=False, observed=True)
    cells = grouped.agg(
        status=("status", _cell_status),
        reason=("reason", _first),
        rounds=("time_of_any_round_s", "count"),
        time_s=("time_s", "median"),
        time_low_s=("time_of_any_round_s", "min"),
        time_high_s=("time_of_any_round_s", "max"),
        noisy=("noisy", "any"),
        **{name: (name, how) for name, how in READINGS.items()},
    ).reset_index()
    cells["spread"] = (cells["time_high_s"] - cells["time_low_s"]) / cells["time_s"]
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
    records = frame.copy()
    for name, usual in (("implementation", UNNAMED), ("status", "measured"), ("reason", None)):
        found = records[name] if name in records else pd.Series(usual, index=records.index)
        records[name] = found.astype(object)
    records["status"] = records["status"].fillna("measured")
    records["noisy"] = marked_noisy(records)
    for name in ("time_s", *READINGS, *NUMBERS):
        if name in records.columns or name not in NUMBERS:
            records[name] = numbers_or_nan(records, name)
    unmeasured = records["status"] != "measured"
    records.loc[unmeasured, ["time_s", *READINGS]] = np.nan
    return records


def _set_aside(
    records: pd.DataFrame, name: str, number: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """The rows whose reading does not speak for their cell, given the number of each row's cell."""
    read = records[name].notna().to_numpy(dtype=np.bool_)
    aside = np.zeros(len(records), dtype=np.bool_)
    found = records[read]
    aside[read] = ~chosen_readings(marked_noisy(found, name), number[read], times_read(found, name))
    return aside


def _cell_status(statuses: pd.Series) -> str:
    return "measured" if (statuses == "measured").any() else str(statuses.iloc[0])


def _first(values: pd.Series) -> object:
    known = values.dropna()
    return known.iloc[0] if len(known) else None


def _sortable(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda value: "" if pd.isna(value) else str(value))
