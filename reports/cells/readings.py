"""The quiet end of many readings: a cell's value where a machine is disturbed now and then.

Disturbance only adds time, and comes in spells. Of enough readings, spread over a run, some were
taken in quiet moments; the quickest of each process (or stretch of a table) are therefore near the
cell's undisturbed cost, and how they differ between processes is its error (Chen & Revels 2016,
"Robust benchmarking in noisy environments"). A minimum falls with the number of readings, though,
and long calls have fewer: so it is the expected quickest of five that counts (docs/calibration.md).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.cells.scatter import Numbers
from reports.tables.columns import numbers
from reports.tables.rounds import DRAWN, READINGS, TYPICAL, quiet_end
from reports.tables.units import unit_of

ENOUGH_READINGS = 30
STRETCHES = 3


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
