"""The error of every check against what it is allowed, log-log: whatever is above the line fails.

Positions are exponents of ten on plain axes, so that an error of exactly zero, which a logarithm
cannot show, has its own labelled place below all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator
from numpy.typing import NDArray

from reports.conditions.checks import (
    DTYPES,
    failed,
    nearest,
    numberless,
    ordered,
    share_words,
    worst_in_words,
)
from reports.figures.drawing import canvas
from reports.figures.drawing.chart import Chart
from reports.figures.drawing.looks import Look, looks_for
from reports.figures.drawing.view import View
from reports.text import wording

_MOST_PANELS = 4  # as many dtypes as there are today; narrower panels cannot be labelled
_FAILS = "#D55E00"  # shading, never the only sign: the line and the legend say it as well
_GREY = "#888888"
_HEADROOM = 0.14  # of a panel's height, kept free for the word "fails"
_TICK_INCHES = 0.47  # what the label of a tick takes, with a space
_LEAST_DECADES = 1.5  # with this, a power of ten has room beside "none" in the narrowest panel


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """The checks of one run (`reports.conditions.checks`), and each implementation's look."""

    checks: pd.DataFrame = field(repr=False)
    looks: Mapping[str, Look] = field(repr=False)


def looks_of(implementations: Iterable[str], seen: Sequence[View]) -> dict[str, Look]:
    """The look that an implementation has in the other figures; one that is left for the rest.

    An implementation that failed is never timed, so it is in none of the others.
    """
    found: dict[str, Look] = {}
    for series in (one for view in seen for one in view.series):
        found.setdefault(series.implementation, series.look)
    return looks_for(implementations, taken=found)


class ErrorAgainstAllowed(Chart[Checked, str]):
    """Error over allowed error, one panel for each dtype."""

    stem = "error_against_allowed"
    y_label = "error (largest absolute difference)"

    def missing(self, shown: Checked) -> str | None:
        """Why the figure cannot be drawn; None where it can."""
        if shown.checks.empty:
            return "the run counted its checks and kept no errors"
        if nearest(shown.checks) is None:
            return "no check recorded both an error and what it is allowed"
        return None

    def data(self, shown: Checked) -> pd.DataFrame:
        """One row an implementation, dtype, area and check, with its error and allowance.

        `share` is the error over what it is allowed: above 1 the check fails.
        """
        known = shown.checks[
            shown.checks["share"].notna() & shown.checks["dtype"].isin(_dtypes(shown))
        ]
        names = ["run", "implementation", "dtype", "area", "check", "case"]
        numbers = ["worst_error", "worst_allowed", "share"]
        return known[names + numbers].reset_index(drop=True)

    def title(self, shown: Checked) -> str:
        """Who exceeds the allowance, where and by how much; else how near the nearest comes."""
        return worst_in_words(shown.checks)

    def caption(self, shown: Checked) -> str:
        """What is plotted, and what the axes cannot show."""
        table = self.data(shown)
        parts = [
            "The largest absolute error of each implementation, dtype, area and check against what "
            "is allowed there, in the case that came nearest to its allowance or furthest beyond "
            "it; both axes logarithmic.",
            "Above the line a check fails.",
        ]
        if (table["worst_error"] == 0).any():
            parts.append('Errors of exactly zero stand on the line "exact".')
        if (table["worst_allowed"] == 0).any():
            parts.append('Checks that allow no error at all stand at "none".')
        lost = numberless(shown.checks)
        if len(lost):
            uncounted = int(failed(lost).sum())
            verb = "has" if uncounted == 1 else "have"
            parts.append(
                f"{wording.count(uncounted, 'failed check')} {verb} no number to draw, such as an "
                f"output that is not finite: {wording.listed(sorted(set(lost['implementation'])))}."
            )
        drawn = set(table["implementation"])
        absent = [name for name in sorted(set(shown.checks["implementation"])) if name not in drawn]
        if absent:
            parts.append(f"No error was recorded for {wording.listed(absent)}.")
        hidden = [name for name in _known_dtypes(shown) if name not in _dtypes(shown)]
        if hidden:
            parts.append(f"No room for {wording.listed(hidden)}, whose errors come less near.")
        return " ".join(parts)

    def alt(self, shown: Checked) -> str:
        """The figure in words: what every implementation comes nearest to."""
        ends = []
        for name, rows in self.data(shown).groupby("implementation"):
            worst = rows.iloc[int(rows["share"].argmax())]
            at = f" ({worst['dtype']}, {worst['area']})" if worst["share"] > 0 else ""
            ends.append(f"{name} {share_words(float(worst['share']))}{at}")
        dtypes = wording.listed(list(_dtypes(shown)))
        return (
            f"Log-log plot of error against allowed error in {dtypes}. "
            f"The most that each uses of its allowance: {'; '.join(ends)}."
        )

    def _subtitle(self, shown: Checked) -> str:
        return "one marker an implementation, dtype, area and check: its worst case"

    def _panels(self, shown: Checked) -> tuple[str, ...]:
        return _dtypes(shown)

    def _heading(self, shown: Checked, part: str) -> str:
        return wording.shortened(part, most=16)

    def _entries(self, shown: Checked, table: pd.DataFrame) -> list[canvas.Entry]:
        entries = []
        for name in sorted(set(table["implementation"])):
            look = shown.looks[name]
            handle = Line2D([], [], color=look.colour, marker=look.marker, linestyle="")
            entries.append(canvas.Entry(handle=handle, label=wording.shortened(name)))
        line = Line2D([], [], color="#444444", linestyle=(0, (5, 3)), linewidth=1.1)
        entries.append(canvas.Entry(handle=line, label="error = allowed"))
        above = Patch(facecolor=_FAILS, alpha=0.12, linewidth=0)
        entries.append(canvas.Entry(handle=above, label="above it a check fails"))
        return entries

    def _draw_panel(self, axes: Axes, shown: Checked, part: str, table: pd.DataFrame) -> None:
        _draw_panel(axes, table[table["dtype"] == part], shown.looks)


def _known_dtypes(shown: Checked) -> tuple[str, ...]:
    return ordered(shown.checks.loc[shown.checks["share"].notna(), "dtype"], DTYPES)


def _dtypes(shown: Checked) -> tuple[str, ...]:
    """The dtypes that have numbers; of too many, those that come nearest to their allowance."""
    known = _known_dtypes(shown)
    most = shown.checks.groupby("dtype")["share"].max()
    near = sorted(known, key=lambda name: -float(most[name]))[:_MOST_PANELS]
    return tuple(name for name in known if name in near)


def _draw_panel(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    allowed, none = _exponents(rows["worst_allowed"])
    error, exact = _exponents(rows["worst_error"])
    left, right = _limits(allowed)
    low, high = _limits(np.concatenate([error, allowed]))
    high += (high - low) * _HEADROOM / (1 - _HEADROOM)
    floor, zero_error = _floor(axes, low, high, exact=bool(exact.any()))
    wall, zero_allowed = _wall(axes, left, right, none=bool(none.any()))
    axes.fill_between([left, right], [left, right], high, color=_FAILS, alpha=0.12, linewidth=0)
    if none.any():
        axes.fill_between([wall, left], low, high, color=_FAILS, alpha=0.12, linewidth=0)
    axes.plot([left, right], [left, right], color="#444444", linestyle=(0, (5, 3)), linewidth=1.1)
    axes.text(0.97, 0.98, "fails", transform=axes.transAxes, color="#8A3D00", ha="right", va="top")
    x = np.where(none, zero_allowed, allowed)
    y = np.where(exact, zero_error, error)
    above = (rows["share"] > 1).to_numpy(dtype=np.bool_)
    for name in sorted(set(rows["implementation"])):
        own = (rows["implementation"] == name).to_numpy(dtype=np.bool_)
        for chosen, size, alpha in ((own & ~above, 4.0, 0.75), (own & above, 6.5, 1.0)):
            if chosen.any():
                axes.plot(
                    x[chosen],
                    y[chosen],
                    color=looks[name].colour,
                    marker=looks[name].marker,
                    markersize=size,
                    markeredgewidth=0,
                    linestyle="",
                    alpha=alpha,
                    zorder=3 + (size > 5),
                )
    axes.set_xlim(wall, right)
    axes.set_ylim(floor, high)
    axes.set_xlabel("allowed error")


def _floor(axes: Axes, low: float, high: float, *, exact: bool) -> tuple[float, float]:
    """Where the y axis begins, and where an error of zero stands on it."""
    room = 0.12 * (high - low) if exact else 0.0
    zero = low - room / 2
    ticks = _decades(low, high, gap=0.1 * (high - low))
    axes.yaxis.set_major_locator(FixedLocator([*ticks, *([zero] if exact else [])]))
    axes.yaxis.set_major_formatter(FixedFormatter([*map(_power, ticks), "exact"]))
    if exact:
        axes.axhline(low, color=_GREY, linewidth=0.8)
    return low - room, zero


def _wall(axes: Axes, left: float, right: float, *, none: bool) -> tuple[float, float]:
    """Where the x axis begins, and where an allowance of zero stands on it."""
    width = right - left
    room = 0.2 * width if none else 0.0
    zero = left - room / 2
    inches = canvas.inches_wide(axes) * width / (width + room)
    gap = width * _TICK_INCHES / inches
    begin = zero + 0.85 * gap if none else left  # "none" is short, but takes its room
    ticks = _decades(begin, right, gap=gap)
    axes.xaxis.set_major_locator(FixedLocator([*([zero] if none else []), *ticks]))
    axes.xaxis.set_major_formatter(
        FixedFormatter([*(["none"] if none else []), *map(_power, ticks)])
    )
    if none:
        axes.axvline(left, color=_GREY, linewidth=0.8)
    return left - room, zero


def _exponents(values: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The exponents of ten, NaN for zeros, and which are zeros."""
    numbers = values.to_numpy(dtype=np.float64)
    zero = numbers == 0
    return np.log10(np.where(zero, np.nan, numbers)), zero


def _limits(exponents: NDArray[np.float64]) -> tuple[float, float]:
    """Room around the exponents; some room also where there are none."""
    known = exponents[np.isfinite(exponents)]
    if not known.size:
        return -_LEAST_DECADES, 0.0
    low, high = float(known.min()), float(known.max())
    margin = max(0.06 * (high - low), (_LEAST_DECADES - (high - low)) / 2, 0.12)
    return low - margin, high + margin


def _decades(low: float, high: float, *, gap: float) -> list[float]:
    """Whole exponents in the limits, at least `gap` apart; the last one if none fits."""
    step = max(1, math.ceil(gap))
    first, last = math.ceil(low), math.floor(high)
    found = [float(power) for power in range(first, last + 1) if power % step == 0]
    return found or [float(last)]


def _power(exponent: float) -> str:
    return f"1e{exponent:g}"
