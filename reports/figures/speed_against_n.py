"""Speed relative to one implementation against sequence length: above 1 is faster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pandas as pd
from matplotlib.axes import Axes

from reports.cells.case_columns import CASE_COLUMNS
from reports.cells.cell_table import cell_table
from reports.comparison.ratios import ratios_to
from reports.figures.drawing import canvas
from reports.figures.drawing.chart import SizeChart
from reports.figures.drawing.panels import Panel
from reports.figures.drawing.view import Series, View
from reports.text import wording

USUAL_REFERENCES = ("sdpa", "sdpa_flash", "torch_multi_head", "matmul")
"""What others are compared with: of those that were measured, the first."""


class SpeedAgainstN(SizeChart):
    """The time of the reference over that of every other implementation, in the same cells."""

    stem = "speed_against_n"
    reading = y = "speed"
    has = "was measured beside it"
    too_few = "Too few sizes in common with it"
    spoken = "Speed relative to another implementation against {0.name}"

    def __init__(self, reference: str | None = None) -> None:
        self.reference = reference

    def of(self, view: View) -> str | None:
        """The reference: that asked for, a usual one, else the one with most cells."""
        cells = view.cells["implementation"].value_counts()
        if self.reference is not None:
            return self.reference if self.reference in cells else None
        usual = (name for name in USUAL_REFERENCES if name in cells)
        return next(usual, str(cells.sort_index(kind="stable").idxmax()))

    def _series(self, view: View) -> tuple[Series, ...]:
        return _relative(view, self.of(view))

    def _absent(self, view: View) -> str | None:
        if self.of(view) is None:
            return f"{self.reference} was not measured"
        if view.cells["implementation"].nunique() < 2:
            return "there is one implementation"
        return None

    def _points(self, view: View, panel: Panel, series: Series, rows: pd.DataFrame) -> pd.DataFrame:
        """`speed`: the reference's time over that of the series, and its 95 % interval."""
        times = ["time_s", "reference_time_s", "speed", "speed_low", "speed_high"]
        return rows.filter(["seq_len", "num_heads", "head_dim", *times])

    def title(self, view: View) -> str:
        """The speed at the largest sizes, the fastest first."""
        panel = max(self._panels(view), key=lambda one: len(one.members))
        ends = sorted(((rows.iloc[-1], one.label) for one, rows in panel.members), key=_by_speed)
        words = [f"{wording.shortened(label)} {_times(end['speed'])}" for end, label in ends]
        at = self._fixed_in_words(view, panel.value)
        return f"Speed relative to {self.of(view)} at the largest n{at}: {wording.listed(words)}"

    def _sentences(self, view: View) -> list[str]:
        table, name = self.data(view), self.of(view)
        parts = [
            f"Time of {name} over the time of another implementation in the same cell: above the "
            "line the other one is faster. Both axes logarithmic.",
            *view.stated(),
        ]
        if table["speed_low"].notna().any():
            parts.append("Bands are 95 % intervals by the turns of the processes.")
        return parts

    def _said(self, view: View) -> Iterator[str]:
        for panel in reversed(self._panels(view)):
            at = self._fixed_in_words(view, panel.value)
            for series, rows in panel.members:
                first, last = (_times(rows.iloc[end]["speed"]) for end in (0, -1))
                yield f"{series.label}{at}: {first} at the smallest n, {last} at the largest"

    def _axis_label(self, view: View) -> str:
        return f"speed relative to {wording.shortened(self.of(view) or '', most=20)} (ratio)"

    def _draw_series(
        self, axes: Axes, series: Series, rows: pd.DataFrame, points: pd.DataFrame
    ) -> None:
        columns = (points[name] for name in ("seq_len", "speed", "speed_low", "speed_high"))
        canvas.ratio_line(axes, *columns, look=series.look)

    def _draw_scale(self, axes: Axes, points: pd.DataFrame) -> None:
        canvas.ratio_axis(axes, points["speed"].tolist())


def _by_speed(end: tuple[pd.Series, str]) -> tuple[float, str]:
    return -float(end[0]["speed"]), end[1]


def _times(ratio: float) -> str:
    return f"{wording.times(ratio)}×"


@lru_cache(maxsize=16)
def ratios_of(view: View, reference: str) -> pd.DataFrame:
    """The ratios of a view's cells to those of one of its implementations."""
    return ratios_to(view.records, reference, by=view.by, cells=_cells(view))


@lru_cache(maxsize=16)
def _cells(view: View) -> pd.DataFrame:
    return cell_table(view.records, by=view.by)


@lru_cache(maxsize=16)
def _relative(view: View, reference: str | None) -> tuple[Series, ...]:
    """The series of other implementations, their cells with speeds; those alone are left out."""
    if reference is None:
        return ()
    ratios = ratios_of(view, reference)
    ratios = ratios.assign(
        speed=1 / ratios["ratio"],
        speed_low=1 / ratios["high"],
        speed_high=1 / ratios["low"],
    )
    found = []
    for series in view.series:
        own = ratios[ratios["implementation"] == series.implementation]
        if series.implementation == reference or own.empty:
            continue
        shared = dict.fromkeys((*CASE_COLUMNS, *view.by))
        keys = [name for name in shared if name in own and name in series.cells]
        speeds = own[[*keys, "reference_time_s", "speed", "speed_low", "speed_high"]]
        found.append(replace(series, cells=series.cells.merge(speeds, on=keys, how="left")))
    return tuple(found)
