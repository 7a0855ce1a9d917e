"""What changed: of each series and each cell the ratio, its interval, and what that says.

The intervals are corrected for their number: a third of the risk goes to the levels of the series,
a third to their growth, a third to the cells, each in equal parts (Bonferroni). So a comparison of
two equal runs names something in one case of twenty, if turns are disturbed by chance alone. On a
shared machine it does so more often: docs/comparing.md has the rates.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from reports.cells.case_columns import SIZES
from reports.comparison.contrasts import (
    FEWEST_CONTROLS,
    PACE_FELT,
    RUNS_APART,
    Pace,
    Series,
    controls_among,
    pace_for,
    series_of,
)
from reports.comparison.differences import LEAST_APART, Differences
from reports.comparison.law_change import FixedCost, Growth, fixed_cost
from reports.comparison.ratios import SAME_WITHIN, WIDEST, Finding, Ratio, ratio_of
from reports.laws.monomials import Floats
from reports.tables.columns import numbers

CONFIDENCE = 0.95
QUESTIONS = 3
RISK = (1 - CONFIDENCE) / QUESTIONS


@dataclass(frozen=True, kw_only=True)
class SeriesChange:
    """What changed in one series: the mean ratio of its cells, and how the ratio grows.

    `growth` has the power of each size by which the ratio grows. `fixed` is the fixed cost of a
    call that explains what looks like growth. `workspace` is the smallest and the largest
    ratio of the workspaces. `expected` has the ratio of each cell by that of the series.
    """

    series: Series
    ratio: Ratio
    growth: Mapping[str, Growth]
    fixed: FixedCost | None
    workspace: tuple[float, float] | None
    expected: Floats

    @property
    def grows_with(self) -> tuple[str, ...]:
        """The sizes with which the ratio grows, or falls: by another law or a lower-order term."""
        if self.fixed is not None:
            return ()
        return tuple(size for size, one in self.growth.items() if one.is_sure)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What changed in all series and cells; `pace` is what the machine did to all alike.

    `controls` are the series by which the pace is told. `cells` are in the order of the
    differences.
    """

    series: tuple[SeriesChange, ...]
    cells: tuple[Ratio, ...]
    pace: float
    controls: tuple[str, ...]

    @property
    def intervals(self) -> int:
        """How many there are, for which each of them is corrected."""
        return len(self.series) + len(self.cells) + sum(len(one.growth) for one in self.series)


def changes_in(
    differences: Differences,
    *,
    changed: Collection[str] = (),
    unknown_pace: float | None = None,
    in_one_process: bool = False,
    same_within: float = SAME_WITHIN,
) -> Changes:
    """The changes of all series and cells.

    `changed` are the implementations whose source is known to have changed. `unknown_pace` is the
    error of the machine's pace where no series tells it; None if base and new have one pace, as
    within one run. `in_one_process`: base and new are two kernels that the same processes measured.
    Ratios within 1 ± `same_within` are the same.
    """
    series = series_of(differences.cells)
    judge = _Judge(differences=differences, same_within=same_within, in_one_process=in_one_process)
    controls = [] if unknown_pace is None else controls_among(series, changed)
    while True:
        paces = [pace_for(one, controls, unknown_pace, judge.apart) for one in series]
        levels = judge.ratios([one.level for one in series], paces)
        moved = [
            (abs(math.log(ratio.estimate)), place)
            for place, (one, ratio) in enumerate(zip(series, levels, strict=True))
            if one in controls and ratio.finding in (Finding.FASTER, Finding.SLOWER)
        ]
        if not moved or len(controls) < FEWEST_CONTROLS:
            break
        controls.remove(series[max(moved)[1]])  # what has changed is no control
    growths = judge.growths(series)
    weights = (
        np.mean([one.level for one in controls], axis=0) if controls else np.zeros(len(differences))
    )
    return Changes(
        series=tuple(
            _change(differences, one, ratio, growth)
            for one, ratio, growth in zip(series, levels, growths, strict=True)
        ),
        cells=tuple(judge.cells(series, paces)),
        pace=math.exp(float(weights @ differences.logs)),
        controls=tuple(one.name for one in controls),
    )


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """Intervals for sums of the cells' log ratios."""

    differences: Differences
    same_within: float
    in_one_process: bool

    @property
    def apart(self) -> float:
        """What base and new differ by beyond the machine's pace and the scatter of their turns."""
        return LEAST_APART if self.in_one_process else RUNS_APART

    def ratios(
        self,
        weights: Sequence[Floats] | Floats,
        paces: Sequence[Pace],
        of_cells: Floats | None = None,
    ) -> list[Ratio]:
        """The ratio of each row of weights, less the machine's pace; see `Differences.errors`."""
        of_pace = np.array([pace.weights for pace in paces])
        own = np.asarray(weights)
        rows = own - of_pace
        unlike = PACE_FELT * (of_pace @ self.differences.logs)
        extra = np.hypot(unlike, [pace.error for pace in paces])
        errors, freedom = self.differences.errors(rows, own, extra, of_cells)
        found = [
            ratio_of(log, error, free, 1 - RISK / len(rows), self.same_within)
            for log, error, free in zip(rows @ self.differences.logs, errors, freedom, strict=True)
        ]
        return [
            replace(ratio, finding=Finding.UNTOLD) if pace.is_own else ratio
            for ratio, pace in zip(found, paces, strict=True)
        ]

    def cells(self, series: Sequence[Series], paces: Sequence[Pace]) -> list[Ratio]:
        """The ratio of each cell, less the machine's pace.

        The error of one kernel's is no less than the usual distance of a cell from the law of its
        series; two kernels differ by no such law.
        """
        count = len(self.differences)
        owner, scatter = np.empty(count, dtype=np.int64), np.empty(count)
        for place, one in enumerate(series):
            owner[one.rows] = place
            scatter[one.rows] = 0 if self.in_one_process else one.scatter(self.differences.logs)
        return self.ratios(np.eye(count), [paces[place] for place in owner.tolist()], scatter)

    def growths(self, series: Sequence[Series]) -> list[dict[str, Growth]]:
        """The growth of each series with each of its sizes; the pace has none."""
        asked = [(place, size) for place, one in enumerate(series) for size in one.slopes]
        found: list[dict[str, Growth]] = [{} for _ in series]
        if not asked:
            return found
        rows = np.array([series[place].slopes[size] for place, size in asked])
        spreads = np.array([series[place].spreads[size] for place, size in asked])
        errors, freedom = self.differences.errors(rows, rows, self.apart / spreads)
        times = stdtrit(freedom, 1 - RISK / len(asked) / 2)
        for (place, size), power, away in zip(
            asked, rows @ self.differences.logs, times * errors, strict=True
        ):
            known = away <= WIDEST
            found[place][size] = Growth(
                estimate=float(power),
                low=float(power - away) if known else None,
                high=float(power + away) if known else None,
            )
        return found


def _change(
    differences: Differences, series: Series, ratio: Ratio, growth: Mapping[str, Growth]
) -> SeriesChange:
    cells, own = differences.cells.iloc[series.rows], differences.logs[series.rows]
    logs = own - own.mean() + math.log(ratio.estimate)  # the pace is out of the ratio
    workspaces = (cells["new_bytes"] / cells["base_bytes"].where(lambda one: one > 0)).dropna()
    change = SeriesChange(
        series=series,
        ratio=ratio,
        growth=growth,
        fixed=None,
        workspace=(float(workspaces.min()), float(workspaces.max())) if len(workspaces) else None,
        expected=np.full(len(cells), math.exp(float(np.median(logs)))),
    )
    if not change.grows_with:
        return change
    base_s = cells["base_s"].to_numpy(dtype=np.float64)
    sizes = {letter: np.log(numbers(cells, column)) for letter, column in SIZES.items()}
    moving = [values for values in sizes.values() if np.ptp(values) > 0]
    fixed = fixed_cost(base_s, logs, moving)
    if fixed is not None:
        return replace(change, fixed=fixed, expected=fixed.factor + fixed.seconds / base_s)
    expected = float(logs.mean()) + sum(
        growth[size].estimate * (sizes[size] - sizes[size].mean()) for size in change.grows_with
    )
    return replace(change, expected=np.exp(expected))
