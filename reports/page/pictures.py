"""Draws the figures of a report into files, each with its data as CSV, and for the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from bench.records import Record
from reports.figures import CHARTS
from reports.figures.drawing.canvas import save
from reports.figures.drawing.chart import Chart, Part, Shown
from reports.figures.drawing.view import View
from reports.page.cards import Cards, cards_of
from reports.text import wording
from reports.text.telling import Tell, tell_nobody

OPEN = ("time_against_n", "speed_against_n", "winner_over_sizes", "workspace_against_n")
"""The figures that the page shows at once, in this order; the others are folded away."""
_CSS_PIXELS_PER_INCH = 96
_COUNTS = {
    *(one.name for one in fields(Record) if one.type in ("int", "int | None")),
    *("seq_len_from", "seq_len_to", "readings"),
}
"""Columns of whole numbers, written without a decimal point even where some are missing."""


class Words(NamedTuple):
    """What is said of a figure: its finding, what is plotted, and the figure in words."""

    title: str
    caption: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure as the templates show it; `image` is a data URI, sizes are CSS pixels.

    `files` are the PNG and the SVG, `table` is the CSV.
    """

    stem: str
    called: str
    title: str
    caption: str
    alt: str
    image: str
    width: int
    height: int
    files: tuple[Path, Path]
    table: Path


@dataclass(frozen=True, kw_only=True)
class Group:
    """What the page shows of one view: its cards, its figures, and `more` of them, folded away.

    `name` tells the view from others, `conditions` says all its conditions in words.
    """

    name: str
    conditions: str
    cards: tuple[Cards, ...]
    figures: tuple[Picture, ...]
    more: tuple[Picture, ...]


def draw_groups(seen: Sequence[View], out: Path, tell: Tell = tell_nobody) -> list[Group]:
    """The cards of every view, and every figure that it can fill, drawn into `out`."""
    possible = [[chart for chart in CHARTS if chart.missing(view) is None] for view in seen]
    total, done = sum(map(len, possible)), count()
    groups = []
    for view, charts in zip(seen, possible, strict=True):
        drawn = {}
        for chart in charts:
            tell("drawing figures", next(done), total)
            drawn[chart.stem] = draw_picture(chart, view, view.suffix, out)
        figures = [drawn.pop(stem) for stem in OPEN if stem in drawn]
        groups.append(
            Group(
                name=view.name,
                conditions=view.described(),
                cards=tuple(cards_of(view)),
                figures=tuple(figures),
                more=tuple(drawn.values()),
            )
        )
    return groups


def absences(seen: Sequence[View]) -> list[str]:
    """One sentence for each figure that a view lacks; views with the same reason share it."""
    if not seen:
        return ["All figures: no cell has a time."]
    found = []
    for chart in (one for one in CHARTS if one.is_usual):
        missing = ((chart.missing(view), view.name) for view in seen)
        where = wording.by_text((reason, name) for reason, name in missing if reason)
        for reason, names in where.items():
            found.append(absence(chart.stem, reason, names if len(names) < len(seen) else []))
    return found


def absence(stem: str, reason: str, where: Sequence[str] = ()) -> str:
    """The sentence on a figure that could not be drawn, and where if not everywhere."""
    some = f" ({'; '.join(where)})" if where else ""
    return f"{stem.replace('_', ' ').capitalize()}{some}: {reason}."


def draw_picture(chart: Chart[Shown, Part], shown: Shown, suffix: str, out: Path) -> Picture:
    """Draw one figure into `figures/` and its data into `tables/`, both below `out`."""
    return picture(
        chart.draw(shown),
        chart.data(shown),
        f"{chart.stem}.{suffix}" if suffix else chart.stem,
        out,
        Words(chart.title(shown), chart.caption(shown), chart.alt(shown)),
    )


def picture(figure: Figure, data: pd.DataFrame, stem: str, out: Path, words: Words) -> Picture:
    """Write a drawn figure into `figures/` and its data into `tables/`, both below `out`."""
    files = save(figure, out / "figures" / stem)
    width, height = figure.get_size_inches()
    coded = base64.b64encode(files[1].read_bytes()).decode("ascii")
    return Picture(
        stem=stem,
        called=stem.partition(".")[0].replace("_", " "),
        **words._asdict(),
        image=f"data:image/svg+xml;base64,{coded}",
        width=round(width * _CSS_PIXELS_PER_INCH),
        height=round(height * _CSS_PIXELS_PER_INCH),
        files=files,
        table=write_csv(data, out / "tables" / f"{stem}.csv"),
    )


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    """Write a table, counts as whole numbers; returns the path."""
    whole = {
        name: "Int64"
        for name in _COUNTS
        if name in table
        and pd.api.types.is_float_dtype(table[name])
        and (table[name].dropna() % 1 == 0).all()
    }
    table.astype(whole).to_csv(path, index=False, lineterminator="\n")
    return path
