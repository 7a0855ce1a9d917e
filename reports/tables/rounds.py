"""Our own records with one row for each cell and process, instead of one for each round.

A cell's value is the quiet end of its readings: `reports.cells.readings` says why. The readings
themselves stay in the column TURNS, for the intervals of `reports.comparison`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.records import CELL, Record
from reports.tables.columns import measured_rows

READINGS = "readings"
"""Column: how many readings stand behind a row, which is their quiet end."""
TYPICAL = "typical_s"
"""Column: their median, what a call usually took."""
TURNS = "_turns"
"""Column of our records alone: the readings behind a row by turn, a tuple of `Turn`."""
DRAWN = 5
ROUNDS_SCHEMA = 2
"""Since this schema of `bench.records` a record holds the readings of a round of passes."""

_OF_A_PROCESS = (*CELL, "worker")


class Turn(NamedTuple):
    """What a process read of a cell in one of its turns; `graph_time_s` as in a record."""

    number: int
    samples_s: tuple[float, ...]
    graph_time_s: float | None


def turns_of(record: Record) -> tuple[Turn, ...]:
    """The turn of a record; none where it has no readings."""
    if record.status != "measured" or record.round is None or not record.samples_s:
        return ()
    return (Turn(record.round, record.samples_s, record.graph_time_s),)


def quiet_end(readings: npt.ArrayLike, drawn: int = DRAWN) -> float:
    """The expected quickest of so many readings, if they were drawn from those there are.

    Of fewer it is the quickest. The k-th slowest of N is the quickest of m drawn with a chance of
    C(k - 1, m - 1) / C(N, m).
    """
    ordered = np.sort(np.asarray(readings, dtype=np.float64))
    return float(ordered @ _chances(ordered.size, min(drawn, ordered.size)))


@lru_cache(maxsize=1024)
def _chances(size: int, drawn: int) -> npt.NDArray[np.float64]:
    """With what chance each of so many readings, the quickest first, is the quickest drawn."""
    ways = [math.comb(slower, drawn - 1) for slower in range(size - 1, -1, -1)]
    return np.array(ways, dtype=np.float64) / math.comb(size, drawn)


def of_processes(frame: pd.DataFrame) -> pd.DataFrame:
    """Our records with one row for each cell and process instead of one for each round.

    `time_s` is the quiet end of the readings, `typical_s` their median, `readings` their number,
    and TURNS has them all; records of schema 1, and rows that are no measurement, stay as they are.
    """
    if READINGS in frame or not {"schema", "implementation", "samples_s"} <= set(frame):
        return frame
    schema = pd.to_numeric(frame["schema"], errors="coerce")
    wanted = schema.ge(ROUNDS_SCHEMA) & measured_rows(frame)
    rows = frame[wanted]
    if rows.empty or not rows["samples_s"].map(lambda one: isinstance(one, list | tuple)).all():
        return frame
    grouped = rows.groupby(
        [name for name in _OF_A_PROCESS if name in rows], dropna=False, sort=False
    )
    together = rows["samples_s"].map(list).groupby(grouped.ngroup()).sum()
    # All as a whole rather than row by row: `first` is the first value that is known. Medians of
    # columns without any, as of a GPU on a machine without one, would take longest.
    quiet = grouped.agg(
        {
            name: "first" if rows[name].isna().all() else _HOW.get(str(name), "first")
            for name in rows
            if name not in _OF_A_PROCESS
        }
    )
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
    TURNS: "sum",
    "throttle_reasons": _all_reasons,
}
