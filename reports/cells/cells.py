"""From rows to cells: one value a size, by one of three statistics, and what surrounds it.

The cell is the sampling unit. Readings of one cell share whatever went wrong in it, so their spread
is only a lower bound on a cell's error, and is never resampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.cells.case_columns import (
    CACHED,
    CONDITIONS,
    COVARIATES,
    INTENSITY,
    SIZE_COLUMNS,
)
from reports.cells.readings import (
    ENOUGH_READINGS,
    REPLAYED,
    chosen_readings,
    marked_noisy,
    of_stretches,
    with_statistic,
)
from reports.cells.scatter import Numbers, Scatter, deviations, scatter_of
from reports.cells.working_set import with_bytes_for_caches
from reports.laws.monomials import Floats
from reports.tables.columns import (
    FARTHEST,
    TableError,
    measured_rows,
    numbers,
    numbers_or_nan,
    row_of,
)
from reports.tables.rounds import READINGS
from reports.tables.units import unit_of

WILD = 3.0
LEAST_SCATTER = 0.005  # readings that agree to half a per cent do so by luck
FEWEST_QUIET = 2  # among any number of readings marked as disturbed
DISTURBED_WEIGHT = 0.1  # a cell that was mostly disturbed hardly counts
MOST_DIGITS, MOST_LOOKED_AT = 7, 1000
ROUNDED = 1e-9
MOST_WHOLE = 2.0**53
STATISTICS = ("quiet", "median", "min")
"""How the readings of a cell become its value: `quiet` is the median of the processes' ends."""
CENSORED = ("out_of_memory", "timeout", "crashed", "skipped")
"""Statuses of cells that were wanted and have no value: not missing at random."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of one group, all arrays of one length.

    `sizes` maps the law's letters to values; `cost` is the median over readings (or their
    minimum), in the unit of the column; `visits` counts the readings that are used, `aside` those
    that are not (see `reports.cells.readings`). `weights` are 1, and less for a cell whose readings
    disagree WILD times as much as a typical cell's, or are mostly disturbed while most cells' are
    not. `covariates` are medians of COVARIATES, of CACHED and of INTENSITY, NaN where one is
    absent. `noisy` is the fraction of readings set aside or marked noisy, `censored` the number of
    cells that were wanted and never measured, `unmeasured` the rows that are no measurement. `step`
    is the last decimal place of the costs, 0 of fractions with more digits than anybody reads.
    """

    sizes: Mapping[str, Floats]
    cost: Floats
    weights: Floats
    visits: Numbers
    scatter: Scatter
    aside: Numbers
    covariates: Mapping[str, Floats]
    noisy: float
    censored: int
    unmeasured: int
    step: float = 0.0

    def __len__(self) -> int:
        return int(self.cost.size)

    @property
    def set_aside(self) -> int:
        """How many readings of these cells are not used."""
        return int(self.aside.sum())

    @cached_property
    def median_error(self) -> float | None:
        """Standard error of a typical cell's median, relative, by the scatter of its readings."""
        if self.scatter.reading is None or not len(self):
            return None
        # The median of three or more normal values is less efficient than their mean.
        factor = np.where(self.visits >= 3, 1.2533, 1.0)
        return self.scatter.reading * math.sqrt(float(np.mean(factor**2 / self.visits)))

    @property
    def rounding(self) -> Floats:
        """The relative standard deviation of each cost's rounding to its last decimal place."""
        return np.asarray(self.step / math.sqrt(12) / self.cost)

    def only(self, kept: npt.NDArray[np.bool_]) -> Cells:
        """The cells where `kept` is true; what concerns the whole group stays."""
        return replace(
            self,
            sizes={name: values[kept] for name, values in self.sizes.items()},
            cost=self.cost[kept],
            weights=self.weights[kept],
            visits=self.visits[kept],
            aside=self.aside[kept],
            covariates={name: values[kept] for name, values in self.covariates.items()},
        )

    def distinct(self, name: str) -> Floats:
        """The different values of one size, ascending."""
        return np.unique(self.sizes[name])


def usual_statistic(frame: pd.DataFrame, sizes: Mapping[str, str], value: str) -> str:
    """`quiet` where the table brings enough readings for it, else `median`."""
    if READINGS in frame.columns:
        return "quiet"
    number = _numbered(frame[measured_rows(frame)], list(sizes.values()))
    if unit_of(value).kind != "time" or not number.size:
        return "median"
    return "quiet" if np.median(np.bincount(number)) >= ENOUGH_READINGS else "median"


def _by(frame: pd.DataFrame, sizes: Mapping[str, str], value: str, statistic: str) -> pd.DataFrame:
    """The table's readings as a statistic wants them."""
    if READINGS in frame.columns:
        return with_statistic(frame, value, statistic)
    if statistic != "quiet" or unit_of(value).kind != "time":
        return frame
    wanted = measured_rows(frame)
    rows = frame[wanted & ~np.isnan(numbers(frame, value))]
    quiet = of_stretches(rows, _numbered(rows, list(sizes.values())), value)
    return pd.concat([quiet, frame[~wanted]]) if not wanted.all() else quiet


def cells_of(
    frame: pd.DataFrame, sizes: Mapping[str, str], value: str, statistic: str = "median"
) -> Cells:
    """The cells of one group of rows.

    Rows with a status other than `measured` carry no value; cells that were wanted and have no
    measured row are counted in `censored`. A cell is one combination of all sizes and conditions
    in the table, so that two cases that the law does not tell apart stay two cells. A time must be
    positive; another cost may be 0 (a workspace), and such cells are left out, since growth is
    judged on a log scale. `statistic` is one of STATISTICS.

    Raises:
        TableError: a column is missing, holds text, or has a value that no cost or size can have.

    """
    frame = _by(frame, sizes, value, statistic)
    measured = frame[measured_rows(frame)]
    rows = measured[_usable(measured, sizes, value)]
    number = _numbered(rows, list(sizes.values()))
    chosen = chosen_readings(rows, value, number)
    disturbed = marked_noisy(rows, value) | ~chosen
    good, all_of = np.bincount(number, weights=~disturbed), np.bincount(number)
    quiet = 2 * good >= all_of
    # Who marks noise vouches for the rest.
    if value != REPLAYED and "noisy" in rows and rows["noisy"].notna().any():
        quiet |= good >= FEWEST_QUIET
    cost, used = numbers(rows, value), np.flatnonzero(chosen)
    used = used[np.lexsort((cost[used], number[used]))]  # sums in one order, whatever the rows' is
    cell, cost = number[used], cost[used]
    columns = {name: numbers(rows, column)[used] for name, column in sizes.items()}
    medians = pd.DataFrame({**columns, "": cost}).groupby(cell).median()
    visits = np.bincount(cell)
    weights = _weights(deviations(np.log(cost), cell), visits)
    # Where most cells are disturbed, none can be told to be worse.
    if 2 * (~quiet).sum() < quiet.size:
        weights = np.where(quiet, weights, np.minimum(weights, DISTURBED_WEIGHT))
    known = rows
    if value != "workspace_bytes":  # no cost is explained by itself
        known = with_bytes_for_caches(rows, is_time=unit_of(value).kind == "time")
    wanted = (*COVARIATES, CACHED, INTENSITY)
    beside = {column: "median" for column in wanted if column in known and column != value}
    covariates = values_of_cells(known, number, beside)
    if not chosen.all():
        # What is read once a cell may stand with a reading whose time was set aside.
        of_chosen = values_of_cells(known[chosen], number[chosen], beside)
        covariates = of_chosen.fillna(covariates)
    return Cells(
        sizes={name: medians[name].to_numpy(dtype=np.float64) for name in sizes},
        cost=np.minimum.reduceat(cost, np.unique(cell, return_index=True)[1])
        if statistic == "min"
        else medians[""].to_numpy(dtype=np.float64),
        weights=weights,
        visits=visits,
        scatter=scatter_of(
            np.log(cost), cell, _codes(rows.iloc[used], "round"), _codes(rows.iloc[used], "worker")
        ),
        aside=all_of - visits,
        covariates={
            str(c): v.to_numpy(dtype=np.float64)
            for c, v in covariates.dropna(axis="columns", how="all").items()
        },
        noisy=float(disturbed.mean()) if disturbed.size else 0.0,
        censored=_censored(frame, list(sizes.values())),
        unmeasured=len(frame) - len(measured),
        step=_last_place(cost),
    )


def values_of_cells(rows: pd.DataFrame, cell: Numbers, how: Mapping[str, str]) -> pd.DataFrame:
    """One row a cell: each column's median, minimum and so on, as `how` says of it.

    Of medians and minima only the readings count that speak for their cell. `cell` numbers each
    row's. A column that is absent is NaN.
    """
    values = {name: numbers_or_nan(rows, name) for name in how}
    for name, statistic in how.items():
        if statistic in ("median", "min"):
            values[name] = values[name].where(chosen_readings(rows, name, cell))
    return pd.DataFrame(values, index=rows.index).groupby(cell).agg(dict(how))


def pages(cost: Floats) -> float:
    """The largest whole number that divides all costs; 0 where they are no whole numbers."""
    if not cost.size or cost.max() > MOST_WHOLE or (cost != np.round(cost)).any():
        return 0.0
    return float(np.gcd.reduce(cost.astype(np.int64)))


def _last_place(cost: Floats) -> float:
    """The largest power of ten of which all costs are multiples; 0 of fractions of many digits."""
    if not cost.size:
        return 0.0
    some = cost[:MOST_LOOKED_AT]
    top = math.floor(math.log10(float(some.max())))
    if (some == np.round(some)).all():
        return float(10.0 ** next(k for k in range(top, -1, -1) if not (some % 10.0**k).any()))
    for place in range(top, top - MOST_DIGITS, -1):
        parts = some / 10.0**place
        if (np.abs(parts - np.round(parts)) < ROUNDED * np.maximum(parts, 1.0)).all():
            return float(10.0**place)
    return 0.0


def _usable(rows: pd.DataFrame, sizes: Mapping[str, str], value: str) -> npt.NDArray[np.bool_]:
    """The rows with a cost above zero.

    Raises:
        TableError: a time or a size is not positive, or another cost negative or infinite.

    """
    cost, is_time = numbers(rows, value), unit_of(value).kind == "time"
    wrong = ~np.isnan(cost) & ~(np.isfinite(cost) & ((cost > 0) if is_time else (cost >= 0)))
    if wrong.any():
        kind = "positive" if is_time else "not negative"
        file, row = row_of(rows, int(np.argmax(wrong)))
        raise TableError(
            f"{file}{value} must be {kind} and finite, got {cost[wrong][0]:g}{row}; remove such "
            "rows, or measure them again"
        )
    usable = np.asarray(cost > 0)
    far = usable & ((cost < 1 / FARTHEST) | (cost > FARTHEST))
    if far.any():
        raise TableError(
            f"{value} must lie between {1 / FARTHEST:g} and {FARTHEST:g}, got {cost[far][0]:g}; "
            "give it in another unit"
        )
    for name, column in sizes.items():
        values = numbers(rows, column)
        wrong = usable & ~((values >= 1 / FARTHEST) & (values <= FARTHEST))
        if wrong.any():
            file, row = row_of(rows, int(np.argmax(wrong)))
            raise TableError(
                f"{file}{column} must be positive and finite in every measured row, got "
                f"{values[wrong][0]:g}{row}; correct the table, or name another column with "
                f"--size {name}=COLUMN"
            )
    return usable


def _codes(rows: pd.DataFrame, column: str) -> Numbers | None:
    """The values of a column, numbered from 0; None where it is absent or has gaps."""
    if column not in rows.columns or rows.empty or rows[column].isna().any():
        return None
    return np.asarray(pd.factorize(rows[column])[0], dtype=np.int64)


def _numbered(rows: pd.DataFrame, wanted: list[str]) -> Numbers:
    """The number of each row's cell."""
    others = [c for c in (*SIZE_COLUMNS, *CONDITIONS) if c in rows.columns and c not in wanted]
    keys = [*wanted, *(c for c in others if rows[c].nunique(dropna=False) > 1)]
    if rows.empty:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(rows.groupby(keys, sort=True, dropna=False).ngroup(), dtype=np.int64)


def _weights(scatter: Floats, visits: Numbers) -> Floats:
    """Less than 1 where visits disagree unusually: such a median may be any of them."""
    weights = np.ones_like(scatter)
    repeated = visits > 1
    if repeated.any():
        usual = max(float(np.median(scatter[repeated])), LEAST_SCATTER)
        weights = np.minimum(1.0, WILD * usual / np.maximum(scatter, 1e-300))
    return weights


def _censored(frame: pd.DataFrame, wanted: list[str]) -> int:
    """How many cells were wanted, and have no measured row at all."""
    if "status" not in frame.columns or not frame["status"].isin(CENSORED).any():
        return 0
    # A row without a measurement may leave conditions empty: those tell no cells apart.
    columns = [c for c in dict.fromkeys((*wanted, *SIZE_COLUMNS, *CONDITIONS)) if c in frame]
    keys = [c for c in columns if frame[c].nunique() > 1]
    censored, measured = frame["status"].isin(CENSORED), frame["status"] == "measured"
    if not keys:
        return int(not measured.any())
    cell = frame.groupby(keys, dropna=False, sort=False).ngroup()
    return len(set(cell[censored]) - set(cell[measured]))
