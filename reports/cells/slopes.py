"""Local slopes: how fast the cost grows from each size to the next, on log scales.

A law fitted to everything can hide a bend; the slope between two neighbours cannot. Where a single
term leads, the slope is its exponent. Figures show the slopes of single series, by the readings of
two cells alone; a fit has means over series, with the error of a cell, in which what all readings
of a cell share is included.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as t_distribution

from reports.cells.case_columns import SIZE_COLUMNS
from reports.cells.cells import Cells
from reports.cells.readings import chosen_readings, marked_noisy, times_read
from reports.tables.columns import TableError, measured_rows, numbers

COLUMNS = ("size_low", "size_high", "at", "slope", "low", "high")
_CONFIDENCE = 0.95  # of the intervals of single series


@dataclass(frozen=True, kw_only=True)
class Step:
    """The slope of log cost over log size between two neighbouring values of one size.

    The mean over so many `series`, each a pair of cells alike in all other sizes.
    """

    size: str
    start: float
    end: float
    slope: float
    low: float
    high: float
    series: int

    def to_dict(self) -> dict[str, str | float | int]:
        """JSON numbers, never NaN."""
        return asdict(self)


def steps_of(
    cells: Cells, names: Sequence[str], *, error: float, free: int, confidence: float
) -> tuple[Step, ...]:
    """The steps of every size; `error` is the relative error of a cell, known by `free` degrees.

    Values without a cell in common with the next one are left out.
    """
    quantile = float(t_distribution.ppf((1 + confidence) / 2, max(free, 1)))
    logs = np.log(cells.cost)
    found = []
    for name in names:
        others = [other for other in cells.sizes if other != name]
        keys = list(zip(*(cells.sizes[other] for other in others), strict=True))
        keys = keys or [()] * len(cells)
        by_value: dict[float, dict[tuple[float, ...], list[float]]] = {}
        for key, value, log in zip(keys, cells.sizes[name], logs, strict=True):
            by_value.setdefault(float(value), {}).setdefault(key, []).append(float(log))
        for start, end in itertools.pairwise(sorted(by_value)):
            both = by_value[start].keys() & by_value[end].keys()
            if not both:
                continue
            span = math.log(end / start)
            rises = [
                np.mean(by_value[end][key]) - np.mean(by_value[start][key]) for key in sorted(both)
            ]
            half = quantile * error * math.sqrt(2 / len(both)) / span
            slope = float(np.mean(rises)) / span
            found.append(
                Step(
                    size=name,
                    start=start,
                    end=end,
                    slope=slope,
                    low=slope - half,
                    high=slope + half,
                    series=len(both),
                )
            )
    return tuple(found)


def local_slopes(rows: pd.DataFrame, *, against: str = "seq_len") -> pd.DataFrame:
    """Slopes of log time over log size between neighbouring sizes of one implementation.

    A series is those rows in which only `against`, and sizes that move along with it, differ. Each
    slope has `size_low`, `size_high`, `at` (their geometric mean), `slope` (by the cells' medians,
    noisy readings left out where a cell has others), and `low`, `high`: an interval by the spread
    between readings, NaN where a cell has only one. It tells the repeatability of the two cells
    alone; an error that a cell's readings share is not in it.

    Raises:
        TableError: a column is missing, or a size or a time is not a positive number.

    """
    rows = rows[measured_rows(rows)]
    size, time = numbers(rows, against), numbers(rows, "time_s")
    keep = np.isfinite(size) & np.isfinite(time) & (time > 0)
    if (size[keep] <= 0).any():
        raise TableError(f"{against} must be positive, got {size[keep].min():g}; correct the table")
    rows = rows[keep].assign(**{against: size[keep], "time_s": time[keep]})
    fixed = [
        column
        for column in (*SIZE_COLUMNS, "batch")
        if column in rows and column != against and not _moves_along(rows, column, against)
    ]
    series = [one for _, one in rows.groupby(fixed, dropna=False)] if fixed else [rows]
    found = [slope for one in series for slope in _slopes(one, against)]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _moves_along(part: pd.DataFrame, column: str, against: str) -> bool:
    """Whether the size follows `against`: one value for each of its values, and more than one.

    d_model against num_heads at a fixed head_dim, or key_len against seq_len in self-attention.
    """
    pairs = part[[against, column]].drop_duplicates()
    return bool(pairs[column].nunique() > 1 and not pairs[against].duplicated().any())


def _slopes(series: pd.DataFrame, against: str) -> Iterator[tuple[float, ...]]:
    cell = np.unique(series[against].to_numpy(dtype=np.float64), return_inverse=True)[1]
    times = times_read(series, "time_s")
    series = series[chosen_readings(marked_noisy(series, "time_s"), cell, times)]
    logs = np.log(series["time_s"].to_numpy(dtype=np.float64))
    by_size = pd.Series(logs).groupby(series[against].to_numpy(dtype=np.float64))
    middle, scatter, readings = by_size.median(), by_size.std(), by_size.size()
    for k, (low, high) in enumerate(itertools.pairwise(middle.index)):
        span = math.log(high / low)
        slope = (middle.iloc[k + 1] - middle.iloc[k]) / span
        half = _half_width(scatter.iloc[k : k + 2], readings.iloc[k : k + 2]) / span
        yield low, high, math.sqrt(low * high), slope, slope - half, slope + half


def _half_width(scatter: pd.Series[float], readings: pd.Series[int]) -> float:
    """Half the interval of a difference of two medians by Welch's t; NaN for single readings."""
    if (readings < 2).any():
        return math.nan
    # The median of three or more normal values is less efficient than their mean.
    inefficiency = np.where(readings >= 3, math.pi / 2, 1.0)
    variances = scatter.to_numpy() ** 2 / readings.to_numpy() * inefficiency
    total = float(variances.sum())
    if total == 0:
        return 0.0
    free = total**2 / float((variances**2 / (readings.to_numpy() - 1)).sum())
    return float(t_distribution.ppf((1 + _CONFIDENCE) / 2, free)) * math.sqrt(total)
