"""Which implementation is the fastest at each (n, d), and by how much the second is slower."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from reports.comparison.ratios import Finding
from reports.figures.drawing import canvas
from reports.figures.drawing.chart import Chart
from reports.figures.drawing.view import View
from reports.figures.speed_against_n import ratios_of
from reports.text import wording
from reports.text.labels import text_of

_TINT, _PALE = 0.45, 0.15  # opacity of a cell whose winner is sure, and of the others
_HATCH = "////"
_INCHES = 0.42  # a cell at least this wide has its number in it
_ALONG, _UP = "seq_len", "d_model"


class WinnerOverSizes(Chart[View, str]):
    """A map over sequence length and model width, a panel for each run that shares the view."""

    stem = "winner_over_sizes"
    y_label = "model width, d = d_model (elements)"

    def missing(self, view: View) -> str | None:
        """Why the figure cannot be drawn, as the end of a sentence; None where it can."""
        cells = view.cells
        if view.sizes.keys() != {_ALONG, _UP} or not {_ALONG, _UP} <= set(cells):
            return "it needs both n and d"
        if cells["implementation"].nunique() < 2:
            return "there is one implementation"
        if cells.duplicated(["series", _ALONG, _UP]).any():
            return "there are several cells of one size, as of several numbers of heads"
        if _winners(view)[[_ALONG, _UP]].nunique().min() < 2:
            return "fewer than two values of n and of d were measured of two implementations"
        return None

    def data(self, view: View) -> pd.DataFrame:
        """One row for each size of which two implementations were measured.

        `fastest` and `second` with their times; `ratio` of these, and its 95 % interval; `finding`:
        `slower` where the second surely is, `same`, or `cannot tell`.
        """
        return _winners(view).copy()

    def title(self, view: View) -> str:
        """Who is fastest in how many cells."""
        table = _winners(view)
        alone = table[~_is_level(table)]
        counts = alone["fastest"].value_counts()
        words = [f"{wording.shortened(str(name))} in {count}" for name, count in counts.items()]
        if level := len(table) - len(alone):
            words.append(f"no one alone in {level}")
        return f"Fastest of {wording.count(len(table), 'cell')}: {wording.listed(words)}"

    def caption(self, view: View) -> str:
        """What is plotted, and how to read it."""
        parts = [
            "The fastest implementation at each n and d of which two or more were measured, by its "
            "colour and marker. The number says how many times as long the second takes.",
            *view.stated(),
        ]
        table = _winners(view)
        if _is_level(table).any():
            parts.append("Hatched: the two are the same, or these data cannot tell.")
        if table["low"].isna().any():
            parts.append("Pale: read in fewer than two turns, so that no interval is known.")
        return " ".join(parts)

    def alt(self, view: View) -> str:
        """The figure in words: the winner at the largest sizes, and how many cells each wins."""
        last = _winners(view).iloc[-1]
        return (
            f"Map of the fastest implementation over n and d. {self.title(view)}. At n = "
            f"{last[_ALONG]:g}, d = {last[_UP]:g}: {last['fastest']}, {last['second']} takes "
            f"{wording.times(last['ratio'])} times as long."
        )

    def _subtitle(self, view: View) -> str:
        return view.described()

    def _panels(self, view: View) -> Sequence[str]:
        return list(dict.fromkeys(_winners(view)["run"]))

    def _heading(self, view: View, part: str) -> str:
        return f"run {part}" if part else ""

    def _entries(self, view: View, table: pd.DataFrame) -> Sequence[canvas.Entry]:
        winners = set(table["fastest"])
        names = {
            one.implementation if one.run else one.label: one.look.style | {"linestyle": ""}
            for one in view.series
            if one.label in winners
        }
        entries = [
            canvas.Entry(handle=Line2D([], [], **style), label=wording.shortened(name))
            for name, style in names.items()
        ]
        if _is_level(table).any():
            level = Patch(facecolor="none", edgecolor="#888888", hatch=_HATCH, linewidth=0.5)
            entries.append(canvas.Entry(handle=level, label="the same, or cannot tell"))
        return entries

    def _draw_panel(self, axes: Axes, view: View, part: str, table: pd.DataFrame) -> None:
        cells = table[table["run"] == part]
        across, up = (sorted(cells[name].unique()) for name in (_ALONG, _UP))
        looks = {one.label: one.look for one in view.series}
        has_room = canvas.inches_wide(axes) / len(across) >= _INCHES
        for cell, is_level in zip(cells.to_dict("records"), _is_level(cells), strict=True):
            x, y = across.index(cell[_ALONG]), up.index(cell[_UP])
            look = looks[cell["fastest"]]
            tint = _TINT if cell["finding"] == Finding.SLOWER else _PALE
            axes.add_patch(Rectangle((x, y), 1, 1, color=look.colour, alpha=tint, linewidth=0))
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor="none", edgecolor="white"))
            if is_level:
                axes.add_patch(
                    Rectangle(
                        (x, y),
                        1,
                        1,
                        facecolor="none",
                        edgecolor="#888888",
                        hatch=_HATCH,
                        linewidth=0,
                    )
                )
            middle = 0.68 if has_room else 0.5
            axes.plot(x + 0.5, y + middle, **look.style | {"linestyle": ""}, zorder=3)
            if has_room:
                axes.text(x + 0.5, y + 0.3, _short(cell["ratio"]), ha="center", va="center")
        axes.set_xlim(0, len(across))
        axes.set_ylim(0, len(up))
        axes.grid(False)
        axes.set_xticks([at + 0.5 for at in range(len(across))], [f"{one:g}" for one in across])
        axes.set_yticks([at + 0.5 for at in range(len(up))], [f"{one:g}" for one in up])
        axes.tick_params(length=0)
        axes.set_xlabel(view.size(_ALONG).label)


def _is_level(cells: pd.DataFrame) -> pd.Series[bool]:
    """Where an interval is known, and the second may be as fast as the first."""
    return cells["low"].notna() & (cells["finding"] != Finding.SLOWER)


def _short(ratio: float) -> str:
    """Three characters, or a few more: `1.06`, `12`, `340`."""
    return f"{ratio:.2f}" if ratio < 9.995 else f"{ratio:.0f}"


@lru_cache(maxsize=16)
def _winners(view: View) -> pd.DataFrame:
    """The two fastest of every cell that two implementations share, and how surely they differ."""
    keys = ["run", _UP, _ALONG]
    cells = view.cells.assign(run=_runs(view.cells))
    ranked = cells.sort_values([*keys, "time_s", "series"], kind="stable")
    place = ranked.groupby(keys).cumcount()
    columns = [*keys, "series", "implementation", "time_s"]
    pairs = ranked.loc[place == 0, columns].merge(
        ranked.loc[place == 1, columns], on=keys, suffixes=("", "_second")
    )
    wanted = ["implementation_reference", "implementation_second", *keys]
    found = pd.concat(
        [
            ratios_of(view, str(name)).assign(implementation_reference=name)
            for name in pairs["implementation"].unique()
        ]
    ).rename(columns={"implementation": "implementation_second"})
    found = found.assign(run=_runs(found)).drop_duplicates(wanted)
    pairs = pairs.rename(columns={"implementation": "implementation_reference"})
    pairs = pairs.merge(
        found[[*wanted, "low", "high", "finding"]], on=wanted
    )  # others are no like cells
    names = {"series": "fastest", "series_second": "second", "time_s_second": "second_time_s"}
    pairs = pairs.rename(columns=names).assign(ratio=pairs["time_s_second"] / pairs["time_s"])
    order = ["fastest", "time_s", "second", "second_time_s", "ratio", "low", "high", "finding"]
    return pairs[[*keys, *order]]


def _runs(cells: pd.DataFrame) -> list[str]:
    return [text_of(one) for one in cells["run"]] if "run" in cells else [""] * len(cells)
