"""Local slopes: how fast the cost grows between neighbouring sizes, on log scales.

A law fitted to everything can hide a bend; the slope between two neighbours cannot. Where a
single term leads, the slope is its exponent.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t as t_distribution

from reports.cells.groups import groups
from reports.cells.visits import chosen_visits, marked_noisy, readings
from reports.tables.columns import TableError, measured_rows, numbers

_SIZES = ("seq_len", "key_len", "d_model", "num_heads", "head_dim", "batch")
COLUMNS = ("size_low", "size_high", "at", "slope", "low", "high")


def local_slopes(
    frame: pd.DataFrame,
    *,
    against: str = "seq_len",
    value: str = "time_s",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Slopes of log cost over log size between neighbouring sizes of every series, one row each.

    A series is a group (see `reports.cells.groups`) in which only `against`, and sizes that move
    along with it, differ. The columns are those that name the series, then `size_low`, `size_high`,
    `at` (their geometric mean), `slope` (by the cells' medians, noisy visits left out where a cell
    has others), and `low`, `high`: an interval by the spread between visits, NaN where a cell has
    only one. It tells the repeatability of the two cells alone; an error that a cell's visits share
    is not in it.

    Raises:
        TableError: a column is missing, or a size or cost is not a positive number.

    """
    rows = frame[measured_rows(frame)]
    size, cost = numbers(rows, against), numbers(rows, value)
    keep = np.isfinite(size) & np.isfinite(cost) & (cost > 0)
    if (size[keep] <= 0).any():
        raise TableError(f"{against} must be positive, got {size[keep].min():g}; correct the table")
    rows = rows[keep].assign(**{against: size[keep], value: cost[keep]})
    parts = []
    for group, part in groups(rows):
        for fixed, series in _series(part, against):
            slopes = _slopes(series, against, value, confidence)
            if not slopes.empty:
                parts.append(slopes.assign(**{**group, **fixed}))
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    found = pd.concat(parts, ignore_index=True)
    names = [column for column in found.columns if column not in COLUMNS]
    return found[[*names, *COLUMNS]]


def _series(part: pd.DataFrame, against: str) -> list[tuple[dict[str, float | None], pd.DataFrame]]:
    fixed = [
        column
        for column in _SIZES
        if column in part.columns and column != against and not _moves_along(part, column, against)
    ]
    if not fixed:
        return [({}, part)]
    return [
        ({c: _number(v) for c, v in zip(fixed, key, strict=True)}, series)
        for key, series in part.groupby(fixed, sort=True, dropna=False)
    ]


def _moves_along(part: pd.DataFrame, column: str, against: str) -> bool:
    """Whether the size follows `against`: one value for each of its values, and more than one.

    d_model against num_heads at a fixed head_dim, or key_len against seq_len in self-attention.
    """
    pairs = part[[against, column]].drop_duplicates()
    return bool(pairs[column].nunique() > 1 and not pairs[against].duplicated().any())


def _slopes(series: pd.DataFrame, against: str, value: str, confidence: float) -> pd.DataFrame:
    cell = np.unique(series[against].to_numpy(dtype=np.float64), return_inverse=True)[1]
    series = series[chosen_visits(marked_noisy(series, value), cell, readings(series, value))]
    logs = np.log(series[value].to_numpy(dtype=np.float64))
    by_size = pd.Series(logs).groupby(series[against].to_numpy(dtype=np.float64))
    middle, scatter, visits = by_size.median(), by_size.std(), by_size.size()
    rows = []
    sizes = list(middle.index)
    for k in range(len(sizes) - 1):
        span = math.log(sizes[k + 1] / sizes[k])
        slope = (middle.iloc[k + 1] - middle.iloc[k]) / span
        half = _half_width(scatter.iloc[k : k + 2], visits.iloc[k : k + 2], confidence) / span
        rows.append(
            {
                "size_low": sizes[k],
                "size_high": sizes[k + 1],
                "at": math.sqrt(sizes[k] * sizes[k + 1]),
                "slope": slope,
                "low": slope - half,
                "high": slope + half,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _half_width(scatter: pd.Series[float], visits: pd.Series[int], confidence: float) -> float:
    """Half the interval of a difference of two medians by Welch's t; NaN for single visits."""
    if (visits < 2).any():
        return math.nan
    # The median of three or more normal values is less efficient than their mean.
    inefficiency = np.where(visits >= 3, math.pi / 2, 1.0)
    variances = scatter.to_numpy() ** 2 / visits.to_numpy() * inefficiency
    total = float(variances.sum())
    if total == 0:
        return 0.0
    free = total**2 / float((variances**2 / (visits.to_numpy() - 1)).sum())
    return float(t_distribution.ppf((1 + confidence) / 2, free)) * math.sqrt(total)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | np.number) else None
