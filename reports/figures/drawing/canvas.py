"""The common look of figures: size and layout in inches, title, legend below, axes with units.

Nothing here touches pyplot or matplotlib's global settings: the style sheet holds only inside
`styled()`, which both drawing and saving use.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rcParams, style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from reports.figures.drawing.dark import with_dark_variant
from reports.figures.drawing.looks import Look
from reports.figures.drawing.sheet import SCREEN, Sheet
from reports.judge.result import Fit
from reports.text import wording

STYLE_SHEET = Path(__file__).with_name("attnscale.mplstyle")
PNG_DPI = 160

# Inches on a screen, around letters of the sizes that follow, in points.
_LEFT, _RIGHT, _BETWEEN, _ABOVE = 0.85, 0.25, 0.8, 0.85
_TITLE_SIZE, _TEXT_SIZE, _LEGEND_SIZE = 12.0, 9.0, 8.5
_TITLE_LINE, _TEXT_LINE, _LEGEND_LINE = 0.22, 0.17, 0.195
_X_LABEL, _Y_LABEL = 0.27, 0.67  # from the axes to their labels
_TICK = 0.055  # inches on the x axis for each point of the size of its labels
_LONGEST_LABEL = 90
_SHORT = 0.6  # decades; an axis that has fewer is ticked as a linear one
DASHED: dict[str, Any] = {"color": "#888888", "linewidth": 1.1, "linestyle": (0, (5, 3))}
"""A line to compare points with."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of the legend: what is drawn, and its name."""

    handle: Artist
    label: str


@contextmanager
def styled(sheet: Sheet = SCREEN) -> Iterator[None]:
    """Matplotlib's defaults, our style sheet and that of a medium, whatever the user's own are."""
    with style.context(["default", str(STYLE_SHEET), dict(sheet.settings)]):
        yield


def save(figure: Figure, stem: Path, *, has_dark_variant: bool = True) -> tuple[Path, Path]:
    """Write `stem.png` and `stem.svg`; equal figures give equal bytes. Returns both paths."""
    png, svg = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".svg")
    text = io.StringIO()
    with styled():
        figure.savefig(png, dpi=PNG_DPI, metadata={"Software": None})
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawn = text.getvalue()
    svg.write_bytes((with_dark_variant(drawn) if has_dark_variant else drawn).encode("utf-8"))
    return png, svg


def figure_with_panels(
    *,
    title: str,
    subtitle: str,
    panels: Sequence[str],
    entries: Sequence[Entry],
    sheet: Sheet = SCREEN,
    shares: Sequence[int] = (),
) -> tuple[Figure, list[Axes]]:
    """A figure with its title, its conditions, rows of titled panels, and a legend below them.

    `shares` are the parts of the width that panels get where all stand in one row. Call it, and
    draw into the axes, inside `styled(sheet)`.
    """
    left, right, between, above = (one * sheet.scale for one in (_LEFT, _RIGHT, _BETWEEN, _ABOVE))
    usable = sheet.width - left - right
    fitting = int((usable + between) / (sheet.least_panel + between))
    columns = max(1, min(len(panels), fitting))
    rows = math.ceil(len(panels) / columns)
    heading = _Heading(title, subtitle, sheet) if sheet.is_headed else None
    top = (heading.height if heading else 0.1) + (0.15 if any(panels) else 0.0)
    labels = [drawable_label(entry.label) for entry in entries]
    legend_columns = _legend_columns(labels, sheet)
    lines = math.ceil(len(labels) / legend_columns)
    bottom = (0.55 + _LEGEND_LINE * lines + (0.12 if lines else 0.0)) * sheet.scale
    axes_height = min(sheet.axes_height, sheet.all_axes_height / rows)
    height = top + axes_height * rows + above * (rows - 1) + bottom

    figure = Figure(figsize=(sheet.width, height))
    if heading:
        heading.write(figure)
    parts = np.array(shares if len(shares) == columns else [1] * columns)
    widths = (usable - between * (columns - 1)) * parts / parts.sum()
    axes = []
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        width = float(widths[column])
        x = left + float(widths[:column].sum()) + column * between
        y = bottom + (rows - 1 - row) * (axes_height + above)
        places = (x / sheet.width, y / height, width / sheet.width, axes_height / height)
        one = figure.add_axes(places)
        one.set_title(drawable_label(panel))
        # Fixed places: else matplotlib measures every tick label, again for each format.
        one.xaxis.set_label_coords(0.5, -_X_LABEL * sheet.scale / axes_height)
        one.yaxis.set_label_coords(-_Y_LABEL * sheet.scale / width, 0.5)
        axes.append(one)
    if labels:
        _add_legend(figure, entries, labels, legend_columns, left)
    return figure, axes


class _Heading:
    """The finding in bold, and the conditions below it."""

    def __init__(self, title: str, subtitle: str, sheet: Sheet) -> None:
        width = sheet.width - _RIGHT - 0.15
        self.title = _wrapped(title, _TITLE_SIZE, width, bold=True)
        self.subtitle = _wrapped(subtitle, _TEXT_SIZE, width)
        self.below = 0.17 + _TITLE_LINE * len(self.title)
        self.height = self.below + _TEXT_LINE * len(self.subtitle) + 0.18

    def write(self, figure: Figure) -> None:
        """Write both into the top of the figure."""
        for lines, down, size, weight, colour in (
            (self.title, 0.12, _TITLE_SIZE, "bold", "#222222"),
            (self.subtitle, self.below, _TEXT_SIZE, "normal", "#555555"),
        ):
            figure.text(
                0.15 / figure.get_figwidth(),
                1 - down / figure.get_figheight(),
                "\n".join(lines),
                fontsize=size,
                fontweight=weight,
                color=colour,
                va="top",
                linespacing=1.25,
            )


def label_with_exponent(label: str, letter: str, fit: Fit | None) -> str:
    """The name of a series with the exponent of a size and its interval, where it was fitted."""
    found = fit.exponents.get(letter) if fit else None
    if found is None or found.estimate is None:
        return wording.shortened(label)
    return f"{wording.shortened(label)}  {letter}^{wording.interval(found)}"


def drawable_label(text: str) -> str:
    """The text without what the font cannot draw, cut where it would not fit a legend."""
    return wording.shortened(_drawable(text), most=_LONGEST_LABEL)


def inches_wide(axes: Axes) -> float:
    """How wide the axes are."""
    figure = axes.get_figure(root=True)
    return axes.get_position().width * (figure.get_figwidth() if figure else SCREEN.width)


def size_axis(axes: Axes, values: Sequence[float], label: str) -> None:
    """A logarithmic x axis over sizes, ticked at sizes that were measured, as many as fit."""
    most = int(inches_wide(axes) / (_TICK * rcParams["xtick.labelsize"]))
    axes.set_xscale("log", base=2)
    known = sorted({float(value) for value in values if value > 0})
    axes.xaxis.set_major_locator(FixedLocator(_thinned(known, most)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    margin = (known[-1] / known[0]) ** 0.04 if len(known) > 1 else 1.5
    axes.set_xlim(known[0] / margin, known[-1] * margin)
    has_room = _inches(label, rcParams["axes.labelsize"]) < inches_wide(axes) + _BETWEEN / 2
    axes.set_xlabel(label if has_room else label.rpartition(", ")[2])


def seconds_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis over seconds, its ticks in readable units."""
    _decades_axis(axes, *_log_limits(values))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.seconds(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def bytes_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis over bytes, ticked at powers of two in KiB, MiB and GiB."""
    low, high = _log_limits(values)
    axes.set_yscale("log", base=2)
    axes.set_ylim(low, high)
    first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
    step = next(step for step in (1, 2, 5, 10, 20) if (last - first) / step <= 8 or step == 20)
    # Powers that step divides: with 5 and 10 the ticks fall on 32 KiB, 1 MiB, 32 MiB, 1 GiB.
    powers = [power for power in range(first, last + 1) if power % step == 0]
    axes.yaxis.set_major_locator(FixedLocator([2.0**power for power in powers]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.byte_size(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def ratio_line(
    axes: Axes, sizes: pd.Series, ratio: pd.Series, low: pd.Series, high: pd.Series, *, look: Look
) -> None:
    """A line of ratios with the band of their intervals, where they are known."""
    axes.plot(sizes, ratio, **look.style, zorder=3)
    axes.fill_between(sizes, low, high, color=look.colour, alpha=0.15, linewidth=0, zorder=1.5)


def ratio_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis over ratios, with a line at 1, where there is no difference."""
    low, high = _log_limits([*values, 1.0])
    axes.axhline(1.0, color="#444444", linewidth=0.8, zorder=1)
    _decades_axis(axes, low, high)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{wording.rounded(value):g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _decades_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic y axis, ticked at powers of ten and, where these are few, in between."""
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    decades = math.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)
    few = LogLocator(base=10, subs=subs, numticks=12)
    axes.yaxis.set_major_locator(MaxNLocator(6) if decades < _SHORT else few)


def _log_limits(values: Sequence[float]) -> tuple[float, float]:
    positive = [float(value) for value in values if value > 0 and math.isfinite(value)]
    low, high = min(positive), max(positive)
    margin = max((high / low) ** 0.05, 1.25)
    return low / margin, high * margin


def _thinned(values: Sequence[float], most: int) -> list[float]:
    """At most about `most` of the values, no two closer than the axis can label."""
    if len(values) < 2:
        return list(values)
    gap = math.log(values[-1] / values[0]) / most
    kept = [values[-1]]
    for value in reversed(values[:-1]):
        if math.log(kept[-1] / value) >= gap * 0.999:
            kept.append(value)
    return kept[::-1]


def _add_legend(
    figure: Figure, entries: Sequence[Entry], labels: Sequence[str], columns: int, left: float
) -> None:
    # Placeholders first: matplotlib leaves out labels that start with an underscore, and a
    # user's kernel may well be called `_flash`.
    legend = figure.legend(
        [entry.handle for entry in entries],
        ["x"] * len(entries),
        loc="lower left",
        bbox_to_anchor=((left - 0.1) / figure.get_figwidth(), 0.05 / figure.get_figheight()),
        ncols=columns,
        borderaxespad=0.0,
        borderpad=0.1,
        handlelength=2.6,
        columnspacing=1.6,
        labelspacing=0.45,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def _legend_columns(labels: Sequence[str], sheet: Sheet) -> int:
    widest = max((_inches(label, _LEGEND_SIZE) for label in labels), default=0.0)
    fitting = int((sheet.width / sheet.scale - _LEFT) / (widest + 0.75))
    return max(1, min(len(labels), fitting, 4))


def _wrapped(text: str, size: float, width: float, *, bold: bool = False) -> list[str]:
    lines = [""]
    for word in _drawable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _inches(longer, size, bold=bold) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@lru_cache(maxsize=4096)
def _inches(text: str, size: float, *, bold: bool = False) -> float:
    weight = "bold" if bold else "normal"
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))
    font.set_size(size, 72)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64 / 72


def _drawable(text: str) -> str:
    """The text with a question mark for what the font cannot draw."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans")))
    return "".join(char if font.get_char_index(ord(char)) else "?" for char in text)


def error_bars(low: ArrayLike, mid: ArrayLike, high: ArrayLike) -> NDArray[np.float64]:
    """Error bars for matplotlib: distances below and above, never negative."""
    ends = np.array([low, mid, high], dtype=np.float64)
    return np.nan_to_num(np.clip(np.diff(ends, axis=0), 0, None))
