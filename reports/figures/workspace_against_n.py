"""Workspace against sequence length, log-log, beside lines that grow as n and as n^2."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reports.figures.drawing import canvas
from reports.figures.drawing.chart import SizeChart
from reports.figures.drawing.panels import Panel
from reports.figures.drawing.view import Series, View
from reports.judge.result import Fit
from reports.predict.memory import largest_in_memory, memory_bytes
from reports.text import wording

_NEAR = 64  # a machine's memory is drawn where some workspace is no more times smaller
_LINES = ((1, "grows as n", (0, (1, 2))), (2, "grows as n^2", (0, (5, 3))))


_MEMORY: dict[str, Any] = {"color": "#444444", "linewidth": 1.4, "linestyle": "-"}


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
        size of the series: 2 where workspace grows as n^2; empty at the smallest. `memory_bytes` is
        the memory of the machine.
        """
        part = rows.filter(["seq_len", "num_heads", "head_dim", "workspace_bytes"])
        run, rise = (
            (part[name] / part[name].shift()).map(math.log)
            for name in ("seq_len", "workspace_bytes")
        )
        slope = (rise / run).where(run > 0)
        return part.assign(slope=slope, memory_bytes=_memory_of(series))

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
            "The grey lines show what growth as n and as n^2 looks like; only their slope matters.",
        ]
        parts += [f"The memory of {name} is {wording.byte_size(b)}." for name, b in _memory(view)]
        parts += self._longest(view)
        empty, unknown = _without(view)
        if empty:
            parts.append(f"No workspace at all, so not on the axis: {wording.listed(empty)}.")
        if unknown:
            parts.append(f"Workspace was not recorded for {wording.listed(unknown)}.")
        return parts

    def _longest(self, view: View) -> list[str]:
        """The largest n whose call the machine's memory holds, for each series that is known."""
        found = []
        for panel in self._panels(view):
            at = {} if panel.value is None else {"d": panel.value}
            for series, _ in panel.members:
                largest = largest_in_memory(series.cells, series.workspace_fit, series.info, at=at)
                if largest is not None and largest.estimate is not None:
                    where = self._fixed_in_words(view, panel.value)
                    n = wording.rounded(largest.estimate)
                    found.append(f"{series.label} {n:,.0f}{where}")
        if not found:
            return []
        return [
            "The largest n whose call, inputs and output counted, fits into that memory: "
            f"{wording.listed(found)}."
        ]

    def _hidden(self, view: View) -> list[str]:
        empty, unknown = _without(view)
        return [name for name in super()._hidden(view) if name not in (*empty, *unknown)]

    def _fit(self, series: Series) -> Fit | None:
        return series.workspace_fit

    def _further_entries(self, table: pd.DataFrame) -> list[canvas.Entry]:
        lines: list[tuple[str, dict[str, Any]]] = [
            (label, {"color": "#888888", "linestyle": dashes}) for _, label, dashes in _LINES
        ]
        if _near(table):
            lines.append(("the machine's memory", _MEMORY))
        return [canvas.Entry(handle=Line2D([], [], **how), label=label) for label, how in lines]

    def _draw_scale(self, axes: Axes, points: pd.DataFrame) -> None:
        """Bytes, and the lines to compare with."""
        amounts = points["workspace_bytes"].tolist()
        # From the middle of the left edge, so that both lines cross the data rather than frame it.
        first, last = points["seq_len"].min(), points["seq_len"].max()
        start = math.sqrt(min(amounts) * max(amounts)) * first / last
        start = min(max(start, min(amounts)), max(amounts))
        for power, _, dashes in _LINES:
            end = start * (last / first) ** power
            line = canvas.DASHED | {"linestyle": dashes}
            axes.plot([first, last], [start, end], **line, zorder=1)
        for amount in _near(points):
            axes.axhline(amount, **_MEMORY, zorder=1)
        canvas.bytes_axis(axes, [*amounts, *_near(points)])


def _memory_of(series: Series) -> float | None:
    """The bytes that a call could have; None where they are not known."""
    device = series.cells["device"].iloc[0] if "device" in series.cells else "cpu"
    return memory_bytes(series.info, str(device))


def _near(points: pd.DataFrame) -> list[float]:
    """The memories, of one machine or several, of which a workspace takes a good part."""
    known = points.dropna(subset=["memory_bytes"])
    return [
        float(str(memory))
        for memory, rows in known.groupby("memory_bytes")
        if float(str(memory)) <= _NEAR * rows["workspace_bytes"].max()
    ]


def _memory(view: View) -> list[tuple[str, float]]:
    """What each machine of the view is called, and its memory."""
    found = {}
    for series in view.series:
        amount = _memory_of(series)
        if amount is not None:
            found[f"the machine of run {series.run}" if series.run else "the machine"] = amount
    return list(found.items())


def _without(view: View) -> tuple[list[str], list[str]]:
    """The series that need no workspace, and those whose workspace is not known."""
    needs = {one.label: one.cells["workspace_bytes"] for one in view.series}
    empty = [name for name, need in needs.items() if need.notna().any() and not (need > 0).any()]
    return empty, [name for name, need in needs.items() if need.isna().all()]
