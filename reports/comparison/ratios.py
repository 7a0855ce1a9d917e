"""How many times as long does an implementation take as another one, in the same run?

The ratio is that of the two times that tables show. Its interval is that of `differences`, by the
turns of the processes, in which all implementations are read close together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from reports.cells.case_columns import CASE_COLUMNS
from reports.cells.cell_table import cell_table
from reports.comparison.differences import LEAST_APART, within_run
from reports.comparison.turns import cases_of, readings_of

SAME_WITHIN = 0.05
"""Two costs that differ by no more than this part are called the same."""
WIDEST = math.log(1000)
"""An interval that reaches further than a thousandfold says nothing."""
_OF_IMPLEMENTATION = ("implementation", "claim", "workspace_claim")


class Finding(StrEnum):
    """What an interval of a ratio says."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNTOLD = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A time divided by that of the reference: above 1 is slower.

    `low` and `high` are its confidence interval, None where too few turns tell it.
    """

    estimate: float
    low: float | None
    high: float | None
    finding: Finding

    def excludes(self, value: float) -> bool:
        """Whether the ratio is surely another one."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high

    def shown_as(self, estimate: float) -> Ratio:
        """The interval beside another estimate of the same ratio, which it then holds too."""
        if self.low is None or self.high is None:
            return replace(self, estimate=estimate)
        low, high = min(self.low, estimate), max(self.high, estimate)
        return Ratio(estimate=estimate, low=low, high=high, finding=finding_of(low, high))


def ratio_of(
    estimate: float,
    error: float,
    freedom: float,
    confidence: float = 0.95,
    same_within: float = SAME_WITHIN,
) -> Ratio:
    """The ratio from its logarithm and the standard error of that; NaN where none is known."""
    away = error * float(stdtrit(freedom, 0.5 + confidence / 2))  # NaN without freedom
    if not away <= WIDEST:
        return Ratio(estimate=math.exp(estimate), low=None, high=None, finding=Finding.UNTOLD)
    low, high = math.exp(estimate - away), math.exp(estimate + away)
    finding = finding_of(low, high, same_within)
    return Ratio(estimate=math.exp(estimate), low=low, high=high, finding=finding)


def finding_of(low: float, high: float, same_within: float = SAME_WITHIN) -> Finding:
    """What the interval of a ratio says: the same, if all of it lies within 1 ± `same_within`."""
    if 1 - same_within <= low and high <= 1 + same_within:
        return Finding.SAME
    if low > 1:
        return Finding.SLOWER
    return Finding.FASTER if high < 1 else Finding.UNTOLD


def ratios_to(
    frame: pd.DataFrame,
    reference: str,
    *,
    by: Sequence[str] = (),
    cells: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row for each cell of another implementation that the reference has too.

    `frame` is that of `reports.tables.read`. Cells match if they are equal in all case columns but
    the implementation and its claims, and in `by`. Columns: these case columns, `implementation`
    (never the reference itself), `time_s` and `reference_time_s` (as `cell_table` shows them),
    `ratio` (of these two), its 95 % interval `low` to `high` (NaN where it is unknown), `finding`,
    and `as_ratio`, which has all four. `cells` is the `cell_table` of the frame by `by`, where
    somebody has it already.
    """
    cells = cell_table(frame, by=by) if cells is None else cells
    keys = [
        name
        for name in dict.fromkeys((*CASE_COLUMNS, *by))
        if name in cells.columns and name not in _OF_IMPLEMENTATION
    ]
    known = cells.loc[cells["time_s"].gt(0), [*keys, "implementation", "time_s"]]
    is_reference = known["implementation"] == reference
    base = known[is_reference].drop(columns="implementation")
    base = base.rename(columns={"time_s": "reference_time_s"})
    pairs = known[~is_reference].merge(base, on=keys)
    found = _ratios(frame, pairs, reference)
    return pairs.assign(
        ratio=[one.estimate for one in found],
        low=np.array([one.low for one in found], dtype=np.float64),
        high=np.array([one.high for one in found], dtype=np.float64),
        finding=[one.finding for one in found],
        as_ratio=pd.Series(found, index=pairs.index, dtype=object),
    )


def _ratios(frame: pd.DataFrame, pairs: pd.DataFrame, reference: str) -> list[Ratio]:
    """The ratio of each pair, with an interval where its run read both in two turns or more."""
    shown = (pairs["time_s"] / pairs["reference_time_s"]).tolist()
    found = [ratio_of(math.log(one), math.nan, 0) for one in shown]
    new, base = cases_of(pairs), cases_of(pairs.assign(implementation=reference))
    run_of = pairs["run"].tolist() if "run" in pairs else [None] * len(pairs)
    for run in set(run_of):
        readings = readings_of(frame if run is None else frame[frame["run"] == run])
        both = {
            at: (base[at], new[at])
            for at, of in enumerate(run_of)
            if of == run and base[at] in readings and new[at] in readings
        }
        if both:
            differences = within_run(readings, list(both.values()))
            cells = np.eye(len(both))
            errors, freedom = differences.errors(cells, cells, LEAST_APART, of_cells=0)
            for at, log, error, free in zip(both, differences.logs, errors, freedom, strict=True):
                found[at] = ratio_of(log, error, free).shown_as(shown[at])
    return found
