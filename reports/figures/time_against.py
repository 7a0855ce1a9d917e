"""Time per call against one size, log-log, with the fitted law: how time grows with n or d."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.figures import canvas
from reports.figures.chart import SizeChart
from reports.figures.fitted_times import (
    BAND,
    band_factor,
    fitted_times,
    in_last_regime,
    regimes_of,
    sizes_between,
)
from reports.figures.panels import Panel
from reports.figures.view import Series, View
from reports.judge.result import Fit, Verdict
from reports.text import wording

_COLUMNS = ("num_heads", "head_dim", "rounds", "time_s", "time_low_s", "time_high_s")


class TimeAgainst(SizeChart):
    """Time against one size, in panels of the other."""

    y = "time_s"
    y_label = "time per call (seconds)"
    has = "was measured"
    spoken = "Log-log plot of time per call against {0.name}"

    def __init__(self, stem: str, *, along: str, fixed: str) -> None:
        self.stem, self.along, self.fixed = stem, along, fixed

    def _points(self, view: View, panel: Panel, series: Series, rows: pd.DataFrame) -> pd.DataFrame:
        """The cells, with the fitted time where a fit has terms.

        `time_low_s` and `time_high_s` are the fastest and slowest round; `fitted_s` the fitted law
        there and `fitted_low_s`, `fitted_high_s` two rms residuals about it; `regime` the regimes
        of the fit that the size lies in, and `settled` whether the last one has begun.
        """
        fitted, factor = fitted_times(series.fit, rows), band_factor(series.fit)
        part = rows[[self.along, *(name for name in _COLUMNS if name in rows)]].assign(
            fitted_s=np.nan if fitted is None else fitted
        )
        return part.assign(
            fitted_low_s=part["fitted_s"] / factor,
            fitted_high_s=part["fitted_s"] * factor,
            regime=regimes_of(series.fit, rows),
            settled=in_last_regime(series.fit, rows),
        )

    def title(self, view: View) -> str:
        """The finding: the exponent of each implementation that has one, and who is undecided."""
        size = self._along_size(view)
        decided: dict[str, list[str]] = {}
        undecided = []
        for series in view.series:
            name = wording.shortened(series.label)
            found = series.fit.exponents.get(size.letter) if series.fit else None
            if series.fit is None or found is None or found.estimate is None:
                continue
            if series.fit.verdict is Verdict.INCONCLUSIVE:
                undecided.append(name)
            else:
                law = f"{size.letter}^{wording.exponent(found.estimate)}"
                decided.setdefault(law, []).append(name)
        if not decided and not undecided:
            return f"Time per call against {size.name}: no exponent could be fitted"
        laws = [f"{law} ({', '.join(names)})" for law, names in sorted(decided.items())]
        text = f"Time grows as {wording.listed(laws)}" if decided else ""
        if undecided:
            text += (
                "; undecided: " if text else f"Growth of time with {size.name} is undecided for "
            )
            text += wording.listed(undecided)
        return text

    def _sentences(self, view: View) -> list[str]:
        values = [f"{one.value:g}" for one in self._panels(view) if one.value is not None]
        where = f" at {self._fixed_size(view).column} {wording.listed(values)}" if values else ""
        parts = [
            f"Time per call against {self._along_size(view).name}{where}; both axes logarithmic.",
            *view.stated(),
        ]
        table = self.data(view)
        if (table["rounds"] > 1).any():
            parts.append("Bars run from the fastest to the slowest round or process.")
        if table["fitted_s"].notna().any():
            parts.append("Lines are the fitted law; the band is two rms residuals on each side.")
        if not table["settled"].all():
            parts.append(
                "Hollow points lie before the last regime; the line, thin there, is that regime's "
                "law."
            )
        return parts

    def _fit(self, series: Series) -> Fit | None:
        return series.fit

    def _further_entries(self, table: pd.DataFrame) -> list[canvas.Entry]:
        entries = []
        if not table["settled"].all():
            hollow = Line2D([], [], color="#444444", marker="o", linestyle="", mfc="white")
            entries.append(canvas.Entry(handle=hollow, label="hollow: before the last regime"))
        if table["fitted_s"].notna().any():
            band = Patch(facecolor="#444444", alpha=0.2, linewidth=0)
            entries.append(canvas.Entry(handle=band, label=f"band: fit ± {BAND:g} rms residuals"))
        return entries

    def _draw_series(
        self, axes: Axes, series: Series, rows: pd.DataFrame, points: pd.DataFrame
    ) -> None:
        look = series.look
        x = rows[self.along].to_numpy(dtype=np.float64)
        y = rows["time_s"].to_numpy(dtype=np.float64)
        axes.errorbar(
            x,
            y,
            yerr=canvas.error_bars(rows["time_low_s"], y, rows["time_high_s"]),
            fmt="none",
            ecolor=look.colour,
            elinewidth=1.0,
            capsize=2.5,
            zorder=2.5,
        )
        solid = points["settled"].to_numpy(dtype=np.bool_)
        for chosen, fill in ((solid, look.colour), (~solid, "white")):
            if chosen.any():
                style = look.style | {"linestyle": "", "markerfacecolor": fill}
                axes.plot(x[chosen], y[chosen], **style, zorder=3)
        between = sizes_between(rows, self.along)
        sizes, curve = between[self.along], fitted_times(series.fit, between)
        if curve is None:
            axes.plot(x, y, color=look.colour, linestyle=look.line, linewidth=0.8, alpha=0.6)
            return
        # Below the last regime the law is what that regime would cost there: no fit to the points.
        begun = sizes >= x[solid].min() * 0.999 if solid.any() else sizes < 0
        line = look.style | {"marker": ""}
        for part, width, alpha in ((begun, 1.4, 1.0), (~begun, 0.7, 0.6)):
            axes.plot(sizes.where(part), curve, **line, linewidth=width, alpha=alpha, zorder=2)
        factor = band_factor(series.fit)
        if factor > 1:
            low, high = curve / factor, curve * factor
            axes.fill_between(
                sizes, low, high, color=look.colour, alpha=0.15, linewidth=0, zorder=1
            )

    def _draw_scale(self, axes: Axes, points: pd.DataFrame) -> None:
        """Seconds, over the spread of the rounds."""
        canvas.seconds_axis(
            axes, [*points["time_low_s"], *points["time_high_s"], *points["time_s"]]
        )
