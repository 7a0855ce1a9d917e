"""The local exponent of n, between each size and the next, with the claimed exponent as a line.

A power law is level here; overhead bends the left end down, and a change of regime is a bump.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.cells.case_columns import SIZES
from reports.cells.slopes import local_slopes
from reports.figures.drawing import canvas
from reports.figures.drawing.chart import SizeChart
from reports.figures.drawing.panels import Panel
from reports.figures.drawing.view import Series, View
from reports.judge.declared_law import in_swept_sizes
from reports.laws.grammar import LawError, parse_declared
from reports.text import wording

_ROOM = 0.1  # exponents above and below the slopes
_REACH = 0.6  # exponents that bars may add to the axis
_MOST = 4.0  # the axis ends here; wilder slopes are noise, and are in the table
_LEAST = -1.0
_APART = 0.006  # of the axis, from one series to the next
_COLUMNS = {
    "at": "seq_len",
    "size_low": "seq_len_from",
    "size_high": "seq_len_to",
    "slope": "slope",
    "low": "slope_low",
    "high": "slope_high",
}


class LocalSlope(SizeChart):
    """The local exponent of the time over sequence length."""

    stem = "local_slope_against_n"
    y = "slope"
    y_label = "local exponent of {0.letter} (no unit)"
    has = "was measured"
    spoken = "Local log-log slope of time against {0.name}"

    def _points(self, view: View, panel: Panel, series: Series, rows: pd.DataFrame) -> pd.DataFrame:
        """One row for each pair of neighbouring sizes of a series (see `reports.cells.slopes`).

        `seq_len` is their geometric mean, `slope` the change of log(time) over that of
        log(seq_len), `slope_low` and `slope_high` its 95 % interval by the spread between rounds or
        processes, empty where there is one; `claimed` the claimed exponent of n, where the claim
        could be read.
        """
        slopes = local_slopes(rows)[list(_COLUMNS)].rename(columns=_COLUMNS)
        return slopes.assign(claimed=_claimed_exponent(series, self._along_size(view).letter))

    def title(self, view: View) -> str:
        """The slope at the largest sizes of each implementation."""
        last = pd.DataFrame([rows.iloc[-1] for _, rows in self._widest(view)])
        slopes = [
            f"{slope:.2f} ({wording.shortened(name)})"
            for name, slope in zip(last["series"], last["slope"], strict=True)
        ]
        claims = sorted({f"{value:g}" for value in last["claimed"].dropna()})
        claimed = f"; claimed {wording.listed(claims)}" if claims else ""
        letter = self._along_size(view).letter
        return f"Local exponent of {letter} at the largest sizes: {wording.listed(slopes)}{claimed}"

    def _sentences(self, view: View) -> list[str]:
        table = self.data(view)
        parts = [
            f"Change of log(time) over change of log({self._along_size(view).letter}) between "
            "neighbouring sizes, at their geometric mean, side by side where several share it. "
            "Overhead bends the left end down; a change of regime is a bump.",
            *view.stated(),
        ]
        if (table["slope_low"] < table["slope_high"]).any():
            parts.append("Bars are 95 % intervals by the spread between rounds or processes.")
        if table["claimed"].notna().any():
            parts.append("The dashed grey line is the claimed exponent.")
        beyond = int((~table["slope"].between(_LEAST, _MOST)).sum())
        if beyond:
            parts.append(f"{wording.count(beyond, 'slope')} beyond the axis: see the table.")
        return parts

    def _said(self, view: View) -> Iterator[str]:
        for label, one in self._widest(view):
            at, slopes = self._fixed_in_words(view, one["d_model"].iloc[0]), one["slope"]
            yield (
                f"{label}{at}: {slopes.iloc[0]:.2f} at the smallest sizes, "
                f"{slopes.iloc[-1]:.2f} at the largest"
            )

    def _further_entries(self, table: pd.DataFrame) -> list[canvas.Entry]:
        if not table["claimed"].notna().any():
            return []
        line = Line2D([], [], color="#888888", linestyle=canvas.DASHED["linestyle"])
        return [canvas.Entry(handle=line, label="claimed exponent")]

    def _draw_series(
        self, axes: Axes, series: Series, rows: pd.DataFrame, points: pd.DataFrame
    ) -> None:
        axes.errorbar(
            points["seq_len"],
            points["slope"],
            yerr=canvas.error_bars(points["slope_low"], points["slope"], points["slope_high"]),
            **series.look.style,
            linewidth=1.2,
            elinewidth=0.8,
            capsize=2,
            zorder=3,
        )

    def _draw_panel(self, axes: Axes, view: View, panel: Panel, table: pd.DataFrame) -> None:
        """Points of the same sizes stand side by side, so that no bar covers another."""
        middle = (len(panel.members) - 1) / 2
        apart = (table["seq_len"].max() / table["seq_len"].min()) ** _APART
        places = {one.label: apart ** (k - middle) for k, (one, _) in enumerate(panel.members)}
        beside = table["seq_len"] * table["series"].map(places)
        super()._draw_panel(axes, view, panel, table.assign(seq_len=beside))

    def _draw_scale(self, axes: Axes, points: pd.DataFrame) -> None:
        """The claimed exponents, and an axis that shows bars whole unless they squeeze points."""
        for claim in sorted(set(points["claimed"].dropna())):
            axes.axhline(claim, **canvas.DASHED, zorder=1)
        shown = [*points["slope"], *points["claimed"].dropna()]
        bars = [*points["slope_low"].dropna(), *points["slope_high"].dropna(), *shown]
        low = max(_LEAST, min(bars) - _ROOM, min(shown) - _REACH)
        high = min(_MOST, max(bars) + _ROOM, max(shown) + _REACH)
        axes.set_ylim(low, max(high, low + 0.5))
        axes.yaxis.set_major_locator(MaxNLocator(7))

    def _widest(self, view: View) -> list[tuple[str, pd.DataFrame]]:
        """Each series with its slopes at the largest d_model shown."""
        return [
            (str(label), rows[rows["d_model"].eq(rows["d_model"].max()) | rows["d_model"].isna()])
            for label, rows in self.data(view).groupby("series")
        ]


def _claimed_exponent(series: Series, letter: str) -> float | None:
    """The greatest exponent of a size in the leading terms of the claim; None without a claim."""
    text = series.fit.claim if series.fit else _own_claim(series)
    if text is None:
        return None
    try:
        sizes = series.fit.sizes if series.fit else SIZES
        swept, _ = in_swept_sizes(series.cells, parse_declared(text, sizes), sizes)
        law = parse_declared(swept, sizes)
        return max(float(term.power(letter)) for term in law.leading)
    except LawError:
        return None


def _own_claim(series: Series) -> str | None:
    if "claim" not in series.cells:
        return None
    claims = series.cells["claim"].dropna().unique().tolist()
    return str(claims[0]) if len(claims) == 1 else None
