"""Which readings speak for a cell: the undisturbed ones, and the quiet end of many.

Disturbance only adds time, and comes in spells. Of enough readings, spread over a run, some were
taken in quiet moments; the quickest of each process (or stretch of a table) are therefore near the
cell's undisturbed cost, and how they differ between processes is its error (Chen & Revels 2016,
"Robust benchmarking in noisy environments"). A minimum falls with the number of readings, though,
and long calls have fewer: so it is the expected quickest of five that counts (docs/calibration.md).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.cells.scatter import Numbers
from reports.laws.monomials import Floats
from reports.tables.columns import numbers, numbers_or_nan
from reports.tables.rounds import DRAWN, READINGS, TYPICAL, quiet_end
from reports.tables.units import unit_of

Mask = npt.NDArray[np.bool_]
SLOWER = 0.1
SLOWER_IN_ERRORS = 4.5
"""In standard deviations of a reading: among five honest ones the slowest is seldom so far off."""
REPLAYED = "graph_time_s"
CLOCK_LOWERED = "GPU clock lowered"
"""How the reason of a noisy visit begins, in runs of schema 1, for which the GPU did that."""
SLOWER_REPLAY = 1.02
ENOUGH_READINGS = 30
STRETCHES = 3
_MEDIAN_ABOVE_QUICKEST = (1.0, 1.0, 0.477, 0.688, 0.918, 1.062, 1.181, 1.278, 1.353, 1.419, 1.476)
"""The median distance from the smallest of so many standard normal values to their median."""


def marked_noisy(frame: pd.DataFrame, value: str = "") -> Mask:
    """Which rows are marked as disturbed while they were measured; none without such a column.

    The marks are those of the time as called. A replay has no launches that could be disturbed: of
    these marks it bears the one of a GPU that lowered its clock. And one that took longer than the
    call, launches and all, was disturbed, by whatever it was.
    """
    none = np.zeros(len(frame), dtype=np.bool_)
    if value != REPLAYED:
        marks = frame["noisy"].eq(True).fillna(False) if "noisy" in frame else none
        return np.asarray(marks, dtype=np.bool_)
    reasons = frame.get("noise_reasons", none)
    lowered = np.array([CLOCK_LOWERED in str(one) for one in reasons], dtype=np.bool_)
    return lowered | (_floats(frame, REPLAYED) > SLOWER_REPLAY * _floats(frame, "time_s"))


def _floats(frame: pd.DataFrame, column: str) -> Floats:
    return np.asarray(numbers_or_nan(frame, column), dtype=np.float64)


def chosen_readings(rows: pd.DataFrame, value: str, cell: Numbers) -> Mask:
    """The rows whose reading of `value` speaks for their cell; `cell` numbers each row's, from 0.

    A reading known to be disturbed is set aside where its cell has an undisturbed one; a cell that
    has none speaks by all of its readings. Of times, which disturbances only ever add to, one that
    took longer than the quickest undisturbed one of its cell by more than SLOWER, or than
    SLOWER_IN_ERRORS times the usual scatter where that is more, counts as disturbed too: a shared
    machine may be slow for the whole of a round, or for one reading.
    """
    values, noisy = _floats(rows, value), marked_noisy(rows, value)
    read = ~np.isnan(values)
    if not read.any():
        return read
    quiet = np.bincount(cell, weights=read & ~noisy) > 0
    chosen = np.asarray(read & (~noisy | ~quiet[cell]))
    if unit_of(value).kind == "time":
        usual = usual_scatter(np.log(values[chosen]), cell[chosen])
        quickest = np.full(int(cell.max()) + 1, np.inf)
        np.minimum.at(quickest, cell[chosen], values[chosen])
        farthest = max(1.0 + SLOWER, math.exp(SLOWER_IN_ERRORS * usual))
        chosen &= values <= farthest * quickest[cell]
    return chosen


def usual_scatter(logs: Floats, cell: Numbers) -> float:
    """The standard deviation of a reading about its cell, in a typical cell: 0 without repetitions.

    From the distance between a cell's quickest reading and its median, which slow readings leave
    alone as long as they are fewer than half; the median over cells, each by what that distance
    is for normal readings of deviation 1.
    """
    count = np.bincount(cell)
    if not (count > 1).any():
        return 0.0
    by_cell = pd.Series(logs).groupby(cell)
    above = (by_cell.median() - by_cell.min()).to_numpy(dtype=np.float64)
    many = by_cell.size().to_numpy()
    expected = np.array(_MEDIAN_ABOVE_QUICKEST)[np.minimum(many, len(_MEDIAN_ABOVE_QUICKEST) - 1)]
    return float(np.median((above / expected)[many > 1]))


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


def with_statistic(frame: pd.DataFrame, value: str, statistic: str) -> pd.DataFrame:
    """A table of quiet ends with another statistic in their place, as far as it is known."""
    column = {"median": TYPICAL, "min": "time_min_s"}.get(statistic)
    if column not in frame or value != "time_s":
        return frame
    return frame.assign(time_s=frame[column].fillna(frame["time_s"]))
