"""Speed as a share of the machine's own matmul peak, against sequence length."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.conditions.bounds import ceilings_of
from reports.figures.drawing import canvas
from reports.figures.drawing.chart import SizeChart
from reports.figures.drawing.panels import Panel
from reports.figures.drawing.view import Series, View
from reports.text import wording

_FULL = 1.05  # top of the axis where a panel comes near the peak
_BELOW = 0.03  # of the axis, below 0: room for half a marker


class PeakShare(SizeChart):
    """Percent of the matmul peak over sequence length."""

    stem = "share_of_peak"
    reading = "flops"
    y = "share"
    y_label = "share of matmul peak (percent)"
    has = "has a speed"
    too_few = "Too few sizes, or no operation count"
    spoken = "Share of the matmul peak against sequence length"

    def ceiling(self, series: Series) -> float | None:
        """The matmul peak of the machine of a series for its device and dtype, FLOP/s, if known."""
        first = series.cells.iloc[0]
        if not {"device", "dtype"} <= set(first.index):
            return None
        found = ceilings_of(series.info, str(first["device"]), str(first["dtype"]))
        return found.get("matmul_flops_per_s")

    def _absent(self, view: View) -> str | None:
        if not (view.cells["flops"] > 0).any():
            return "no operation counts were recorded (flops is null throughout)"
        if not any(self.ceiling(series) for series in view.series):
            return "the matmul peak of this machine was not measured for this device and dtype"
        return None

    def _points(self, view: View, panel: Panel, series: Series, rows: pd.DataFrame) -> pd.DataFrame:
        """Useful FLOPs, seconds, FLOP/s, and the share of the matmul peak (1 is all)."""
        part = rows.filter(["seq_len", "num_heads", "head_dim", "flops", "time_s"])
        speed, peak = part["flops"] / part["time_s"], self.ceiling(series) or math.nan
        return part.assign(flops_per_s=speed, peak_flops_per_s=peak, share=speed / peak)

    def title(self, view: View) -> str:
        """The best share of each implementation, the fastest first."""
        best = (
            self.data(view).groupby("series")["share"].max().dropna().sort_values(ascending=False)
        )
        words = [
            f"{wording.shortened(str(name))} {wording.percent(share)}"
            for name, share in best.items()
        ]
        return f"Best share of this machine's matmul peak: {wording.listed(words)}"

    def _sentences(self, view: View) -> list[str]:
        peaks = sorted({peak for series in view.series if (peak := self.ceiling(series))})
        return [
            "Useful floating-point operations per second over the speed of a large matrix product "
            f"measured in the same run ({wording.listed([f'{one / 1e9:,.0f}' for one in peaks])} "
            "GFLOP/s).",
            "Recomputed scores are not counted as useful.",
            *view.stated(),
        ]

    def _said(self, view: View) -> Iterator[str]:
        for label, rows in self.data(view).dropna(subset=["share"]).groupby("series"):
            best = rows.sort_values("share").iloc[-1]
            share = wording.percent(best["share"])
            yield f"{label}: at best {share}, at n = {best['seq_len']:g}"

    def _draw_scale(self, axes: Axes, points: pd.DataFrame) -> None:
        """Percent, and the whole peak as a line where a series comes near it."""
        highest = float(points["share"].max())
        top = highest * 1.15  # a panel of slow implementations would be flat on the common scale
        if highest > 0.2:
            axes.axhline(1.0, **canvas.DASHED, zorder=1)
            top = max(_FULL, highest * 1.05)
        axes.set_ylim(-_BELOW * top, top)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g} %"))
