"""Writes the report of a table and its fits: one HTML page, a Markdown summary, figures, CSV.

Everything comes from the records; equal records give equal bytes. Names in the records come from
users, so every text is escaped for where it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.records import RECORDS_FILE
from reports.cells.cell_table import cell_table
from reports.conditions.bounds import bounds
from reports.conditions.checks import check_table
from reports.figures.drawing.size_names import OUR_SIZES
from reports.figures.drawing.split import views
from reports.judge.every_cost import fit_every_cost
from reports.judge.fit_groups import fit_groups
from reports.judge.result import Fit
from reports.page.bound_table import ROOFLINE, bound_table
from reports.page.correctness import ALLOWED, correctness
from reports.page.headline import findings
from reports.page.pictures import absences, draw_groups, write_csv
from reports.page.published_table import table1_section
from reports.page.rendering import write_pages
from reports.page.restated import EVERYTHING, Question, Restated, restated
from reports.page.words import words_of
from reports.tables.read import Table, read_tables
from reports.tables.selection import rows_of
from reports.tables.target import made
from reports.text import wording
from reports.text.telling import Tell, tell_nobody
from reports.verdicts.doubts import marked_table
from reports.verdicts.table import verdict_frame
from reports.verdicts.verdict_rows import verdict_rows


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report as written: its directory, the files in it, and what it found in a few sentences.

    `left_out` are sentences on figures that could not be drawn.
    """

    path: Path
    index: Path
    summary: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    headline: str
    fits: tuple[Fit, ...]
    left_out: tuple[str, ...]


def report(
    paths: Sequence[Path],
    out: Path | None = None,
    question: Question | None = None,
    only: Sequence[str] | None = None,
    tell: Tell = tell_nobody,
) -> Report:
    """Read runs or tables, judge every group in them, and write the report.

    `question` says what to judge of a table that does not say so itself. `out` is by default
    `report` in the first run's directory, and `<name>-report` beside a file. A table that has
    times over seq_len but cannot be judged is shown without verdicts, and the page says why. `only`
    are the implementations to take, all if it is None.

    Raises:
        ValueError: an input cannot be read or judged, or the report cannot be written; the
            message is one line for the user.

    """
    shown, fits, unjudged = judged(paths, question, only, tell)
    target = out if out is not None else default_directory(Path(paths[0]))
    with made(target, "the report"):
        return write_report(shown, fits, target, unjudged=unjudged, tell=tell)


def judged(
    paths: Sequence[Path],
    question: Question | None = None,
    only: Sequence[str] | None = None,
    tell: Tell = tell_nobody,
) -> tuple[Restated, list[Fit], str | None]:
    """Runs or tables as a report shows them, their fits, and why there are none if so.

    Raises:
        ValueError: an input cannot be read or judged; the message is one line for the user.

    """
    shown = restated(read_tables([Path(path) for path in paths], tell), question or EVERYTHING)
    table = shown.table
    if only is not None:
        table = replace(table, frame=rows_of(table.frame, only))
    table = marked_table(table)
    shown = replace(shown, table=table)
    try:
        return shown, judge_table(table, shown.question, tell), None
    except ValueError as problem:
        is_asked = question not in (None, EVERYTHING)  # then no verdict is no answer
        if is_asked or not {"seq_len", "time_s"} <= set(table.frame.columns):
            raise
        return shown, [], str(problem)  # the figures still say something


def judge_table(
    table: Table, question: Question = EVERYTHING, tell: Tell = tell_nobody
) -> list[Fit]:
    """Every group of a table judged on the cost in question, or on all that was recorded.

    Raises:
        ValueError: a claim or a column cannot be read; the message is one line for the user.

    """
    if question == EVERYTHING:
        return fit_every_cost(table, tell)
    return fit_groups(
        table.frame,
        sizes=question.sizes,
        value=question.values[0] if question.values else None,
        by=question.by,
        claim=question.claim,
        parameters=table.parameters,
        info=table.shared_info,
        runs=table.runs,
        tell=tell,
    )


def default_directory(source: Path) -> Path:
    """Where the report of this run directory, journal or table goes unless told otherwise."""
    if source.is_dir():
        return source / "report"
    if source.name == RECORDS_FILE:
        return source.parent / "report"
    return source.with_name(f"{source.stem}-report")


def write_report(
    shown: Restated,
    fits: Sequence[Fit],
    out: Path,
    *,
    unjudged: str | None = None,
    tell: Tell = tell_nobody,
) -> Report:
    """Write index.html, summary.md, figures/ and tables/ into `out`, made if it is missing.

    `unjudged` says why there are no fits, where there are none. Files of an earlier report in the
    same directory are replaced where they have the same name.
    """
    for folder in (out, out / "figures", out / "tables"):
        folder.mkdir(parents=True, exist_ok=True)
    table = shown.table
    grouping = [name for fit in fits for name in (*fit.group, *fit.sizes.values())]
    by = [name for name in dict.fromkeys(grouping) if name in table.frame.columns]
    cells = cell_table(table.frame, by=by)
    rows = verdict_rows(fits)
    seen = views(table.frame, fits, table.info, table.runs, shown.names)
    infos: Mapping[str, Mapping[str, object]] = table.runs or {table.path.name: table.info}
    checks = check_table(infos)
    tables = [
        write_csv(verdict_frame(fits), out / "tables" / "verdicts.csv"),
        write_csv(cells, out / "tables" / "cells.csv"),
    ]
    bounded = bounds(cells, table.info, table.runs)
    if len(bounded):
        tables.append(write_csv(bounded, out / "tables" / "bounds.csv"))
    if len(checks):
        tables.append(write_csv(checks, out / "tables" / "checks.csv"))
    checked = correctness(infos, table.frame, seen, out)
    groups = draw_groups(seen, out, tell)
    pictures = [run.picture for run in checked if run.picture is not None]
    pictures += [picture for group in groups for picture in (*group.figures, *group.more)]
    table1 = table1_section(table, out)
    pictures += [] if table1 is None else [table1.picture]
    tables += [picture.table for picture in pictures]
    found = findings(rows, checks, checked, groups)
    absent = [run.left_out for run in checked if run.left_out]
    absent += [shown.without_figures] if shown.without_figures and not seen else absences(seen)
    subject = "attention scales" if shown.names == OUR_SIZES else "the cost grows"
    words = words_of(table, infos, fits, rows, cells) | {
        "title": f"How {subject}: {wording.listed([wording.one_line(n) for n in infos])}",
        "findings": found,
        "checked": checked,
        "table1": table1,
        "allowed": ALLOWED,
        "bounds": bound_table(bounded),
        "roofline": ROOFLINE,
        "groups": groups,
        "left_out": absent,
        "unjudged": unjudged,
    }
    index, summary = out / "index.html", out / "summary.md"
    write_pages(index, summary, words)
    return Report(
        path=out,
        index=index,
        summary=summary,
        figures=tuple(file for picture in pictures for file in picture.files),
        tables=tuple(tables),
        headline=" ".join(found),
        fits=tuple(fits),
        left_out=tuple(absent),
    )
