"""Workspace against sequence length, log-log, beside lines that grow as n and as n^2."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures import canvas
from reports.figures.panels import Panel, choose, not_shown
from reports.figures.view import View
from reports.text import wording

STEM = "workspace_against_n"
_REFERENCES = ((1, "grows as n", (0, (1, 2))), (2, "grows as n^2", (0, (5, 3))))


def missing(view: View) -> str | None:
    """Why the figure cannot be drawn; None where it can."""
    cells = view.cells
    if "seq_len" not in cells or cells["seq_len"].isna().all():
        return "the records have no seq_len column"
    if cells["workspace_bytes"].isna().all():
        return "no workspace was recorded (workspace_bytes is null throughout)"
    if not (cells["workspace_bytes"] > 0).any():
        return "every implementation needed 0 bytes of workspace, which a logarithm cannot show"
    if not _panels(view):
        return "no implementation has workspace at three or more values of seq_len and one d_model"
    return None


def data(view: View) -> pd.DataFrame:
    """The points: peak live bytes beyond inputs and outputs, and the slope from the size before.

    `slope` is the change of log(bytes) over the change of log(seq_len) since the next smaller
    size of the series: 2 where workspace grows as n^2; empty at the smallest.
    """
    parts = []
    for panel in _panels(view):
        for series, rows in panel.members:
            names = [name for name in ("num_heads", "head_dim") if name in rows]
            part = rows[["seq_len", *names, "workspace_bytes"]].copy()
            part.insert(0, "d_model", panel.value)
            part.insert(0, "series", series.label)
            part["slope"] = _slopes(rows)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def title(view: View) -> str:
    """The most and the least workspace at the largest sequence length that most series share."""
    panel = _panels(view)[0]
    having = Counter(size for _, rows in panel.members for size in rows["seq_len"])
    shared = [size for size, count in having.items() if count > len(panel.members) / 2]
    if len(panel.members) < 2 or not shared:
        series, rows = panel.members[0]
        last = rows.iloc[-1]
        need = wording.byte_size(last["workspace_bytes"])
        return f"{wording.shortened(series.label)} needs {need} at n = {last['seq_len']:g}"
    size = max(shared)
    needs = sorted(
        (
            (float(rows.loc[rows["seq_len"] == size, "workspace_bytes"].iloc[0]), one.label)
            for one, rows in panel.members
            if size in set(rows["seq_len"])
        ),
        reverse=True,
    )
    words = [f"{wording.shortened(name)} {wording.byte_size(amount)}" for amount, name in needs]
    at = "" if panel.value is None else f", d_model {panel.value:g}"
    return f"Workspace at n = {size:g}{at}: {wording.listed(words)}"


def caption(view: View) -> str:
    """What is plotted, the conditions, and which series the axis cannot show."""
    panels = _panels(view)
    parts = [
        "Peak live bytes during a call beyond its inputs and outputs; both axes logarithmic.",
        *view.stated(),
        "The grey lines show what growth as n and as n^2 looks like; only their slope matters.",
    ]
    empty = [
        one.label
        for one in view.series
        if one.cells["workspace_bytes"].notna().any()
        and not (one.cells["workspace_bytes"] > 0).any()
    ]
    unknown = [one.label for one in view.series if one.cells["workspace_bytes"].isna().all()]
    hidden = [name for name in not_shown(view.series, panels) if name not in (*empty, *unknown)]
    if empty:
        parts.append(f"No workspace at all, so not on the axis: {wording.listed(empty)}.")
    if unknown:
        parts.append(f"Workspace was not recorded for {wording.listed(unknown)}.")
    if hidden:
        parts.append(f"Too few sizes to be shown: {wording.listed(hidden)}.")
    return " ".join(parts)


def alt(view: View) -> str:
    """The figure in words."""
    ends: dict[str, str] = {}
    for panel in _panels(view):
        at = "" if panel.value is None else f" at d = {panel.value:g}"
        for series, rows in panel.members:
            words = canvas.ends(rows, "n", "seq_len", "workspace_bytes", wording.byte_size)
            ends.setdefault(series.label, at + words)
    found = "; ".join(f"{label}{words}" for label, words in ends.items())
    return f"Log-log plot of workspace in bytes against sequence length. {found}."


def draw(view: View) -> Figure:
    """The figure: bytes over sequence length, one panel for each d_model shown.

    Raises:
        ValueError: there is nothing to draw (`missing` says why).

    """
    reason = missing(view)
    if reason is not None:
        raise ValueError(f"cannot draw workspace against sequence length: {reason}")
    panels = _panels(view)
    shown = {one.label for panel in panels for one, _ in panel.members}
    entries = [
        canvas.series_entry(one.look, canvas.labelled(one.label, "n", one.workspace_fit))
        for one in view.series
        if one.label in shown
    ]
    entries += [
        canvas.Entry(handle=Line2D([], [], color="#888888", linestyle=dashes), label=label)
        for _, label, dashes in _REFERENCES
    ]
    with canvas.styled():
        figure, axes = canvas.framed(
            title=title(view),
            subtitle=view.described(),
            panels=["" if one.value is None else f"d_model {one.value:g}" for one in panels],
            entries=entries,
        )
        for panel, one in zip(panels, axes, strict=True):
            _draw_panel(one, panel)
            if one is axes[0]:
                one.set_ylabel("workspace (bytes)")
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> None:
    sizes: list[float] = []
    amounts: list[float] = []
    for series, rows in panel.members:
        sizes += rows["seq_len"].tolist()
        amounts += rows["workspace_bytes"].tolist()
        axes.plot(
            rows["seq_len"],
            rows["workspace_bytes"],
            color=series.look.colour,
            marker=series.look.marker,
            linestyle=series.look.line,
            zorder=3,
        )
    # From the middle of the left edge, so that both lines cross the data rather than frame it.
    first, last = min(sizes), max(sizes)
    start = math.sqrt(min(amounts) * max(amounts)) * first / last
    start = min(max(start, min(amounts)), max(amounts))
    for power, _, dashes in _REFERENCES:
        axes.plot(
            [first, last],
            [start, start * (last / first) ** power],
            color="#888888",
            linestyle=dashes,
            linewidth=1.1,
            zorder=1,
        )
    canvas.bytes_axis(axes, amounts, "")
    canvas.size_axis(axes, sizes, "sequence length, n = seq_len (elements)")


def _panels(view: View) -> tuple[Panel, ...]:
    return choose(view.series, along="seq_len", fixed="d_model", reading="workspace_bytes")


def _slopes(rows: pd.DataFrame) -> list[float]:
    sizes, amounts = rows["seq_len"].tolist(), rows["workspace_bytes"].tolist()
    slopes = [math.nan]
    for index in range(1, len(sizes)):
        run = math.log(sizes[index] / sizes[index - 1])
        rise = math.log(amounts[index] / amounts[index - 1])
        slopes.append(rise / run if run > 0 else math.nan)
    return slopes
