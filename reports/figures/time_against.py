"""Time per call against one size, log-log, with the fitted law: how time grows with n or d."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from reports.figures.drawing import canvas
from reports.figures.drawing.chart import SizeChart
from reports.figures.drawing.panels import Panel
from reports.figures.drawing.view import Series, View
from reports.judge.result import Fit, Verdict
from reports.text import wording

BAND = 2.0  # rms residuals on each side of the fitted curve
_CLOSE = 0.15  # beyond the misfit of one regime, below the jump to the next
_MISSES = 0.15  # root mean square distance of points from a law that is not drawn beside them
_JOINING: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.6, "zorder": 1.5}
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
        """The cells, with the fitted time where a fit has terms and does not miss these cells.

        `time_low_s` and `time_high_s` are the fastest and slowest round; `fitted_s` the fitted law
        there and `fitted_low_s`, `fitted_high_s` two rms residuals about it; `regime` the regimes
        of the fit that the size lies in, and `settled` whether the last one describes the cell.
        """
        fitted, factor = _fitted_times(series.fit, rows), _band_factor(series.fit)
        settled = _in_last_regime(series.fit, rows)
        if fitted is not None and _misses(rows["time_s"][settled] / fitted[settled]):
            fitted = None
        part = rows.filter([self.along, *_COLUMNS])
        part = part.assign(fitted_s=np.nan if fitted is None else fitted)
        return part.assign(
            fitted_low_s=part["fitted_s"] / factor,
            fitted_high_s=part["fitted_s"] * factor,
            regime=_regimes_of(series.fit, rows),
            settled=settled,
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
        shown = dict.fromkeys(one.value for one in self._panels(view) if one.value is not None)
        values = [f"{value:g}" for value in shown]
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
        if missed := self._missed(view, table):
            parts.append(
                f"No law is drawn for {wording.listed(missed)}: the fitted one misses these points "
                f"by more than {_MISSES:.0%}, so thin lines join them."
            )
        if not table["settled"].all():
            parts.append(
                "Hollow points are those that the law leaves out: from before the cost changed its "
                f"law, or, where both laws are possible, {_CLOSE:.0%} off or more."
            )
        return parts

    def _missed(self, view: View, table: pd.DataFrame) -> list[str]:
        """The series whose law is drawn in no panel, though they have one."""
        drawn = table.groupby("series")["fitted_s"].any()
        return [
            one.label
            for one in view.series
            if one.fit is not None and one.fit.terms and not drawn.get(one.label, True)
        ]

    def _axis_label(self, view: View) -> str:
        is_only = view.is_gpu_time and view.cells["device"].str.startswith("cuda").all()
        return f"GPU {self.y_label}" if is_only else self.y_label

    def _fit(self, series: Series) -> Fit | None:
        return series.fit

    def _further_entries(self, table: pd.DataFrame) -> list[canvas.Entry]:
        entries = []
        if not table["settled"].all():
            hollow = Line2D([], [], color="#444444", marker="o", linestyle="", mfc="white")
            entries.append(canvas.Entry(handle=hollow, label="hollow: not in the fitted law"))
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
        told = rows[(points["fitted_s"].notna() & points["settled"]).to_numpy()]
        # A law says what the last regime costs: below that, thin lines join the points.
        joined = x <= told[self.along].min() if len(told) else x > 0
        axes.plot(x[joined], y[joined], color=look.colour, linestyle=look.line, **_JOINING)
        if told.empty:
            return
        between, factor = _sizes_between(told, self.along), _band_factor(series.fit)
        sizes, curve = between[self.along], _fitted_times(series.fit, between)
        if curve is None:
            return
        axes.plot(sizes, curve, **look.style | {"marker": ""}, linewidth=1.4, zorder=2)
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


def _misses(ratios: pd.Series[float]) -> bool:
    """Whether points lie so far from a law, by their ratios to it, that it is none of theirs."""
    return ratios.empty or bool(np.sqrt((np.log(ratios) ** 2).mean()) > np.log1p(_MISSES))


def _fitted_times(fit: Fit | None, rows: pd.DataFrame) -> NDArray[np.float64] | None:
    """The fitted time at these rows; None without a fit, or where a size of it is missing."""
    if fit is None or not fit.terms or any(name not in rows for name in fit.sizes.values()):
        return None
    sizes = {letter: rows[name].to_numpy(dtype=float) for letter, name in fit.sizes.items()}
    fitted = np.asarray(fit.predict(sizes), dtype=np.float64)
    return fitted if np.isfinite(fitted).all() and (fitted > 0).all() else None


def _regimes_of(fit: Fit | None, rows: pd.DataFrame) -> list[str]:
    """The names of the fit's regimes that each row's first size lies in; they may overlap in it."""
    column = _first_size(fit, rows)
    if fit is None or column is None:
        return [""] * len(rows)
    return [
        " or ".join(one.name for one in fit.regimes if one.start <= size <= one.end)
        for size in rows[column]
    ]


def _in_last_regime(fit: Fit | None, rows: pd.DataFrame) -> list[bool]:
    """Whether each row has reached the last regime, whose terms the fitted law has.

    A regime told by something else than size (page faults, say) overlaps its neighbour in size;
    there a point counts as settled if the fitted law describes it.
    """
    column = _first_size(fit, rows)
    if fit is None or column is None or not fit.regimes:
        return [True] * len(rows)
    fitted = _fitted_times(fit, rows)
    last, earlier = fit.regimes[-1], fit.regimes[:-1]
    found = []
    for index, (size, time) in enumerate(zip(rows[column], rows["time_s"], strict=True)):
        shared = any(one.start <= size <= one.end for one in earlier)
        close = fitted is None or abs(np.log(time / fitted[index])) < np.log1p(_CLOSE)
        found.append(bool(size >= last.start and (close or not shared)))
    return found


def _first_size(fit: Fit | None, rows: pd.DataFrame) -> str | None:
    """The column of the first size variable, which regimes are told in."""
    column = next(iter(fit.sizes.values()), None) if fit else None
    return column if column in rows else None


def _sizes_between(rows: pd.DataFrame, column: str, points: int = 60) -> pd.DataFrame:
    """The rows' sizes, filled in between along `column`; exact for sizes that are powers of it."""
    sizes = rows.select_dtypes("number").groupby(column, as_index=False).first()
    logs = np.log(sizes[column].to_numpy(dtype=float))
    grid = np.linspace(logs[0], logs[-1], points)
    filled = {}
    for name in sizes.columns:
        values = sizes[name].to_numpy(dtype=float)
        if (values > 0).all():
            filled[name] = np.exp(np.interp(grid, logs, np.log(values)))
    return pd.DataFrame(filled)


def _band_factor(fit: Fit | None) -> float:
    """What a fitted time is multiplied and divided by at the edges of the band."""
    residual = fit.rms_residual if fit else None
    return 1.0 if residual is None else float(np.exp(BAND * residual))
