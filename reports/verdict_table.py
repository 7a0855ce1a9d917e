"""The verdicts as rows: the same table in HTML, Markdown, CSV and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports import wording
from reports.judgement import Fit, Interval, Verdict
from reports.labels import label_of
from reports.verdict import COSTS, REASONS, Reason, capital, explain, reason_of

SIGNS = {Verdict.CONFIRMED: "✓", Verdict.REFUTED: "✗", Verdict.INCONCLUSIVE: "?"}
MOST_COLUMNS = 2
"""Columns of exponents that a table has room for; more letters are listed in one column."""
_COLOURS = {Verdict.CONFIRMED: "green", Verdict.REFUTED: "red", Verdict.INCONCLUSIVE: "yellow"}


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One fit as the tables show it.

    `label` names the group by its implementation and by whatever else varies among the fits;
    `exponents` maps size letters to intervals; `residual` is the rms of the log residuals, about
    a share of the cost; `value` is the column of the cost; `explanation` is for people;
    `disputed` says that the median and the minimum of readings lead to other verdicts; `meanings`
    has what each reason code means for this fit.
    """

    label: str
    group: Mapping[str, object]
    claim: str
    verdict: Verdict
    exponents: Mapping[str, Interval]
    residual: float | None
    cells: int
    reasons: tuple[str, ...]
    value: str
    explanation: str
    disputed: bool = False
    meanings: Mapping[str, Reason] = field(default_factory=dict)

    def exponent(self, letter: str) -> str:
        """The exponent of a size with its interval as text; a dash where there is none."""
        return wording.interval(self.exponents.get(letter))


@dataclass(frozen=True, kw_only=True)
class Section:
    """The rows that judge one cost, with the size letters that they have exponents of."""

    title: str
    rows: tuple[VerdictRow, ...]
    letters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A reason code with those it concerns, what it means, and what to do about it."""

    code: str
    who: str
    sentence: str
    next_step: str


def verdict_rows(fits: Sequence[Fit]) -> list[VerdictRow]:
    """One row a fit, in the order given, with labels that tell them apart."""
    varying = _varying([fit.group for fit in fits])
    return [
        VerdictRow(
            label=label_of({name: fit.group[name] for name in varying if name in fit.group}),
            group=dict(fit.group),
            claim=fit.claim,
            verdict=fit.verdict,
            exponents=dict(fit.exponents),
            residual=fit.rms_residual,
            cells=fit.cells,
            reasons=tuple(fit.reasons),
            value=fit.value,
            explanation=explain(fit),
            disputed=fit.other_verdict is not None,
            meanings={code: reason_of(fit, code) for code in fit.reasons if code in REASONS},
        )
        for fit in fits
    ]


def sections(rows: Sequence[VerdictRow]) -> list[Section]:
    """The rows by cost, time first."""
    values = sorted({row.value for row in rows}, key=lambda value: (value != "time_s", value))
    found = []
    for value in values:
        part = tuple(row for row in rows if row.value == value)
        letters = dict.fromkeys(letter for row in part for letter in row.exponents)
        title = capital(COSTS.get(value, value))
        found.append(Section(title=title, rows=part, letters=tuple(letters)))
    return found


def causes(rows: Sequence[VerdictRow]) -> list[Cause]:
    """Every reason among the rows, once, in order of first appearance.

    A code that means different things for different fits comes once for each.
    """
    found = dict.fromkeys(pair for row in rows for pair in row.meanings.items())
    return [
        Cause(
            code=code,
            who=_concerned(rows, code, reason),
            sentence=reason.sentence,
            next_step=reason.next_step,
        )
        for code, reason in sorted(found, key=_first_appearance(rows))
    ]


def _first_appearance(rows: Sequence[VerdictRow]) -> Callable[[tuple[str, Reason]], int]:
    """The order of codes, so that the meanings of one stand together."""
    codes = list(dict.fromkeys(code for row in rows for code in row.meanings))
    return lambda pair: codes.index(pair[0])


def _concerned(rows: Sequence[VerdictRow], code: str, reason: Reason) -> str:
    """Who has the reason: `sdpa and loop`, or `time: sdpa; workspace: loop`."""
    named = {
        section.title: wording.listed(
            [row.label for row in section.rows if row.meanings.get(code) == reason]
        )
        for section in sections(rows)
    }
    if len(named) == 1:
        return "".join(named.values())
    return "; ".join(
        f"{title[:1].lower()}{title[1:]}: {names}" for title, names in named.items() if names
    )


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

    Fits 80 columns: what belongs together is stacked, and reasons come below the tables. `subject`
    is what the groups are: by default the column that names them.
    """
    keys = {key for fit in fits for key in fit.group}
    if subject is None:
        subject = "implementation" if "implementation" in keys else ", ".join(keys) or "table"
    rows = verdict_rows(fits)
    for section in sections(rows):
        console.print(Text(section.title, style="bold"))
        console.print(_drawn(section, subject))
    for row in rows:
        if row.verdict is not Verdict.CONFIRMED or row.disputed or _changed(row):
            console.print(Text.assemble((row.label, "bold"), f": {row.explanation}"))
    for cause in causes(rows):
        console.print(
            Text.assemble(
                (cause.code, "bold"), f" ({cause.who}): {cause.sentence} {cause.next_step}"
            )
        )


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
            Text.assemble(row.label, "\n", (row.claim, "dim")),
            Text(f"{SIGNS[row.verdict]} {row.verdict}", style=_COLOURS[row.verdict]),
            *_exponent_cells(row, section, wide=wide),
            wording.percent(row.residual),
            str(row.cells),
        )
    return table


def _exponent_cells(row: VerdictRow, section: Section, *, wide: bool) -> list[Text]:
    if wide:
        texts = [row.exponent(letter).replace(" [", "\n[") for letter in section.letters]
    else:
        texts = ["\n".join(f"{letter} {row.exponent(letter)}" for letter in row.exponents)]
    return [Text(text) for text in texts]


def _varying(groups: Sequence[Mapping[str, object]]) -> list[str]:
    """The keys to name a group by: the implementation always, the others where they differ."""
    keys = list(dict.fromkeys(key for group in groups for key in group))
    return [
        key
        for key in keys
        if key == "implementation" or len({str(group.get(key)) for group in groups}) > 1
    ]
