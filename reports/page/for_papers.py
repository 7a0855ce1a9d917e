"""Single figures and tables of a report, as a paper takes them in."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rcParams
from matplotlib.text import Text

from reports.comparison.ratios import Ratio
from reports.figures import CHARTS
from reports.figures.drawing import canvas
from reports.figures.drawing.chart import Chart
from reports.figures.drawing.sheet import SCREEN, Sheet, paper
from reports.figures.drawing.split import slug, views
from reports.figures.drawing.view import View
from reports.laws.grammar import LawError, parse
from reports.page.page import default_directory, judged
from reports.page.restated import Question
from reports.ranking.ranking import Ranking, interval_of, is_to_itself, rankings
from reports.tables.columns import TableError
from reports.tables.target import made
from reports.text import wording
from reports.text.labels import text_of
from reports.text.latex import escaped, formula, tabular, with_sizes
from reports.verdicts.verdict_rows import Section, sections, verdict_rows

_DPI = 300  # of a PNG for print
_DATES = {"svg": "Date", "pdf": "CreationDate"}
_TEX = ("xelatex", "lualatex", "pdflatex")


def write_figure(
    paths: Sequence[Path],
    figure: str,
    question: Question | None = None,
    only: Sequence[str] | None = None,
    *,
    inches: float | None = None,
    form: str = "svg",
    out: Path | None = None,
) -> list[Path]:
    """Draw one figure of a report; a file for each view that has it.

    `figure` and `form` are of those in `reports.text.choices`. With `inches` the figure is one for
    a paper, so wide. `out` is by default `figures` in the directory of the report.

    Raises:
        TableError: there is no such implementation, the runs lack what the figure shows, or TeX,
            which the format pgf needs, is missing.
        ValueError: an input cannot be read or judged.

    """
    chart = next(one for one in CHARTS if one.stem == figure)
    sheet = SCREEN if inches is None else paper(inches)
    tex = _tex() if form == "pgf" else None
    shown, fits, _ = judged(paths, question, only)
    table = shown.table
    seen = views(table.frame, fits, table.info, table.runs, shown.names)
    reasons = dict.fromkeys(chart.missing(view) for view in seen)
    drawable = [view for view in seen if chart.missing(view) is None]
    if not drawable:
        told = "; ".join(str(one) for one in reasons) or "no cell has a time"
        raise TableError(f"--figure {figure} cannot be drawn: {told}")
    folder = out or default_directory(Path(paths[0])) / "figures"
    with made(folder, "the figure"):
        return [_write(chart, view, sheet, folder, form, tex) for view in drawable]


def write_tables(
    paths: Sequence[Path],
    question: Question | None = None,
    only: Sequence[str] | None = None,
    *,
    out: Path | None = None,
) -> list[Path]:
    """Write the rankings and verdicts of a report as LaTeX; `out` is by default its `tables`.

    Raises:
        TableError: there is neither.
        ValueError: an input cannot be read or judged.

    """
    shown, fits, unjudged = judged(paths, question, only)
    found = {
        f"verdicts_{section.rows[0].fit.value}": tabular(_verdicts(section), words=3)
        for section in sections(verdict_rows(fits))
    }
    for ranking in rankings(shown.table.frame, judged={fit.value for fit in fits}):
        told = "-".join(slug(text_of(value), "none") for value in ranking.conditions.values())
        stem = f"ranking.{told}" if told else "ranking"
        notes = (ranking.described, *(one.apart for one in ranking.elsewhere))
        comments = "".join(f"% {wording.one_line(note)}\n" for note in notes)
        found[stem] = f"{comments}{tabular(_times(ranking), words=1)}"
    if not found:
        raise TableError(f"--latex: there is no table to write: {unjudged or 'no cell has a time'}")
    folder = out or default_directory(Path(paths[0])) / "tables"
    with made(folder, "the tables"):
        for stem, text in found.items():
            (folder / f"{stem}.tex").write_bytes(text.encode("utf-8"))
    return [folder / f"{stem}.tex" for stem in found]


def _times(ranking: Ranking) -> pd.DataFrame:
    """Implementations by sizes: the time, and its ratio to the reference with the interval."""
    rows, time = [], "GPU time" if ranking.is_gpu_time else "time"
    ratio_to = f"$\\div$ {escaped(ranking.reference)}"
    for name in ranking.implementations:
        row = {("", "implementation"): escaped(name)}
        for size in ranking.sizes:
            own, words = size.of(name), with_sizes(size.words)
            ratio = own.ratio if own else None
            row[words, time] = escaped(wording.seconds(own.time_s if own else None))
            row[words, ratio_to] = escaped(_ratio(ratio) if ratio else wording.NOTHING)
        rows.append(row)
    return pd.DataFrame(
        [list(row.values()) for row in rows], columns=pd.MultiIndex.from_tuples([*rows[0]])
    )


def _ratio(ratio: Ratio) -> str:
    interval = "" if is_to_itself(ratio) else interval_of(ratio)
    return f"{wording.times(ratio.estimate)} {interval}".strip()


def _verdicts(section: Section) -> pd.DataFrame:
    """A verdict table in words: exponents with their intervals."""
    return pd.DataFrame(
        [
            {
                "implementation": escaped(row.label),
                "claim": _law(row.fit.claim),
                "verdict": str(row.fit.verdict),
                **{
                    f"{_size(letter)} exponent": escaped(row.exponent(letter))
                    for letter in section.letters
                },
                "residual": escaped(wording.percent(row.fit.rms_residual)),
                "cells": row.fit.cells,
            }
            for row in section.rows
        ]
    )


def _size(letter: str) -> str:
    return f"${letter}$" if len(letter) == 1 else escaped(letter)


def _law(claim: str) -> str:
    """A claim as a formula; one that is no law as it stands."""
    try:
        return f"${formula(parse(claim).unicode())}$"
    except LawError:
        return escaped(claim)


def _tex() -> str:
    found = next((name for name in _TEX if shutil.which(name)), None)
    if found is None:
        raise TableError(
            f"--format pgf needs TeX to measure text, and {wording.listed(_TEX)} are not installed;"
            " use --format pdf or svg"
        )
    return found


def _write(
    chart: Chart[View, Any], view: View, sheet: Sheet, folder: Path, form: str, tex: str | None
) -> Path:
    path = folder / f"{'.'.join(part for part in (chart.stem, view.suffix) if part)}.{form}"
    figure = chart.draw(view, sheet)
    with canvas.styled(sheet):
        if tex is not None:
            rcParams.update({"pgf.texsystem": tex, "pgf.rcfonts": False})
            for text in figure.findobj(Text):
                text.set_text(escaped(text.get_text()))  # the backend hands it to TeX as it is
        # The backend of pgf takes no metadata at all, not even none.
        undated: dict[str, Any] = {"metadata": {_DATES[form]: None}} if form in _DATES else {}
        figure.savefig(path, dpi=_DPI, **undated)
    return path
