"""A comparison in words: for the terminal, and as Markdown for the comment on a pull request."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from reports.cells.case_columns import SIZES
from reports.comparison.changes import CONFIDENCE, SeriesChange
from reports.comparison.compared import Comparison
from reports.comparison.comparison_document import document_of
from reports.comparison.judged_laws import LawChange
from reports.comparison.ratios import Finding, Ratio
from reports.text.labels import label_of
from reports.text.wording import (
    NOTHING,
    capital,
    count,
    exponent,
    listed,
    markdown,
    one_line,
    percent,
    seconds,
    times,
)

MOST_CELLS, WIDTH = 8, 80
_HEADINGS = ("implementation", "times as long", "finding", "also")
_CELL_HEADINGS = ("implementation", *SIZES, "base", "new", "times as long", "finding")
_COLOURS = {Finding.FASTER: "green", Finding.SLOWER: "red"}
Rows = list[tuple[str, ...]]


def headline(found: Comparison) -> str:
    """The answer in one sentence or two: who is slower, who is faster, whose law changed."""
    told = []
    for finding in (Finding.SLOWER, Finding.FASTER):
        names = [
            f"{_label(found, one, base)} ({times(one.ratio.estimate)} times as long)"
            for one, base in _series(found)
            if one.ratio.finding is finding and found.is_judged
        ]
        if names:
            told.append(f"{capital(finding)}: {listed(names)}.")
    for (one, base), laws in zip(_series(found), found.laws, strict=True):
        changed = _changed_laws(found, one, base, laws) if found.is_judged else []
        if changed:
            told.append(f"Another law: {_label(found, one, base)}, {listed(changed)}.")
    if told:
        return " ".join(told)
    if not found.is_judged:
        return "Two machines are compared: ratios and exponents only."
    if all(one.ratio.finding is Finding.SAME for one, _ in _series(found)):
        return "All series are the same."
    return "No series is faster or slower beyond doubt."


def notes(found: Comparison) -> list[str]:
    """What a reader must know of how it was compared, a sentence or two each."""
    told = []
    if not found.is_judged:
        told.append(f"Not measured alike: {listed(found.other_conditions)}.")
    elif found.changes.controls:
        controls = list(dict.fromkeys(found.changes.controls))
        is_single = len(found.changes.controls) == 1
        told.append(
            f"The machine took {times(found.changes.pace)} times as long for all cells in "
            f"{found.new}, as {listed(controls)} {'shows' if is_single else 'show'}. This is taken "
            f"out{f', but not for {controls[0]} itself' if is_single else ''}."
        )
    elif found.is_of_two_runs:
        told.append(
            "Nothing tells how the pace of the machine changed between the runs, so the intervals "
            "are wide. Measure three implementations or more in both, or one whose source did not "
            "change beside those whose source did."
        )
    if found.is_gpu_time:
        told.append("Times are GPU times, without the launch of a call.")
    missing = [
        f"{count(number, 'cell')} only in {run}"
        for number, run in ((found.only_base, found.base), (found.only_new, found.new))
        if number
    ]
    if missing:
        told.append(f"Not compared: {listed(missing)}, or with too few readings there.")
    told += [f"{name} shares no cell with {found.base}." for name in found.unmatched]
    told.append(
        f"The intervals are corrected for {found.changes.intervals} comparisons at "
        f"{percent(CONFIDENCE)}. On a shared machine more answers are wrong (docs/comparing.md)."
    )
    return told


def print_comparison(found: Comparison, console: Console) -> None:
    """The answer, a line a series, the cells that differ from their series, and notes."""
    console.print(Text(one_line(headline(found))), soft_wrap=False)
    console.print(_table(_HEADINGS, _series_rows(found), found))
    cells, more = _cell_rows(found)
    if cells:
        console.print("Cells that differ from their series:")
        console.print(_table(_CELL_HEADINGS, cells, found))
    if more:
        console.print(f"and {count(more, 'cell')} more, which --format json has")
    for note in notes(found):
        console.print(Text(one_line(note)))


def markdown_text(found: Comparison) -> str:
    """The same as Markdown; no name acts as markup."""
    lines = [f"**{markdown(headline(found))}**", "", *_markdown(_HEADINGS, _series_rows(found))]
    cells, more = _cell_rows(found)
    if cells:
        lines += ["", "Cells that differ from their series:", ""]
        lines += _markdown(_CELL_HEADINGS, cells)
    if more:
        lines += ["", f"and {count(more, 'cell')} more"]
    for note in notes(found):
        lines += ["", markdown(note)]
    return "\n".join(lines) + "\n"


def written(found: Comparison, name: str) -> str:
    """The answer as text, markdown or json, as it is written to a file."""
    if name == "json":
        return json.dumps(document_of(found), allow_nan=False, indent=2) + "\n"
    if name == "markdown":
        return markdown_text(found)
    file = io.StringIO()
    print_comparison(found, Console(file=file, width=WIDTH, color_system=None))
    return file.getvalue()


def _series(found: Comparison) -> list[tuple[SeriesChange, str]]:
    return list(zip(found.changes.series, found.bases, strict=True))


def _label(found: Comparison, one: SeriesChange, base: str) -> str:
    name = label_of(one.series.group)
    return name if _is_same_kernel(found, one, base) else f"{name} against {base}"


def _is_same_kernel(found: Comparison, one: SeriesChange, base: str) -> bool:
    return base in (one.series.name, one.series.name + found.suffix)


def _series_rows(found: Comparison) -> Rows:
    return [
        (
            _label(found, one, base),
            _ratio(one.ratio),
            _finding(found, one.ratio),
            _also(found, one, base, laws),
        )
        for (one, base), laws in zip(_series(found), found.laws, strict=True)
    ]


def _also(found: Comparison, one: SeriesChange, base: str, laws: Mapping[str, LawChange]) -> str:
    """What else changed in a series."""
    told = _changed_laws(found, one, base, laws)
    told += [
        f"goes as {size}^{exponent(one.growth[size].estimate)} over these sizes"
        for size, law in laws.items()
        if not law.is_another_law
    ]
    if one.fixed is not None:
        more = "more" if one.fixed.seconds > 0 else "less"
        told.append(f"a fixed cost of {seconds(abs(one.fixed.seconds))} a call {more}")
    if one.workspace is not None and one.workspace != (1.0, 1.0):
        low, high = (times(bound) for bound in one.workspace)
        told.append(f"{low if low == high else f'{low} to {high}'} times the workspace")
    if one.series.name in found.changed:
        told.append("its source changed")
    return "; ".join(told)


def _changed_laws(
    found: Comparison, one: SeriesChange, base: str, laws: Mapping[str, LawChange]
) -> list[str]:
    """How the law changed: `n^2.00 became n^2.21`; of another kernel `n^2.21 against n^2.00`."""
    told = []
    for size, law in laws.items():
        if law.is_another_law and law.base.estimate is not None and law.new.estimate is not None:
            powers = (law.base.estimate, law.new.estimate)
            before, now = (f"{size}^{exponent(power)}" for power in powers)
            is_same = _is_same_kernel(found, one, base)
            told.append(f"{before} became {now}" if is_same else f"{now} against {before}")
    return told


def _cell_rows(found: Comparison) -> tuple[Rows, int]:
    """The cells that differ most from their series, and how many more do."""
    farthest = sorted(found.apart, key=lambda place: -abs(math.log(found.apart[place])))
    shown = set(farthest[:MOST_CELLS])
    rows: Rows = []
    for one, base in _series(found):
        for place in sorted(shown.intersection(one.series.rows)):
            cell = found.differences.cells.iloc[place]
            rows.append(
                (
                    _label(found, one, base),
                    *(f"{cell[column]:g}" for column in SIZES.values()),
                    *(seconds(float(cell[name])) for name in ("base_s", "new_s")),
                    _ratio(found.changes.cells[place]),
                    _finding(found, found.changes.cells[place]),
                )
            )
    return rows, len(farthest) - len(shown)


def _ratio(ratio: Ratio) -> str:
    bounds = (ratio.low, ratio.high)
    if ratio.low is None or ratio.high is None:
        return times(ratio.estimate)
    low, high = (times(bound) for bound in bounds if bound is not None)
    return f"{times(ratio.estimate)} [{low}, {high}]"


def _finding(found: Comparison, ratio: Ratio) -> str:
    return str(ratio.finding) if found.is_judged else NOTHING


def _table(headings: Sequence[str], rows: Rows, found: Comparison) -> Table:
    table = Table(*(Column(one, overflow="fold") for one in headings), box=None, pad_edge=False)
    for row in rows:
        cells = [Text(one_line(one)) for one in row]
        place = headings.index("finding")
        cells[place].stylize(_COLOURS.get(Finding(row[place]), "") if found.is_judged else "")
        table.add_row(*cells)
    return table


def _markdown(headings: Sequence[str], rows: Rows) -> list[str]:
    return [
        f"| {' | '.join(headings)} |",
        f"|{'---|' * len(headings)}",
        *(f"| {' | '.join(markdown(one) for one in row)} |" for row in rows),
    ]
