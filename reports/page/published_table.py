"""The section of the page that holds a run against Table 1 of Vaswani et al. 2017."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.page.pictures import Picture, Words, picture
from reports.table1.mechanism_rows import table_rows
from reports.table1.outputs import COUNTS, FOLDER
from reports.table1.picture import STEM, draw, finding
from reports.table1.written import HEADINGS, cells, notes
from reports.tables.read import Table
from reports.verdicts.doubts import MARK


@dataclass(frozen=True, kw_only=True)
class Section:
    """The table under its headings, the notes below, and the figure."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    picture: Picture


def table1_section(table: Table, out: Path) -> Section | None:
    """The table of a single run, its figure drawn into `out`.

    None where `attnscale table1` has not counted the mechanisms beside the records, or none of them
    was measured.
    """
    folder = table.path if table.path.is_dir() else table.path.parent
    counts = folder / FOLDER / COUNTS
    if not counts.is_file() or len(table.runs) > 1 or "implementation" not in table.frame:
        return None
    names = table.frame["implementation"].astype(str).str.removesuffix(MARK)
    frame = table.frame.assign(implementation=names)
    try:
        counted = json.loads(counts.read_text(encoding="utf-8"))
        rows = table_rows(counted, frame, table.info)
        figure, points = draw(rows, counted, frame)
    except (ValueError, TypeError, LookupError):  # none was measured, or the file is another's
        return None
    alt = "; ".join(f"{name}: {', '.join(told)}" for name, *told in map(cells, rows))
    words = Words(finding(rows), "What is timed and counted is told in the notes above.", alt)
    return Section(
        headings=HEADINGS,
        rows=[cells(row) for row in rows],
        notes=notes(rows),
        picture=picture(figure, points, STEM, out, words),
    )
