"""Time against one size: what the figures over n and over d have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from reports.figures import canvas
from reports.figures.panels import Panel, choose, not_shown
from reports.figures.size_names import OUR_SIZES
from reports.figures.view import Series, View
from reports.judge.result import Fit, Verdict
from reports.text import wording

_BAND = 2.0  # rms residuals on each side of the fitted curve
_CLOSE = np.log(1.15)  # beyond the misfit of one regime, below the jump to the next
_COLUMNS = ("num_heads", "head_dim", "rounds", "time_s", "time_low_s", "time_high_s")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The size along the x axis and the one held fixed in a panel, as letters and columns."""

    letter: str
    column: str
    name: str
    label: str
    fixed_letter: str
    fixed_column: str
    fixed_name: str

    @classmethod
    def of(cls, view: View, *, along: str, fixed: str) -> Axis:
        """The axis over a column of a view, as the view calls its sizes."""
        size, other = (view.sizes.get(column, OUR_SIZES[column]) for column in (along, fixed))
        return cls(
            letter=size.letter,
            column=along,
            name=size.name,
            label=size.label,
            fixed_letter=other.letter,
            fixed_column=fixed,
            fixed_name=other.column,
        )


def panels_of(view: View, axis: Axis) -> tuple[Panel, ...]:
    """The panels of the figure; none where no series has three sizes along the axis."""
    return choose(view.series, along=axis.column, fixed=axis.fixed_column)


def missing(view: View, axis: Axis) -> str | None:
    """Why the figure cannot be drawn, in one sentence; None where it can."""
    if axis.column not in view.sizes:
        return f"the table has no size besides {axis.fixed_name}"
    if axis.column not in view.cells or view.cells[axis.column].isna().all():
        return f"the records have no {axis.column} column"
    if not panels_of(view, axis):
        fixed = f" at one {axis.fixed_name}" if axis.fixed_column in view.cells else ""
        column = view.sizes[axis.column].column
        return f"no implementation was measured at three or more values of {column}{fixed}"
    return None


def data(view: View, axis: Axis) -> pd.DataFrame:
    """The points of the figure, one row a point, with the fitted time where a fit has terms.

    `time_low_s` and `time_high_s` are the fastest and slowest round; `fitted_s` the fitted law
    there and `fitted_low_s`, `fitted_high_s` two rms residuals about it; `regime` the regimes
    of the fit that the size lies in, and `settled` whether the last one has begun.
    """
    parts = []
    for panel in panels_of(view, axis):
        for series, rows in panel.members:
            part = rows[[name for name in _COLUMNS if name in rows]].copy()
            part.insert(0, axis.column, rows[axis.column])
            part.insert(0, axis.fixed_column, panel.value)
            part.insert(0, "series", series.label)
            fitted = predicted(series.fit, rows)
            part["fitted_s"] = np.nan if fitted is None else fitted
            factor = _band_factor(series.fit)
            part["fitted_low_s"] = part["fitted_s"] / factor
            part["fitted_high_s"] = part["fitted_s"] * factor
            part["regime"] = regimes_of(series.fit, rows)
            part["settled"] = settled(series.fit, rows)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def title(view: View, axis: Axis) -> str:
    """The finding: the exponent of each implementation that has one, and who is undecided."""
    decided: dict[str, list[str]] = {}
    undecided = []
    for series in view.series:
        name = wording.shortened(series.label)
        found = series.fit.exponents.get(axis.letter) if series.fit else None
        if series.fit is None or found is None or found.estimate is None:
            continue
        if series.fit.verdict is Verdict.INCONCLUSIVE:
            undecided.append(name)
        else:
            decided.setdefault(f"{axis.letter}^{wording.exponent(found.estimate)}", []).append(name)
    if not decided and not undecided:
        return f"Time per call against {axis.name}: no exponent could be fitted"
    laws = [f"{law} ({', '.join(names)})" for law, names in sorted(decided.items())]
    text = f"Time grows as {wording.listed(laws)}" if decided else ""
    if undecided:
        text += "; undecided: " if text else f"Growth of time with {axis.name} is undecided for "
        text += wording.listed(undecided)
    return text


def caption(view: View, axis: Axis) -> str:
    """What is plotted and under which conditions, in a few sentences."""
    panels = panels_of(view, axis)
    kept = wording.listed([f"{panel.value:g}" for panel in panels if panel.value is not None])
    where = f" at {axis.fixed_name} {kept}" if kept else ""
    parts = [
        f"Time per call against {axis.name}{where}; both axes logarithmic.",
        *view.stated(),
    ]
    table = data(view, axis)
    if (table["rounds"] > 1).any():
        parts.append("Bars run from the fastest to the slowest round or process.")
    if table["fitted_s"].notna().any():
        parts.append("Lines are the fitted law; the band is two rms residuals on each side.")
    if not table["settled"].all():
        parts.append(
            "Hollow points lie before the last regime; the line, thin there, is that regime's law."
        )
    hidden = not_shown(view.series, panels)
    if hidden:
        parts.append(f"Too few sizes to be shown: {wording.listed(hidden)}.")
    return " ".join(parts)


def alt(view: View, axis: Axis) -> str:
    """The figure in words, for those who do not see it: its ends, series by series."""
    ends: dict[str, str] = {}
    for panel in panels_of(view, axis):
        at = "" if panel.value is None else f" at {axis.fixed_letter} = {panel.value:g}"
        for series, rows in panel.members:
            ends.setdefault(series.label, at + canvas.ends(rows, axis.letter, axis.column))
    found = "; ".join(f"{label}{words}" for label, words in ends.items())
    return f"Log-log plot of time per call against {axis.name}. {found}."


def draw(view: View, axis: Axis) -> Figure:
    """Points with the spread of rounds, fitted curves with their bands, hollow before the regime.

    Raises:
        ValueError: there is nothing to draw (`missing` says why).

    """
    reason = missing(view, axis)
    if reason is not None:
        raise ValueError(f"cannot draw time against {axis.name}: {reason}")
    panels = panels_of(view, axis)
    table = data(view, axis)
    with canvas.styled():
        figure, axes = canvas.framed(
            title=title(view, axis),
            subtitle=view.described(),
            panels=[
                "" if panel.value is None else f"{axis.fixed_name} {panel.value:g}"
                for panel in panels
            ],
            entries=_entries(view, axis, panels, table),
        )
        for panel, one in zip(panels, axes, strict=True):
            for series, rows in panel.members:
                _draw_series(one, axis, series, rows)
            rows = _rows_of(table, axis, panel)
            times = [*rows["time_low_s"], *rows["time_high_s"], *rows["time_s"]]
            canvas.seconds_axis(one, times, "time per call (seconds)" if one is axes[0] else "")
            canvas.size_axis(one, rows[axis.column].tolist(), axis.label)
    return figure


def predicted(fit: Fit | None, rows: pd.DataFrame) -> NDArray[np.float64] | None:
    """The fitted time at these rows; None without a fit, or where a size of it is missing."""
    if fit is None or not fit.terms or any(name not in rows for name in fit.sizes.values()):
        return None
    sizes = {letter: rows[name].to_numpy(dtype=float) for letter, name in fit.sizes.items()}
    fitted = np.asarray(fit.predict(sizes), dtype=np.float64)
    return fitted if np.isfinite(fitted).all() and (fitted > 0).all() else None


def regimes_of(fit: Fit | None, rows: pd.DataFrame) -> list[str]:
    """The names of the fit's regimes that each row's first size lies in; they may overlap in it."""
    column = _first_size(fit, rows)
    if fit is None or column is None:
        return [""] * len(rows)
    return [
        " or ".join(one.name for one in fit.regimes if one.start <= size <= one.end)
        for size in rows[column]
    ]


def settled(fit: Fit | None, rows: pd.DataFrame) -> list[bool]:
    """Whether each row has reached the last regime, whose terms the fitted law has.

    A regime told by something else than size (page faults, say) overlaps its neighbour in size;
    there a point counts as settled if the fitted law describes it.
    """
    column = _first_size(fit, rows)
    if fit is None or column is None or not fit.regimes:
        return [True] * len(rows)
    fitted = predicted(fit, rows)
    last, earlier = fit.regimes[-1], fit.regimes[:-1]
    found = []
    for index, (size, time) in enumerate(zip(rows[column], rows["time_s"], strict=True)):
        shared = any(one.start <= size <= one.end for one in earlier)
        close = fitted is None or abs(np.log(time / fitted[index])) < _CLOSE
        found.append(bool(size >= last.start and (close or not shared)))
    return found


def _first_size(fit: Fit | None, rows: pd.DataFrame) -> str | None:
    """The column of the first size variable, which regimes are told in."""
    column = next(iter(fit.sizes.values()), None) if fit else None
    return column if column in rows else None


def _entries(
    view: View, axis: Axis, panels: Sequence[Panel], table: pd.DataFrame
) -> list[canvas.Entry]:
    shown = set(table["series"])
    entries = []
    for series in view.series:
        if series.label in shown:
            label = canvas.labelled(series.label, axis.letter, series.fit)
            entries.append(canvas.series_entry(series.look, label))
    if not table["settled"].all():
        hollow = Line2D([], [], color="#444444", marker="o", linestyle="", mfc="white")
        entries.append(canvas.Entry(handle=hollow, label="hollow: before the last regime"))
    if table["fitted_s"].notna().any():
        band = Patch(facecolor="#444444", alpha=0.2, linewidth=0)
        entries.append(canvas.Entry(handle=band, label=f"band: fit ± {_BAND:g} rms residuals"))
    return entries


def _draw_series(axes: Axes, axis: Axis, series: Series, rows: pd.DataFrame) -> None:
    look = series.look
    x = rows[axis.column].to_numpy(dtype=np.float64)
    y = rows["time_s"].to_numpy(dtype=np.float64)
    axes.errorbar(
        x,
        y,
        yerr=canvas.spread_of(rows["time_low_s"], y, rows["time_high_s"]),
        fmt="none",
        ecolor=look.colour,
        elinewidth=1.0,
        capsize=2.5,
        zorder=2.5,
    )
    solid = np.asarray(settled(series.fit, rows))
    for chosen, fill in ((solid, look.colour), (~solid, "white")):
        if chosen.any():
            axes.plot(
                x[chosen],
                y[chosen],
                color=look.colour,
                marker=look.marker,
                markerfacecolor=fill,
                linestyle="",
                zorder=3,
            )
    dense = _dense(rows, axis.column)
    curve = predicted(series.fit, dense)
    if curve is None:
        axes.plot(x, y, color=look.colour, linestyle=look.line, linewidth=0.8, alpha=0.6)
        return
    # Below the last regime the law is what that regime would cost there: not a fit to the points.
    begun = dense[axis.column] >= x[solid].min() * 0.999 if solid.any() else dense[axis.column] < 0
    for part, width, alpha in ((begun, 1.4, 1.0), (~begun, 0.7, 0.6)):
        axes.plot(
            dense[axis.column].where(part),
            curve,
            color=look.colour,
            linestyle=look.line,
            linewidth=width,
            alpha=alpha,
            zorder=2,
        )
    factor = _band_factor(series.fit)
    if factor > 1:
        axes.fill_between(
            dense[axis.column],
            curve / factor,
            curve * factor,
            color=look.colour,
            alpha=0.15,
            linewidth=0,
            zorder=1,
        )


def _dense(rows: pd.DataFrame, column: str, points: int = 60) -> pd.DataFrame:
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
    residual = fit.rms_residual if fit else None
    return 1.0 if residual is None else float(np.exp(_BAND * residual))


def _rows_of(table: pd.DataFrame, axis: Axis, panel: Panel) -> pd.DataFrame:
    if panel.value is None:
        return table
    return table[table[axis.fixed_column] == panel.value]
