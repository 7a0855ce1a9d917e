"""The quiet end of many readings: a cell's value where a machine is disturbed now and then.

Disturbance only adds time, and comes in spells. Of enough readings, spread over a run, some were
taken in quiet moments; the quickest of each process (or stretch of a table) are therefore near the
cell's undisturbed cost, and how they differ between processes is its error (Chen & Revels 2016,
"Robust benchmarking in noisy environments"). A minimum falls with the number of readings, though,
and long calls have fewer: so it is the expected quickest of five that counts (docs/calibration.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.cells.scatter import Numbers
from reports.tables.columns import measured_rows, numbers
from reports.tables.units import unit_of

READINGS = "readings"
"""Column: how many readings stand behind a row, which is their quiet end."""
TYPICAL = "typical_s"
"""Column: their median, what a call usually took."""
ENOUGH_READINGS = 30
DRAWN = 5
STRETCHES = 3
ROUNDS_SCHEMA = 2
"""Since this schema of `bench.records` a record holds the readings of a round of passes."""

_CELL = (
    *("implementation", "kind", "pass", "device", "dtype", "batch", "num_heads", "seq_len"),
    *("key_len", "head_dim", "d_model", "is_causal", "mask", "threads", "growth", "worker"),
)


def quiet_end(readings: npt.ArrayLike, drawn: int = DRAWN) -> float:
    """The expected quickest of so many readings, if they were drawn from those there are.

    Of fewer it is the quickest. The k-th slowest of N is the quickest of m drawn with a chance of
    C(k - 1, m - 1) / C(N, m).
    """
    ordered = np.sort(np.asarray(readings, dtype=np.float64))
    drawn = min(drawn, ordered.size)
    chances = [math.comb(slower, drawn - 1) for slower in range(ordered.size - 1, -1, -1)]
    return float(ordered @ np.array(chances, dtype=np.float64) / math.comb(ordered.size, drawn))


def of_processes(frame: pd.DataFrame) -> pd.DataFrame:
    """Our records with one row for each cell and process instead of one for each round.

    `time_s` is the quiet end of the readings, `typical_s` their median, `readings` their number;
    records of schema 1, and rows that are no measurement, stay as they are.
    """
    if READINGS in frame or not {"schema", "implementation", "samples_s"} <= set(frame):
        return frame
    schema = pd.to_numeric(frame["schema"], errors="coerce")
    wanted = schema.ge(ROUNDS_SCHEMA) & measured_rows(frame)
    rows = frame[wanted]
    if rows.empty or not rows["samples_s"].map(lambda one: isinstance(one, list | tuple)).all():
        return frame
    grouped = rows.groupby([name for name in _CELL if name in rows], dropna=False, sort=False)
    samples = rows["samples_s"].map(list)
    together = samples.groupby(grouped.ngroup()).sum()
    # All as a whole rather than row by row: `first` is the first value that is known.
    quiet = grouped.agg({name: _HOW.get(str(name), "first") for name in rows if name not in _CELL})
    quiet = quiet.reset_index()
    quiet["time_s"] = together.map(quiet_end).to_numpy()
    quiet[TYPICAL] = together.map(np.median).to_numpy()
    quiet[READINGS] = together.map(len).to_numpy()
    quiet["round"] = None  # a process has its turn in many
    quiet["samples_s"] = None
    return pd.concat([quiet, frame[~wanted]], ignore_index=True)


def _all_reasons(lists: pd.Series) -> object:
    found = {reason for one in lists if isinstance(one, list | tuple) for reason in one}
    return tuple(sorted(found)) if found or lists.notna().any() else None


_HOW: dict[str, str | Callable[[pd.Series], object]] = {
    **dict.fromkeys(("time_min_s", "graph_time_s"), "min"),
    **dict.fromkeys(
        (
            *("cpu_time_s", "minor_faults", "calls_per_sample", "frequency_hz", "gpu_clock_hz"),
            *("gpu_power_w", "other_load", "waiting_share", "steal_share"),
        ),
        "median",
    ),
    "gpu_temperature_c": "max",
    "throttle_reasons": _all_reasons,
}


def of_stretches(frame: pd.DataFrame, cell: Numbers, value: str) -> pd.DataFrame:
    """Anybody's readings with one row for each cell and stretch: its quiet end.

    `cell` numbers the cell of each row. A stretch is a `worker` where at least three have readings
    enough; else a third of a cell's readings in the order of the table, or every third of them
    where the table is sorted by the value.
    """
    found = frame.assign(**{value: numbers(frame, value)}).reset_index(drop=True)
    by_cell = found.groupby(cell)
    rank, count = by_cell.cumcount().to_numpy(), np.bincount(cell)[cell]
    is_sorted = by_cell[value].agg(lambda one: one.is_monotonic_increasing).all()
    stretch = rank % STRETCHES if is_sorted else rank * STRETCHES // count
    if "worker" in found and found["worker"].nunique() >= STRETCHES:
        of_worker = pd.factorize(found["worker"])[0]
        if found.groupby([cell, of_worker]).size().median() >= DRAWN:
            stretch = of_worker
    grouped = found.groupby([cell, stretch])
    ends = grouped[value].agg(lambda one: quiet_end(one.to_numpy())).to_numpy()
    quiet = found.loc[[rows[0] for rows in grouped.groups.values()]]
    quiet = quiet.assign(**{value: ends, READINGS: grouped.size().to_numpy()})
    return quiet.assign(round=None) if "round" in quiet else quiet


def are_enough(cell: Numbers, value: str) -> bool:
    """Whether a table brings so many readings of its cells that their quiet end can be told."""
    if unit_of(value).kind != "time" or not cell.size:
        return False
    return float(np.median(np.bincount(cell))) >= ENOUGH_READINGS


def instead(frame: pd.DataFrame, value: str, statistic: str) -> pd.DataFrame:
    """A table of quiet ends with another statistic in their place, as far as it is known."""
    column = {"median": TYPICAL, "min": "time_min_s"}.get(statistic)
    if column not in frame or value != "time_s":
        return frame
    return frame.assign(time_s=frame[column].fillna(frame["time_s"]))
