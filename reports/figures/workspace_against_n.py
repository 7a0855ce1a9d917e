"""Workspace against sequence length, log-log, beside lines that grow as n and as n^2."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reports.figures.drawing import canvas
from reports.figures.drawing.chart import SizeChart
from reports.figures.drawing.panels import Panel
from reports.figures.drawing.view import Series, View
from reports.judge.result import Fit
from reports.text import wording

_REFERENCES = ((1, "grows as n", (0, (1, 2))), (2, "grows as n^2", (0, (5, 3))))


class WorkspaceAgainstN(SizeChart):
    """Bytes over sequence length, one panel for each d_model shown."""

    stem = "workspace_against_n"
    reading = y = "workspace_bytes"
    y_label = "workspace (bytes)"
    worded = staticmethod(wording.byte_size)
    has = "has workspace"
    spoken = "Log-log plot of workspace in bytes against sequence length"

    def _absent(self, view: View) -> str | None:
        if view.cells["workspace_bytes"].isna().all():
            return "no workspace was recorded (workspace_bytes is null throughout)"
        if not (view.cells["workspace_bytes"] > 0).any():
            return "every implementation needed 0 bytes of workspace, which a logarithm cannot show"
        return None

    def _points(self, view: View, panel: Panel, series: Series, rows: pd.DataFrame) -> pd.DataFrame:
        """Peak live bytes beyond inputs and outputs, and the slope from the size before.

        `slope` is the change of log(bytes) over the change of log(seq_len) since the next smaller
        size of the series: 2 where workspace grows as n^2; empty at the smallest.
        """
        part = rows.filter(["seq_len", "num_heads", "head_dim", "workspace_bytes"])
        run, rise = (
            (part[name] / part[name].shift()).map(math.log)
            for name in ("seq_len", "workspace_bytes")
        )
        return part.assign(slope=(rise / run).where(run > 0))

    def title(self, view: View) -> str:
        """The most and the least workspace at the largest length that most series share."""
        panel = max(self._panels(view), key=lambda one: (len(one.members), one.value or 0.0))
        having = Counter(size for _, rows in panel.members for size in rows["seq_len"])
        shared = [size for size, count in having.items() if count > len(panel.members) / 2]
        size = max(shared or having)
        needs = sorted(
            (
                (float(rows.loc[rows["seq_len"] == size, "workspace_bytes"].iloc[0]), one.label)
                for one, rows in panel.members
                if size in set(rows["seq_len"])
            ),
            reverse=True,
        )
        words = [f"{wording.shortened(name)} {wording.byte_size(amount)}" for amount, name in needs]
        at = "" if panel.value is None else f", {self._heading(view, panel)}"
        return f"Workspace at n = {size:g}{at}: {wording.listed(words)}"

    def _sentences(self, view: View) -> list[str]:
        parts = [
            "Peak live bytes during a call beyond its inputs and outputs; both axes logarithmic.",
            *view.stated(),
            "The grey lines show what growth as n and as n^2 looks like; only their slope matters.",
        ]
        empty, unknown = _without(view)
        if empty:
            parts.append(f"No workspace at all, so not on the axis: {wording.listed(empty)}.")
        if unknown:
            parts.append(f"Workspace was not recorded for {wording.listed(unknown)}.")
        return parts

    def _hidden(self, view: View) -> list[str]:
        empty, unknown = _without(view)
        return [name for name in super()._hidden(view) if name not in (*empty, *unknown)]

    def _fit(self, series: Series) -> Fit | None:
        return series.workspace_fit

    def _further_entries(self, table: pd.DataFrame) -> list[canvas.Entry]:
        return [
            canvas.Entry(handle=Line2D([], [], color="#888888", linestyle=dashes), label=label)
            for _, label, dashes in _REFERENCES
        ]

    def _draw_scale(self, axes: Axes, points: pd.DataFrame) -> None:
        """Bytes, and the lines to compare with."""
        amounts = points["workspace_bytes"].tolist()
        # From the middle of the left edge, so that both lines cross the data rather than frame it.
        first, last = points["seq_len"].min(), points["seq_len"].max()
        start = math.sqrt(min(amounts) * max(amounts)) * first / last
        start = min(max(start, min(amounts)), max(amounts))
        for power, _, dashes in _REFERENCES:
            end = start * (last / first) ** power
            line = canvas.DASHED | {"linestyle": dashes}
            axes.plot([first, last], [start, end], **line, zorder=1)
        canvas.bytes_axis(axes, amounts)


def _without(view: View) -> tuple[list[str], list[str]]:
    """The series that need no workspace, and those whose workspace is not known."""
    needs = {one.label: one.cells["workspace_bytes"] for one in view.series}
    empty = [name for name, need in needs.items() if need.notna().any() and not (need > 0).any()]
    return empty, [name for name, need in needs.items() if need.isna().all()]
