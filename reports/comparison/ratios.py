"""How many times as long does an implementation take as another one, in the same run?

The processes of a run take turns, and each measures all implementations close together. So what
slows a process slows both, and their ratio is taken within each process. How that ratio differs
between processes is its error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from reports.cells.case_columns import CASE_COLUMNS, EXACT
from reports.cells.cell_table import UNNAMED, cell_table
from reports.comparison.moderated import moderated
from reports.laws.monomials import Floats
from reports.tables.columns import measured_rows, numbers_or_nan

SAME_WITHIN = 0.05
"""Two costs that differ by no more than this part are called the same."""
WIDEST = math.log(1000)
"""An interval that reaches further than a thousandfold says nothing."""
COUNTED = EXACT | {"flops_executed", "transcendentals", "operator_launches"}
_MEDIAN_IN_MEANS = 1.2533  # the error of a median of three or more, in errors of their mean
_OF_IMPLEMENTATION = ("implementation", "claim", "workspace_claim")


class Finding(StrEnum):
    """What an interval of a ratio says."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNTOLD = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A cost divided by that of the reference: above 1 is slower, or more.

    `low` and `high` are its confidence interval, None where there are no repetitions to tell.
    """

    estimate: float
    low: float | None
    high: float | None
    finding: Finding

    def excludes(self, value: float) -> bool:
        """Whether the ratio is surely another one."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


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
    value: str = "time_s",
    confidence: float = 0.95,
    by: Sequence[str] = (),
    cells: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row for each cell of another implementation that the reference has too.

    `frame` has one row a cell and process, as `reports.tables.read` gives it. Cells match if they
    are equal in all case columns but the implementation and its claims, and in `by`. Columns: these
    case columns, `implementation` (never the reference itself), `value` and `reference_value` (as
    `cell_table` shows them), `ratio` (of these two), `low` and `high` (NaN where they are unknown)
    and `finding`. A cost that is counted has no error: `low` and `high` are the ratio. `cells` is
    the `cell_table` of the frame by `by`, where somebody has it already.
    """
    cells = cell_table(frame, by=by) if cells is None else cells
    keys = [
        name
        for name in dict.fromkeys((*CASE_COLUMNS, *by))
        if name in cells.columns and name not in _OF_IMPLEMENTATION
    ]
    known = cells.loc[cells[value].gt(0), [*keys, "implementation", value]]
    is_reference = known["implementation"] == reference
    base = known[is_reference].drop(columns="implementation")
    pairs = known[~is_reference].merge(base, on=keys, suffixes=("", "_of_reference"))
    pairs = pairs.rename(columns={value: "value", f"{value}_of_reference": "reference_value"})
    logs = np.log((pairs["value"] / pairs["reference_value"]).to_numpy(dtype=np.float64))
    if value in COUNTED:
        errors, freedom = np.zeros_like(logs), np.ones_like(logs)
    else:
        errors, freedom = _errors(frame, pairs, keys, reference, value)
    found = [
        ratio_of(float(log), float(error), float(free), confidence)
        for log, error, free in zip(logs, errors, freedom, strict=True)
    ]
    return pairs.assign(
        ratio=[one.estimate for one in found],
        low=np.array([one.low for one in found], dtype=np.float64),
        high=np.array([one.high for one in found], dtype=np.float64),
        finding=[one.finding for one in found],
    )


def _errors(
    frame: pd.DataFrame, pairs: pd.DataFrame, keys: list[str], reference: str, value: str
) -> tuple[Floats, Floats]:
    """The standard error of each pair's log ratio, and its degrees of freedom."""
    if "worker" not in frame:
        return np.full(len(pairs), np.nan), np.zeros(len(pairs))
    rows = frame[measured_rows(frame)]
    rows = rows.assign(cost=np.log(numbers_or_nan(rows, value).where(lambda cost: cost > 0)))
    rows["implementation"] = rows.get("implementation", UNNAMED)
    of_process = [*keys, "worker"]
    medians = rows.groupby([*of_process, "implementation"], dropna=False)["cost"].median()
    costs = medians.dropna().reset_index()
    is_reference = costs["implementation"] == reference
    base = costs[is_reference].drop(columns="implementation")
    both = costs[~is_reference].merge(base, on=of_process, suffixes=("", "_of_reference"))
    both["apart"] = both["cost"] - both["cost_of_reference"]
    scatter = both.groupby([*keys, "implementation"], dropna=False)["apart"].agg(["var", "count"])
    at = pairs[[*keys, "implementation"]].merge(
        scatter.reset_index(), on=[*keys, "implementation"], how="left"
    )
    count = at["count"].fillna(0).to_numpy(dtype=np.float64)
    errors, freedom = np.full(count.size, np.nan), np.zeros(count.size)
    for places in at.groupby("implementation").indices.values():
        own = np.maximum(count[places] - 1, 0.0)
        variance, free = moderated(at["var"].to_numpy(dtype=np.float64)[places], own)
        median = np.where(count[places] > 2, _MEDIAN_IN_MEANS, 1.0)
        errors[places] = median * np.sqrt(variance / np.maximum(count[places], 1.0))
        freedom[places] = free
    return errors, freedom
