"""The verdicts as a table: CSV and the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.judge.result import Fit, Verdict
from reports.text import wording
from reports.text.wording import by_text
from reports.verdicts.reasons import REASONS
from reports.verdicts.verdict_rows import (
    Section,
    VerdictRow,
    causes,
    concerned,
    sections,
    verdict_rows,
)

SIGNS = {Verdict.CONFIRMED: "✓", Verdict.REFUTED: "✗", Verdict.INCONCLUSIVE: "?"}
MOST_COLUMNS = 2
"""Columns of exponents that a table has room for; more letters are listed in one column."""
MOST_SAID = 6
"""Texts that differ in their numbers, below one reason."""
COLOURS = {Verdict.CONFIRMED: "green", Verdict.REFUTED: "red", Verdict.INCONCLUSIVE: "yellow"}


def verdict_frame(fits: Sequence[Fit]) -> pd.DataFrame:
    """The table behind `verdicts.csv`: numbers as numbers, one column for each bound."""
    rows = []
    letters = list(dict.fromkeys(letter for fit in fits for letter in fit.exponents))
    for fit in fits:
        row: dict[str, object] = {str(name): value for name, value in fit.group.items()}
        row |= {"claim": fit.claim, "verdict": str(fit.verdict)}
        for letter in letters:
            found = fit.exponents.get(letter)
            row[f"{letter}_exponent"] = found.estimate if found else None
            row[f"{letter}_low"] = found.low if found else None
            row[f"{letter}_high"] = found.high if found else None
        row |= {
            "rms_residual": fit.rms_residual,
            "cells": fit.cells,
            "reasons": " ".join(fit.reasons),
            "confidence": fit.confidence,
            "tolerance": fit.tolerance,
            "value": fit.value,
            "law": " + ".join(f"{term.coefficient:.6g}*{term.term}" for term in fit.terms),
            "statistic": fit.statistic,
            "readings": fit.readings,
            "set_aside": fit.set_aside,
            "other_verdict": None if fit.other_verdict is None else str(fit.other_verdict),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def print_verdicts(fits: Sequence[Fit], console: Console, *, subject: str | None = None) -> None:
    """Draw a table for each cost on the console, then why, for whatever was not confirmed.

    Fits 80 columns: what belongs together is stacked, and reasons come below the tables, each once.
    `subject` is what the groups are: by default the column that names them.
    """
    rows = verdict_rows(fits)
    print_tables(rows, console, subject=subject)
    costs = len(sections(rows))
    for text, own in by_text((row.remark, row) for row in rows).items():
        if text:
            who = concerned(own, of_costs=costs)
            console.print(Text.assemble((who, "bold"), f": {text}"))
    for cause in causes(rows, told=_told):
        words = " ".join(filter(None, (cause.sentence, cause.shared, cause.next_step)))
        console.print(Text.assemble((cause.code, "bold"), f" ({cause.who}): {words}"))
        for one in cause.several[:MOST_SAID]:
            console.print(Text.assemble("  ", (one.who, "bold"), f": {one.text}"))
        if len(cause.several) > MOST_SAID:
            console.print(f"  and {len(cause.several) - MOST_SAID} more such; --json has them all")


def print_tables(
    rows: Sequence[VerdictRow], console: Console, *, subject: str | None = None
) -> None:
    """Draw a table for each cost."""
    keys = dict.fromkeys(key for row in rows for key in row.fit.group)
    if subject is None:
        subject = "implementation" if "implementation" in keys else ", ".join(keys) or "table"
    for section in sections(rows):
        spans = {row.span for row in section.rows}
        shared = spans.pop() if len(spans) == 1 else ""
        console.print(Text.assemble((section.title, "bold"), shared))
        console.print(_drawn(section, subject))


def _told(row: VerdictRow) -> bool:
    """Whether a reader of the terminal should hear of the numbers of the row."""
    return row.fit.verdict is not Verdict.CONFIRMED or bool(row.remark) or _changed(row)


def _changed(row: VerdictRow) -> bool:
    """Whether the cost jumps by a recorded cause, which a reader should hear of either way."""
    return row.meanings.get("regime_change", REASONS["regime_change"]) != REASONS["regime_change"]


def _drawn(section: Section, subject: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(f"{subject}\nclaim", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    # Three columns of intervals leave no room for names; one column then lists them.
    wide = len(section.letters) <= MOST_COLUMNS
    for heading in [f"{letter} exponent" for letter in section.letters] if wide else ["exponents"]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("residual", justify="right", no_wrap=True)
    table.add_column("cells", justify="right", no_wrap=True)
    for row in section.rows:
        table.add_row(
            Text.assemble(row.label, "\n", (row.fit.claim, "dim")),
            Text(f"{SIGNS[row.fit.verdict]} {row.fit.verdict}", style=COLOURS[row.fit.verdict]),
            *_exponent_cells(row, section, wide=wide),
            wording.percent(row.fit.rms_residual),
            str(row.fit.cells),
        )
    return table


def _exponent_cells(row: VerdictRow, section: Section, *, wide: bool) -> list[Text]:
    if wide:
        texts = [row.exponent(letter).replace(" [", "\n[") for letter in section.letters]
    else:
        texts = ["\n".join(f"{letter} {row.exponent(letter)}" for letter in row.fit.exponents)]
    return [Text(text) for text in texts]
