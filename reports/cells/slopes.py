"""Local slopes: how fast the cost grows from each size to the next, on log scales.

A law fitted to everything can hide a bend; the slope between two neighbours cannot. Where a single
term leads, the slope is its exponent. Figures show the slopes of single series, by the rows of
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
from scipy.special import stdtrit

from reports.cells.case_columns import SIZE_COLUMNS
from reports.cells.cells import Cells
from reports.tables.columns import no_column

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
    quantile = float(stdtrit(max(free, 1), (1 + confidence) / 2))
    sizes, logs = pd.DataFrame(dict(cells.sizes)), pd.Series(np.log(cells.cost))
    found = []
    for name in names:
        others = [other for other in cells.sizes if other != name]
        series = sizes.groupby(others).ngroup() if others else pd.Series(0, index=sizes.index)
        grid = logs.groupby([sizes[name], series]).mean().unstack()
        for start, end in itertools.pairwise(grid.index.tolist()):
            rises = (grid.loc[end] - grid.loc[start]).dropna()
            if rises.empty:
                continue
            span = math.log(end / start)
            half = quantile * error * math.sqrt(2 / len(rises)) / span
            slope = float(rises.mean()) / span
            found.append(
                Step(
                    size=name,
                    start=start,
                    end=end,
                    slope=slope,
                    low=slope - half,
                    high=slope + half,
                    series=len(rises),
                )
            )
    return tuple(found)


def local_slopes(cells: pd.DataFrame, *, against: str = "seq_len") -> pd.DataFrame:
    """Slopes of log time over log size between neighbouring cells of one implementation.

    `cells` are rows of a cell table (`reports.cells.cell_table`). A series is those in which only
    `against`, and sizes that move along with it, differ. Each slope has `size_low`, `size_high`,
    `at` (their geometric mean), `slope`, and `low`, `high`: an interval by the spread between the
    rows of the two cells, NaN where one has a single row. It tells the repeatability of the two
    cells alone; an error that a cell's readings share is not in it.

    Raises:
        TableError: there is no such size.

    """
    if against not in cells:
        raise no_column(cells, against)
    fixed = [
        column
        for column in (*SIZE_COLUMNS, "batch")
        if column in cells and column != against and not _moves_along(cells, column, against)
    ]
    series = [one for _, one in cells.groupby(fixed, dropna=False)] if fixed else [cells]
    found = [slope for one in series for slope in _slopes(one, against)]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _moves_along(part: pd.DataFrame, column: str, against: str) -> bool:
    """Whether the size follows `against`: one value for each of its values, and more than one.

    d_model against num_heads at a fixed head_dim, or key_len against seq_len in self-attention.
    """
    pairs = part[[against, column]].drop_duplicates()
    return bool(pairs[column].nunique() > 1 and not pairs[against].duplicated().any())


def _slopes(series: pd.DataFrame, against: str) -> Iterator[tuple[float, ...]]:
    # One size may stand in several rows, as where an implementation has two claims.
    merged = {"time_s": "median", "deviation": "median", "rows_used": "sum"}
    series = series.groupby(against, as_index=False).agg(merged)
    sizes, times = series[against].tolist(), series["time_s"].tolist()
    spreads = zip(series["deviation"].tolist(), series["rows_used"].tolist(), strict=True)
    for k, pair in enumerate(itertools.pairwise(spreads)):
        low, high = sizes[k : k + 2]
        span = math.log(high / low)
        slope = math.log(times[k + 1] / times[k]) / span
        half = _half_width(*zip(*pair, strict=True)) / span
        yield low, high, math.sqrt(low * high), slope, slope - half, slope + half


def _half_width(deviations: Sequence[float], rows: Sequence[int]) -> float:
    """Half the interval of a difference of two medians by Welch's t; NaN for single rows."""
    count = np.array(rows)
    if (count < 2).any():
        return math.nan
    # The median of three or more normal values is less efficient than their mean.
    inefficiency = np.where(count >= 3, math.pi / 2, 1.0)
    variances = np.square(deviations) / count * inefficiency
    total = float(variances.sum())
    if total == 0:
        return 0.0
    free = total**2 / float((variances**2 / (count - 1)).sum())
    return float(stdtrit(free, (1 + _CONFIDENCE) / 2)) * math.sqrt(total)
