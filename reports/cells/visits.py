"""Which rows speak for a cell, and what their scatter tells: the same in fits and figures."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.cells.scatter import Numbers, Scatter
from reports.laws.monomials import Floats
from reports.tables.units import unit_of

Mask = npt.NDArray[np.bool_]
SLOWER = 0.1
SLOWER_IN_ERRORS = 4.5
"""In standard deviations of a reading: among five honest ones the slowest is seldom so far off."""
REPLAYED = "graph_time_s"
CLOCK_LOWERED = "GPU clock lowered"
"""How the reason of a noisy visit begins, in runs of schema 1, for which the GPU did that."""
SLOWER_REPLAY = 1.02
_MEDIAN_ABOVE_QUICKEST = (1.0, 1.0, 0.477, 0.688, 0.918, 1.062, 1.181, 1.278, 1.353, 1.419, 1.476)
"""The median distance from the smallest of so many standard normal values to their median."""


def marked_noisy(frame: pd.DataFrame, value: str = "") -> Mask:
    """Which rows are marked as disturbed while they were measured; none without such a column.

    The marks are those of the time as called. A replay has no launches that could be disturbed: of
    these marks it bears the one of a GPU that lowered its clock. And one that took longer than the
    call, launches and all, was disturbed, by whatever it was.
    """
    if value == REPLAYED:
        return _slowed(frame) | (
            _numbers(frame, REPLAYED) > SLOWER_REPLAY * _numbers(frame, "time_s")
        )
    if "noisy" not in frame.columns:
        return np.zeros(len(frame), dtype=np.bool_)
    return np.asarray(frame["noisy"].eq(True).fillna(False), dtype=np.bool_)


def _slowed(frame: pd.DataFrame) -> Mask:
    """Where the reasons of noise, if there are any, say that the GPU lowered its clock."""
    if "noise_reasons" not in frame.columns:
        return np.zeros(len(frame), dtype=np.bool_)
    texts = (str(one) for one in frame["noise_reasons"])
    return np.fromiter((CLOCK_LOWERED in one for one in texts), dtype=np.bool_, count=len(frame))


def _numbers(frame: pd.DataFrame, column: str) -> Floats:
    """A column as numbers, NaN where there is none."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    numbers = pd.to_numeric(frame[column], errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def readings(frame: pd.DataFrame, value: str) -> Floats | None:
    """The readings of a clock, by which disturbed ones can be told; None for other costs.

    Disturbances only ever add time; other costs may scatter both ways.
    """
    if unit_of(value).kind != "time":
        return None
    return _numbers(frame, value)


def chosen_visits(noisy: Mask, cell: Numbers, times: Floats | None = None) -> Mask:
    """The readings that speak for their cell, given which are noisy and the cell of each, from 0.

    A reading known to be disturbed is set aside where its cell has an undisturbed one; a cell that
    has none speaks by all of its readings. A shared machine may be slow for the whole of a round,
    or for one reading: one that took longer than the quickest undisturbed one of its cell by more
    than SLOWER, or than SLOWER_IN_ERRORS times the usual scatter where that is more, counts as
    disturbed too.
    """
    if not cell.size:
        return ~noisy
    quiet = np.bincount(cell, weights=~noisy) > 0
    chosen = np.asarray(~noisy | ~quiet[cell])
    if times is not None:
        usual = usual_scatter(np.log(times[chosen]), cell[chosen])
        quickest = np.full(int(cell.max()) + 1, np.inf)
        np.minimum.at(quickest, cell[chosen], times[chosen])
        farthest = max(1.0 + SLOWER, math.exp(SLOWER_IN_ERRORS * usual))
        chosen &= times <= farthest * quickest[cell]
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


def deviations(logs: Floats, cell: Numbers, count: int) -> Floats:
    """Standard deviation of the logarithms in each of so many cells, 0 for a single reading."""
    many = np.bincount(cell, minlength=count)
    means = np.bincount(cell, weights=logs, minlength=count) / np.maximum(many, 1)
    squares = np.bincount(cell, weights=(logs - means[cell]) ** 2, minlength=count)
    return np.asarray(np.sqrt(squares / np.maximum(many - 1, 1)), dtype=np.float64)


def scatter_of(
    logs: Floats, cell: Numbers, rounds: Numbers | None = None, workers: Numbers | None = None
) -> Scatter:
    """The parts of the scatter, by the analysis of variance of a two-way layout.

    `rounds` and `workers` number the round and the worker of each reading, from 0.
    """
    free = cell.size - np.unique(cell).size
    if free < 1:
        return Scatter()
    rest, parts = logs, dict[str, float | None]()
    for name, of in (("workers", workers), ("rounds", rounds)):
        if of is None or np.unique(of).size < 2 or (name == "workers" and _one_each(rounds, of)):
            parts[name] = None
            continue
        rest, parts[name], spent = _without(rest, cell, of)
        free -= spent
    about = rest - _means(rest, cell)[cell]
    reading = math.sqrt(float(about @ about) / free) if free >= 1 else None
    return Scatter(reading=reading, rounds=parts["rounds"], workers=parts["workers"])


def _without(logs: Floats, cell: Numbers, of: Numbers) -> tuple[Floats, float, int]:
    """The logarithms without what each round shares, its standard deviation, and its freedom."""
    about = logs - _means(logs, cell)[cell]
    effects = _means(about, of)
    sizes = np.bincount(of)
    spent = int((sizes > 0).sum()) - 1
    rest = about - effects[of]
    free = cell.size - np.unique(cell).size - spent
    within = float(rest @ rest) / max(free, 1)
    between = float(sizes @ effects**2) / spent
    share = math.sqrt(max(between - within, 0.0) / float(sizes[sizes > 0].mean()))
    return logs - effects[of], share, spent


def _one_each(rounds: Numbers | None, workers: Numbers) -> bool:
    """Whether every worker served one round only."""
    if rounds is None:
        return False
    pairs = np.unique(np.column_stack([rounds, workers]), axis=0)
    return len(pairs) == np.unique(workers).size


def _means(values: Floats, of: Numbers) -> Floats:
    count = np.bincount(of)
    return np.asarray(np.bincount(of, weights=values) / np.maximum(count, 1), dtype=np.float64)
