"""A figure, and the steps that every figure takes: panels, series, legend, words, data table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.drawing import canvas
from reports.figures.drawing.panels import Panel, choose_panels, not_shown
from reports.figures.drawing.sheet import SCREEN, Sheet
from reports.figures.drawing.size_names import SizeName
from reports.figures.drawing.view import Series, View
from reports.judge.result import Fit
from reports.text import wording

Shown = TypeVar("Shown")
Part = TypeVar("Part")


class Chart(ABC, Generic[Shown, Part]):
    """A figure of what is `Shown`, a `View` or the `Checked` of a run, with a panel for each Part.

    `stem` begins the names of its files. Where `is_usual` is False, few runs have what the figure
    shows, and the page does not say that it is left out.
    """

    stem: str
    y_label: str
    is_usual = True

    @abstractmethod
    def missing(self, shown: Shown) -> str | None:
        """Why the figure cannot be drawn, as the end of a sentence; None where it can."""

    @abstractmethod
    def data(self, shown: Shown) -> pd.DataFrame:
        """The table behind the figure: what is drawn, and nothing else."""

    @abstractmethod
    def title(self, shown: Shown) -> str:
        """The finding."""

    @abstractmethod
    def _subtitle(self, shown: Shown) -> str:
        """The conditions, in one line."""

    @abstractmethod
    def caption(self, shown: Shown) -> str:
        """What is plotted, under which conditions, and what the axes cannot show."""

    @abstractmethod
    def alt(self, shown: Shown) -> str:
        """The figure in words, for those who do not see it."""

    @abstractmethod
    def _panels(self, shown: Shown) -> Sequence[Part]:
        """What has a panel each, from left to right."""

    def _share(self, part: Part) -> int:
        """How wide a panel is beside others, as a multiple of the narrowest."""
        return 1

    @abstractmethod
    def _heading(self, shown: Shown, part: Part) -> str:
        """The title of a panel."""

    @abstractmethod
    def _entries(self, shown: Shown, table: pd.DataFrame) -> Sequence[canvas.Entry]:
        """The legend."""

    @abstractmethod
    def _draw_panel(self, axes: Axes, shown: Shown, part: Part, table: pd.DataFrame) -> None:
        """Draw one panel; `table` has the points of all."""

    def _axis_label(self, shown: Shown) -> str:
        """The title of the y axis."""
        return self.y_label

    def draw(self, shown: Shown, sheet: Sheet = SCREEN) -> Figure:
        """The figure, for a page or for a paper.

        Raises:
            ValueError: there is nothing to draw (`missing` says why).

        """
        reason = self.missing(shown)
        if reason is not None:
            raise ValueError(f"cannot draw {self.stem.replace('_', ' ')}: {reason}")
        table, parts = self.data(shown), self._panels(shown)
        with canvas.styled(sheet):
            figure, axes = canvas.figure_with_panels(
                title=self.title(shown),
                subtitle=self._subtitle(shown),
                panels=[self._heading(shown, part) for part in parts],
                entries=self._entries(shown, table),
                sheet=sheet,
                shares=[self._share(part) for part in parts],
            )
            for part, one in zip(parts, axes, strict=True):
                self._draw_panel(one, shown, part, table)
            for one in axes:
                if one.get_position().x0 == axes[0].get_position().x0:
                    one.set_ylabel(self._axis_label(shown))
        return figure


class SizeChart(Chart[View, Panel]):
    """A reading of every series of a view over the size `along`, in panels of the size `fixed`.

    `reading` is the column of the cells that must be there, `y` the column of the data table that
    is drawn, and `worded` says an amount of the reading. `has` and `too_few` are what is said of
    series that have no such reading at enough sizes, `spoken` begins the figure in words; it and
    `y_label` may have `{0.name}` and `{0.letter}` of the size.
    """

    along = "seq_len"
    fixed = "d_model"
    reading = "time_s"
    y: str
    worded: Callable[[float], str] = staticmethod(wording.seconds)
    has: str
    too_few = "Too few sizes to be shown"
    spoken: str

    @abstractmethod
    def _points(self, view: View, panel: Panel, series: Series, rows: pd.DataFrame) -> pd.DataFrame:
        """The points of one series in a panel, from its cells there."""

    @abstractmethod
    def _sentences(self, view: View) -> list[str]:
        """The caption, but for the series that are not shown."""

    def _series(self, view: View) -> tuple[Series, ...]:
        """The series that the figure is about."""
        return view.series

    def _absent(self, view: View) -> str | None:
        """What else the figure needs and the view lacks."""

    def _fit(self, series: Series) -> Fit | None:
        """The fit whose exponents the legend shows, if it shows any."""

    def _further_entries(self, table: pd.DataFrame) -> list[canvas.Entry]:
        """What the legend has below the series."""
        return []

    def _draw_series(
        self, axes: Axes, series: Series, rows: pd.DataFrame, points: pd.DataFrame
    ) -> None:
        """Draw one series: its `rows` of cells, and its `points` in the data table."""
        axes.plot(points[self.along], points[self.y], **series.look.style, zorder=3)

    @abstractmethod
    def _draw_scale(self, axes: Axes, points: pd.DataFrame) -> None:
        """The y axis of a panel for its points, and lines to compare them with."""

    def missing(self, view: View) -> str | None:
        """Why the figure cannot be drawn, as the end of a sentence; None where it can."""
        if self.along not in view.sizes:
            return f"the table has no size besides {self._fixed_size(view).column}"
        if self.along not in view.cells or view.cells[self.along].isna().all():
            return f"the records have no {self.along} column"
        absent = self._absent(view)
        if absent is not None or self._panels(view):
            return absent
        fixed = f" and one {self._fixed_size(view).column}" if self.fixed in view.cells else ""
        column = self._along_size(view).column
        return f"no implementation {self.has} at three or more values of {column}{fixed}"

    def data(self, view: View) -> pd.DataFrame:
        """The table behind the figure: what is drawn, and nothing else."""
        return _table(self, view).copy()

    def _subtitle(self, view: View) -> str:
        return view.described()

    def caption(self, view: View) -> str:
        """What is plotted, under which conditions, and which series are not shown."""
        parts = self._sentences(view)
        if hidden := self._hidden(view):
            parts.append(f"{self.too_few}: {wording.listed(hidden)}.")
        return " ".join(parts)

    def _hidden(self, view: View) -> list[str]:
        """The series that no panel shows, as far as the sentences do not name them."""
        return not_shown(self._series(view), self._panels(view))

    def alt(self, view: View) -> str:
        """The figure in words, for those who do not see it."""
        return f"{self.spoken.format(self._along_size(view))}. {'; '.join(self._said(view))}."

    def _said(self, view: View) -> Iterator[str]:
        """Each series once, by its ends: `sdpa: 1.2 ms at n = 128 to 3 s at n = 8192`."""
        letter, told = self._along_size(view).letter, set[str]()
        for panel in reversed(self._panels(view)):
            for series, rows in panel.members:
                ends = [
                    f"{self.worded(float(row[self.reading]))} at {letter} = {row[self.along]:g}"
                    for row in (rows.iloc[0], rows.iloc[-1])
                ]
                if series.label not in told:
                    told.add(series.label)
                    at = self._fixed_in_words(view, panel.value)
                    yield f"{series.label}{at}: {' to '.join(ends[: len(rows)])}"

    def _panels(self, view: View) -> tuple[Panel, ...]:
        """The panels of the figure; none where no series has three sizes."""
        return choose_panels(
            self._series(view), along=self.along, fixed=self.fixed, reading=self.reading
        )

    def _share(self, part: Panel) -> int:
        return 1 if len(part.members) == 1 else 2

    def _axis_label(self, view: View) -> str:
        return self.y_label.format(self._along_size(view))

    def _heading(self, view: View, panel: Panel) -> str:
        return "" if panel.value is None else f"{self._fixed_size(view).column} {panel.value:g}"

    def _entries(self, view: View, table: pd.DataFrame) -> list[canvas.Entry]:
        shown, letter = set(table["series"]), self._along_size(view).letter
        entries = [
            canvas.Entry(
                handle=Line2D([], [], **one.look.style),
                label=canvas.label_with_exponent(one.label, letter, self._fit(one)),
            )
            for one in self._series(view)
            if one.label in shown
        ]
        return entries + self._further_entries(table)

    def _draw_panel(self, axes: Axes, view: View, panel: Panel, table: pd.DataFrame) -> None:
        at = table if panel.value is None else table[table[self.fixed] == panel.value]
        at = at[at["series"].isin([series.label for series, _ in panel.members])]
        for series, rows in panel.members:
            self._draw_series(axes, series, rows, at[at["series"] == series.label])
        self._draw_scale(axes, at)
        sizes = [size for _, rows in panel.members for size in rows[self.along].tolist()]
        canvas.size_axis(axes, sizes, self._along_size(view).label)

    def _along_size(self, view: View) -> SizeName:
        """What the view calls the size along the axis."""
        return view.size(self.along)

    def _fixed_size(self, view: View) -> SizeName:
        """What the view calls the size that is fixed in a panel."""
        return view.size(self.fixed)

    def _fixed_in_words(self, view: View, value: float | None) -> str:
        """The fixed size in words, ` at d = 64`; nothing where there is none."""
        known = value is not None and value == value
        return f" at {self._fixed_size(view).letter} = {value:g}" if known else ""


@lru_cache(maxsize=16)
def _table(chart: SizeChart, view: View) -> pd.DataFrame:
    parts = []
    for panel in chart._panels(view):
        for series, rows in panel.members:
            part = chart._points(view, panel, series, rows).copy()
            part.insert(0, chart.fixed, panel.value)
            part.insert(0, "series", series.label)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)
