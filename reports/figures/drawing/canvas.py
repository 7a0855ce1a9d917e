"""The common look of figures: size and layout in inches, title, legend below, axes with units.

Nothing here touches pyplot or matplotlib's global settings: the style sheet holds only inside
`styled()`, which both drawing and saving use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from reports.judge.result import Fit
from reports.text import wording

STYLE_SHEET = Path(__file__).with_name("attnscale.mplstyle")
PNG_DPI = 160

WIDTH = 9.0  # inches; two thirds of it is a page's text width in print
_AXES_HEIGHT = 3.5
_LEFT, _RIGHT, _BETWEEN = 0.85, 0.25, 0.8
_TITLE_SIZE, _TEXT_SIZE, _LEGEND_SIZE = 12.0, 9.0, 8.5
_TITLE_LINE, _TEXT_LINE, _LEGEND_LINE = 0.22, 0.17, 0.195
_LONGEST_LABEL = 90
DASHED: dict[str, Any] = {"color": "#888888", "linewidth": 1.1, "linestyle": (0, (5, 3))}
"""A line to compare points with."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of the legend: what is drawn, and its name."""

    handle: Artist
    label: str


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's defaults and our style sheet, whatever the user's own settings are."""
    with style.context(["default", str(STYLE_SHEET)]):
        yield


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write `stem.png` and `stem.svg`; equal figures give equal bytes. Returns both paths."""
    png, svg = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".svg")
    with styled():
        figure.savefig(png, dpi=PNG_DPI, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return png, svg


def figure_with_panels(
    *, title: str, subtitle: str, panels: Sequence[str], entries: Sequence[Entry]
) -> tuple[Figure, list[Axes]]:
    """A figure with its title, its conditions, one row of titled panels, and a legend below them.

    Call it, and draw into the axes, inside `styled()`.
    """
    usable = WIDTH - _LEFT - _RIGHT
    title_lines = _wrapped(title, _TITLE_SIZE, usable + _LEFT - 0.15, bold=True)
    subtitle_lines = _wrapped(subtitle, _TEXT_SIZE, usable + _LEFT - 0.15)
    labels = [drawable_label(entry.label) for entry in entries]
    columns = _legend_columns(labels)
    rows = math.ceil(len(labels) / columns)
    top = 0.15 + _TITLE_LINE * len(title_lines) + _TEXT_LINE * len(subtitle_lines) + 0.2
    top += 0.15 if any(panels) else 0.0
    legend = _LEGEND_LINE * rows + (0.12 if rows else 0.0)
    bottom = 0.55 + legend
    height = top + _AXES_HEIGHT + bottom

    figure = Figure(figsize=(WIDTH, height))
    below = 0.17 + _TITLE_LINE * len(title_lines)
    for lines, down, size, weight, colour in (
        (title_lines, 0.12, _TITLE_SIZE, "bold", "#222222"),
        (subtitle_lines, below, _TEXT_SIZE, "normal", "#555555"),
    ):
        figure.text(
            0.15 / WIDTH,
            1 - down / height,
            "\n".join(lines),
            fontsize=size,
            fontweight=weight,
            color=colour,
            va="top",
            linespacing=1.25,
        )
    width = (usable - _BETWEEN * (len(panels) - 1)) / len(panels)
    axes = []
    for index, panel in enumerate(panels):
        left = _LEFT + index * (width + _BETWEEN)
        box = (left / WIDTH, bottom / height, width / WIDTH, _AXES_HEIGHT / height)
        one = figure.add_axes(box)
        one.set_title(drawable_label(panel))
        axes.append(one)
    if labels:
        _add_legend(figure, entries, labels, columns, height)
    return figure, axes


def label_with_exponent(label: str, letter: str, fit: Fit | None) -> str:
    """The name of a series with the exponent of a size and its interval, where it was fitted."""
    found = fit.exponents.get(letter) if fit else None
    if found is None or found.estimate is None:
        return wording.shortened(label)
    return f"{wording.shortened(label)}  {letter}^{wording.interval(found)}"


def drawable_label(text: str) -> str:
    """The text without what the font cannot draw, cut where it would not fit a legend."""
    return wording.shortened(_drawable(text), most=_LONGEST_LABEL)


def size_axis(axes: Axes, values: Sequence[float], label: str, *, most: int = 8) -> None:
    """A logarithmic x axis over sizes, ticked at sizes that were measured, at `most` about."""
    axes.set_xscale("log", base=2)
    known = sorted({float(value) for value in values if value > 0})
    axes.xaxis.set_major_locator(FixedLocator(_thinned(known, most)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    margin = (known[-1] / known[0]) ** 0.04 if len(known) > 1 else 1.5
    axes.set_xlim(known[0] / margin, known[-1] * margin)
    axes.set_xlabel(label)


def seconds_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis over seconds, its ticks in readable units."""
    low, high = _log_limits(values)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    decades = math.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
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
    figure: Figure, entries: Sequence[Entry], labels: Sequence[str], columns: int, height: float
) -> None:
    # Placeholders first: matplotlib leaves out labels that start with an underscore, and a
    # user's kernel may well be called `_flash`.
    legend = figure.legend(
        [entry.handle for entry in entries],
        ["x"] * len(entries),
        loc="lower left",
        bbox_to_anchor=((_LEFT - 0.1) / WIDTH, 0.05 / height),
        ncols=columns,
        borderaxespad=0.0,
        borderpad=0.1,
        handlelength=2.6,
        columnspacing=1.6,
        labelspacing=0.45,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def _legend_columns(labels: Sequence[str]) -> int:
    widest = max((_inches(label, _LEGEND_SIZE) for label in labels), default=0.0)
    fitting = int((WIDTH - _LEFT) / (widest + 0.75))
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
