"""Settings: columns that vary among rows of the same sizes, and that are no readings' numbers.

A setting (heads, a dtype, a causal flag) that varies among rows of the same sizes changes the cost
by some factor. Such rows are no repeated readings, and their differences no scatter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy.special import fdtrc

from reports.cells.scatter import Numbers, means
from reports.laws.monomials import Floats
from reports.tables.units import unit_of

NAME = "name"
NOT_TELLING = frozenset({"round", "worker", "status", "reason", "params", "run"})
"""Columns that may differ between the readings of one cell."""
_REPETITION = re.compile(
    r"(?:^|_)(?:i|id|idx|index|iters?|iterations?|loops?|calls?|number|n_?runs?|runs?|reps?|repeats?"
    r"|repetitions?|trials?|samples?|seeds?|folds?|rounds?|attempts?|replicates?|forks?|invocations?"
    r"|times?|timestamps?|date|count)(?:_|$)",
    flags=re.IGNORECASE,
)
"""Names of columns that number readings, or say how many calls one had, until they tell more."""
_MEASURED = re.compile(
    r"^(?:min|max)$|(?:^|_)(?:mean|median|avg|average|std|stddev|stdev|var|iqr|[pq][0-9]+|error"
    r"|[mgt]?flops|throughput|bandwidth|speedup|ratio|util|utilization|power|temp|temperature"
    r"|clock|freq|frequency)(?:_|$)",
    flags=re.IGNORECASE,
)
"""Names of columns that are measured themselves, as those with a unit are."""
_EXPLAINED = 0.5  # of the scatter within cells, by the values of one column
_LEAST_FACTOR = 1.05
_LEVEL = 0.001
_ROUNDS = 30  # of taking effects of cells and values out in turn
_MOST_VALUES = 50
_SHOWN, _LONGEST = 4, 40


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A setting that varies among rows of the same sizes, and what it does to the cost.

    `factor` is how many times the dearest of its `values` costs what the cheapest does; 1 where no
    consistent difference is seen. `averaged` says that this was asked for.
    """

    column: str
    values: tuple[str, ...]
    factor: float
    averaged: bool = False

    def text(self, rows: str) -> str:
        """What varies, among the rows of which group."""
        shown = ", ".join(self.values[:_SHOWN]) + ", …" * (len(self.values) > _SHOWN)
        return f"{self.column} ({shown}) varies among rows{rows} that have the same sizes"


def without_settings(
    rows: pd.DataFrame,
    value: str,
    *,
    sizes: Sequence[str],
    without: Collection[str],
    averaged: Collection[str],
) -> tuple[tuple[Mixed, ...], pd.DataFrame]:
    """The settings that vary among rows of the same `sizes`, and the rows without their effects.

    A setting has an effect if a factor for each of its values, the same in all cells, explains most
    of the scatter within cells. Where it has, or where that is asked for (`averaged`), rows that
    differ in it only become one, with the mean cost: the mean of laws is a law. Where not all
    values are there at all sizes, the factors are taken out instead. The column goes with them.
    Columns in `without`, those that number readings, and those with a value of its own for nearly
    every row, which are measured themselves, are no settings. One that is called as if it numbered
    readings (num_samples) is one if its values explain the scatter.
    """
    found: list[Mixed] = []
    cell = cells_by(rows, sizes)
    if np.unique(cell).size == cell.size:
        return (), rows
    for column in list(rows.columns):
        if column in {*sizes, *without} or (setting := _setting(rows, column, cell)) is None:
            continue
        codes, values = setting
        cost = rows[value].to_numpy(dtype=np.float64)
        effects, explained = _effects(np.log(cost), cell, codes)
        factor = float(np.exp(effects.max() - effects.min()))
        mixed = Mixed(
            column=column,
            values=tuple(" ".join(str(one).split())[:_LONGEST] for one in values),
            factor=factor if explained and factor >= _LEAST_FACTOR else 1.0,
            averaged=column in averaged,
        )
        if mixed.factor > 1 or mixed.averaged or not tells_nothing(column):
            found.append(mixed)
        if mixed.factor > 1 or mixed.averaged:
            mean = _averages(rows, value, cell, codes)
            factors = np.exp(effects[codes])
            rows = rows.assign(**{value: cost / factors}) if mean is None else mean
            rows = rows.drop(columns=[column])  # it tells no cells apart any more
            cell = cells_by(rows, sizes)
    return tuple(found), rows


def cells_by(rows: pd.DataFrame, sizes: Sequence[str]) -> Numbers:
    """The number of each row's cell; the sizes alone are grouped, whatever else there is."""
    columns = list(dict.fromkeys(sizes))
    return np.asarray(rows[columns].groupby(columns, sort=False, dropna=False).ngroup())


def tells_nothing(column: str) -> bool:
    """Whether a column, by its name, numbers readings or is measured itself."""
    return column == NAME or _is_measured(column) or bool(_REPETITION.search(column))


def _is_measured(column: str) -> bool:
    known = column in NOT_TELLING or unit_of(column).kind is not None
    return known or bool(_MEASURED.search(column))


def _counts_up(values: Sequence[object]) -> bool:
    """Whether the values are 0, 1, 2, … or 1, 2, 3, …, as the numbers of readings are."""
    if not all(isinstance(one, int | float | np.number) for one in values):
        return False
    ordered = np.sort(np.array(values, dtype=np.float64))
    return ordered[0] in (0.0, 1.0) and bool((np.diff(ordered) == 1.0).all())


def _averages(rows: pd.DataFrame, value: str, cell: Numbers, codes: Numbers) -> pd.DataFrame | None:
    """One row for the k-th readings of all values in a cell; None where a cell lacks some."""
    count = int(codes.max()) + 1
    place = rows.groupby([cell, codes]).cumcount().to_numpy()
    together = rows[value].groupby([cell, place])
    whole = together.transform("size").to_numpy() == count
    if np.unique(cell[whole]).size < np.unique(cell).size:
        return None
    means = rows.assign(**{value: together.transform("mean")})
    return pd.DataFrame(means[whole & (codes == 0)])


def _setting(
    rows: pd.DataFrame, column: str, cell: Numbers
) -> tuple[Numbers, Sequence[object]] | None:
    """The value of each row, numbered, and the values, where the column is a setting."""
    if _is_measured(column):
        return None
    try:
        codes, values = pd.factorize(rows[column], sort=is_numeric_dtype(rows[column]))
    except TypeError:  # lists and objects
        return None
    if not 2 <= len(values) <= _MOST_VALUES or (codes < 0).any():
        return None
    pairs = np.unique(np.column_stack([cell, codes]), axis=0)
    varied = np.bincount(pairs[:, 0]) > 1
    cells_a_value = np.bincount(pairs[varied[pairs[:, 0]], 1], minlength=len(values))
    few = varied.sum() < 2 or np.median(cells_a_value) < 2
    if few or (_REPETITION.search(column) and _counts_up(list(values))):
        return None
    return np.asarray(codes), list(values)


def _effects(logs: Floats, cell: Numbers, codes: Numbers) -> tuple[Floats, bool]:
    """The effect of each value on the logarithm of the cost, and whether they explain the scatter.

    A two-way layout without interaction, by taking means out in turn.
    """
    about = logs - means(logs, cell)[cell]
    total = float(about @ about)
    effects, rest = np.zeros(int(codes.max()) + 1), about
    for _ in range(_ROUNDS):
        more = means(rest, codes)
        effects, rest = effects + more, rest - more[codes]
        rest = rest - means(rest, cell)[cell]
        if np.abs(more).max() < 1e-6:
            break
    left = float(rest @ rest)
    free = logs.size - int(cell.max()) - 1 - (effects.size - 1)
    if total <= 0 or free < 1:
        return effects - effects.mean(), False
    ratio = (total - left) / (effects.size - 1) / max(left / free, 1e-12)
    sure = fdtrc(effects.size - 1, free, max(ratio, 0.0)) < _LEVEL
    return effects - effects.mean(), bool(sure and total - left > _EXPLAINED * total)
