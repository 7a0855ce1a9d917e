"""Speed as a share of the machine's own matmul peak, against sequence length."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.conditions.bounds import ceilings_of
from reports.figures import canvas
from reports.figures.panels import Panel, choose, not_shown
from reports.figures.view import View
from reports.text import wording

STEM = "share_of_peak"
_FULL = 1.05  # top of the axis where a panel comes near the peak


def ceiling(view: View) -> float | None:
    """The machine's matmul peak for the view's device and dtype, FLOP/s; None where unknown."""
    device, dtype = view.conditions.get("device"), view.conditions.get("dtype")
    if device is None or dtype is None:
        return None
    return ceilings_of(view.info, device, dtype).get("matmul_flops_per_s")


def missing(view: View) -> str | None:
    """Why the figure cannot be drawn; None where it can."""
    cells = view.cells
    if "seq_len" not in cells or cells["seq_len"].isna().all():
        return "the records have no seq_len column"
    if not (cells["flops"] > 0).any():
        return "no operation counts were recorded (flops is null throughout)"
    if ceiling(view) is None:
        return "the matmul peak of this machine was not measured for this device and dtype"
    if not _panels(view):
        return "no implementation has a speed at three or more values of seq_len and one d_model"
    return None


def data(view: View) -> pd.DataFrame:
    """The points: useful FLOPs, seconds, FLOP/s, and the share of the matmul peak (1 is all)."""
    peak = ceiling(view)
    parts = []
    for panel in _panels(view):
        for series, rows in panel.members:
            names = [name for name in ("num_heads", "head_dim") if name in rows]
            part = rows[["seq_len", *names, "flops", "time_s"]].copy()
            part.insert(0, "d_model", panel.value)
            part.insert(0, "series", series.label)
            part["flops_per_s"] = part["flops"] / part["time_s"]
            part["peak_flops_per_s"] = peak
            part["share"] = part["flops_per_s"] / part["peak_flops_per_s"]
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def title(view: View) -> str:
    """The best share of each implementation, the fastest first."""
    best = data(view).groupby("series")["share"].max().sort_values(ascending=False)
    words = [
        f"{wording.shortened(str(name))} {wording.percent(share)}" for name, share in best.items()
    ]
    return f"Best share of this machine's matmul peak: {wording.listed(words)}"


def caption(view: View) -> str:
    """What is plotted, the peak it is held against, and the conditions."""
    peak = ceiling(view) or 0.0
    parts = [
        "Useful floating-point operations per second over the speed of a large matrix product "
        f"measured in the same run ({peak / 1e9:,.0f} GFLOP/s).",
        "Recomputed scores are not counted as useful.",
        *view.stated(),
    ]
    hidden = not_shown(view.series, _panels(view))
    if hidden:
        parts.append(f"Too few sizes, or no operation count: {wording.listed(hidden)}.")
    return " ".join(parts)


def alt(view: View) -> str:
    """The figure in words."""
    table = data(view)
    ends = []
    for label, rows in table.groupby("series"):
        best = rows.sort_values("share").iloc[-1]
        ends.append(
            f"{label}: at best {wording.percent(best['share'])}, at n = {best['seq_len']:g}"
        )
    return f"Share of the matmul peak against sequence length. {'; '.join(ends)}."


def draw(view: View) -> Figure:
    """The figure: percent of the matmul peak over sequence length.

    Raises:
        ValueError: there is nothing to draw (`missing` says why).

    """
    reason = missing(view)
    if reason is not None:
        raise ValueError(f"cannot draw the share of the matmul peak: {reason}")
    panels = _panels(view)
    table = data(view)
    entries = [
        canvas.series_entry(one.look, wording.shortened(one.label))
        for one in view.series
        if one.label in set(table["series"])
    ]
    with canvas.styled():
        figure, axes = canvas.framed(
            title=title(view),
            subtitle=view.described(),
            panels=["" if one.value is None else f"d_model {one.value:g}" for one in panels],
            entries=entries,
        )
        for panel, one in zip(panels, axes, strict=True):
            _draw_panel(one, panel, table)
            if one is axes[0]:
                one.set_ylabel("share of matmul peak (percent)")
    return figure


def _draw_panel(axes: Axes, panel: Panel, table: pd.DataFrame) -> None:
    at = table if panel.value is None else table[table["d_model"] == panel.value]
    for series, _ in panel.members:
        rows = at[at["series"] == series.label]
        axes.plot(
            rows["seq_len"],
            rows["share"],
            color=series.look.colour,
            marker=series.look.marker,
            linestyle=series.look.line,
            zorder=3,
        )
    highest = float(at["share"].max())
    if highest > 0.2:
        axes.axhline(1.0, color="#888888", linewidth=1.1, linestyle=(0, (5, 3)), zorder=1)
        axes.set_ylim(0, max(_FULL, highest * 1.05))
    else:  # a panel of slow implementations would be a flat line on the common scale
        axes.set_ylim(0, highest * 1.15)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g} %"))
    canvas.size_axis(axes, at["seq_len"].tolist(), "sequence length, n = seq_len (elements)")


def _panels(view: View) -> tuple[Panel, ...]:
    return choose(view.series, along="seq_len", fixed="d_model", reading="flops")
