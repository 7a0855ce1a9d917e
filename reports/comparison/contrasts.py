"""What is computed from the cells of a series: its level, its growth, and the pace of the machine.

Each is a sum of the cells' log ratios with weights, so that `Differences.variances` tells its
error. Two runs differ in what the machine did to all cells alike, its pace: the level of series
that did not change, the controls, is taken from those that may have.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.records import CELL
from reports.cells.case_columns import SIZES
from reports.cells.groups import groups
from reports.laws.monomials import Floats
from reports.tables.columns import numbers

RUNS_APART = 0.01
"""What two runs, or two processes of one, differ by beyond the scatter of their turns."""
PACE_FELT = 0.25
"""A slow machine slows one implementation so much more than another: memory, caches, the core."""
FEWEST_SIZES = 3
MAD_TO_DEVIATION = 1.4826
FEWEST_CONTROLS = 3
"""As many series show which of them moved, where any of them may have."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """The cells of one implementation under equal conditions.

    `group` tells the implementation and its conditions, `rows` the places of its cells, and
    `design` has a column of ones and the logarithm of each size that moves. `level` has the weights
    of the mean log ratio, `slopes` those of its slope against the logarithm of each size; `spreads`
    are the standard deviations of these logarithms.
    """

    group: Mapping[str, Any]
    rows: list[int]
    design: Floats
    level: Floats
    slopes: Mapping[str, Floats]
    spreads: Mapping[str, float]

    @property
    def name(self) -> str:
        """The implementation."""
        return str(self.group["implementation"])

    def scatter(self, logs: Floats) -> float:
        """The usual distance of a cell from the law of the series, as a standard deviation."""
        own, free = logs[self.rows], len(self.rows) - self.design.shape[1]
        if free < 1:
            return 0.0
        rest = own - self.design @ np.linalg.lstsq(self.design, own, rcond=None)[0]
        return float(MAD_TO_DEVIATION * np.median(abs(rest)) * math.sqrt(own.size / free))


def series_of(cells: pd.DataFrame) -> list[Series]:
    """The series of a comparison's cells, in order of first appearance."""
    cases = cells[list(CELL)].reset_index(drop=True)
    return [
        _series(group, rows, len(cells))
        for group, rows in groups(cases, without=tuple(SIZES.values()))
    ]


def _series(group: Mapping[str, Any], rows: pd.DataFrame, count: int) -> Series:
    places = rows.index.to_numpy()
    level = np.zeros(count)
    level[places] = 1 / len(places)
    logs = {letter: np.log(numbers(rows, column)) for letter, column in SIZES.items()}
    moving = {letter: log for letter, log in logs.items() if log.std() > 0}
    design = np.column_stack([np.ones(len(places)), *moving.values()])
    slopes = {}
    if np.linalg.matrix_rank(design) == design.shape[1] < len(places):
        inverse = np.linalg.pinv(design)
        for at, letter in enumerate(moving, start=1):
            if np.unique(moving[letter]).size >= FEWEST_SIZES:
                slopes[letter] = np.zeros(count)
                slopes[letter][places] = inverse[at]
    return Series(
        group=group,
        rows=places.tolist(),
        design=design,
        level=level,
        slopes=slopes,
        spreads={letter: float(moving[letter].std()) for letter in slopes},
    )


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What the machine did to all cells alike, from base to new.

    `weights` are those of its logarithm among the cells, all zero where no series tells it; `error`
    is its standard error beside that. `is_own` says that the series itself is the only control:
    then nothing can be said of that series.
    """

    weights: Floats
    error: float
    is_own: bool = False


def controls_among(series: Sequence[Series], changed: Collection[str]) -> list[Series]:
    """The series that show the pace: those whose source did not change, else all, if enough."""
    unchanged = [one for one in series if one.name not in changed]
    if 0 < len(unchanged) < len(series):
        return unchanged
    return list(series) if len(series) >= FEWEST_CONTROLS else []


def pace_for(
    series: Series, controls: Sequence[Series], unknown: float | None, apart: float
) -> Pace:
    """The pace by the controls, the series itself left out.

    `unknown` is the error of a pace that no series tells; None if base and new have one pace.
    `apart` is what they differ by beyond it.
    """
    nothing = np.zeros_like(series.level)
    if unknown is None:
        return Pace(weights=nothing, error=apart)
    others = [one for one in controls if one is not series]
    if not others:
        return Pace(weights=nothing, error=unknown, is_own=bool(controls))
    return Pace(weights=np.mean([one.level for one in others], axis=0), error=apart)


PACE_UNKNOWN = 0.05
"""By so much two runs of one machine may differ in pace, at the least."""


def unknown_pace(base: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """The error of a pace that no series tells: what the ceilings of the two runs differ by.

    The ceilings of a run, in `run.json`, are the speed of fixed work: a matrix product and a copy.
    """
    apart = [PACE_UNKNOWN]
    for kind, of_base in (base.get("ceilings") or {}).items():
        of_new = (new.get("ceilings") or {}).get(kind) or {}
        for name in ("matmul_flops_per_s", "copy_bytes_per_s"):
            old, now = of_base.get(name), of_new.get(name)
            if old and now:
                apart.append(abs(math.log(now / old)))
    return max(apart)
