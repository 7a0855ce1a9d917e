"""The table as text, CSV, Markdown, LaTeX and JSON; the words are the same in all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.judge.result import Fit, Verdict
from reports.laws.grammar import parse
from reports.table1.against_published import Counted
from reports.table1.mechanism_rows import Row
from reports.table1.published import CONTROL
from reports.text import wording
from reports.text.latex import formula
from reports.verdicts.table import SIGNS
from reports.verdicts.verdict_rows import causes, verdict_rows

HEADINGS = (
    "layer",
    "operations a layer",
    "counted",
    "sequential",
    "counted",
    "path",
    "counted",
    "measured",
    "verdict",
    f"under {parse(CONTROL).unicode()}",
)
_HOLDS = {True: "✓", False: "✗"}
_WIDTHS = (14, 16, 10, 17, 19)  # with a space between them, 80 columns
_LETTERS = ("n", "d", "k", "r")


def notes(rows: Sequence[Row]) -> list[str]:
    """What the table counts, on whom, and what its letters are."""
    who = [
        row.subject
        if row.subject == row.published.measured
        else f"{row.subject}, timed as {row.published.measured}"
        for row in rows
    ]
    windows = [row.window for row in rows if row.window is not None]
    timed = f", {2 * windows[0] - 1} in what was timed" if windows else ""
    beyond = [f"{r.overtaken} for {r.published.title}" for r in rows if r.overtaken is not None]
    return [
        "n: sequence length; d: model width; k: kernel size, 3 here; r: positions that restricted "
        f"attention sees{timed}. Counted for one sequence, one head, forward.",
        "Operations: a multiply-add is two. Sequential: the longest chain of operators of a layer "
        "that wait for one another, each one step whatever its size. Path: operators from the "
        "first input to the last output in the smallest stack of layers that connects them.",
        f"Counted, from top to bottom: {'; '.join(who)}.",
        f"By the leading terms self-attention does more operations from n = {'; '.join(beyond)}.",
        "Convolutions are stacked causally; the dilated ones have taps k^layer positions apart. "
        f"Sources: {'; '.join(dict.fromkeys(row.published.source for row in rows))}.",
    ]


def cells(row: Row) -> list[str]:
    """The row under `HEADINGS`."""
    one = row.published
    return [
        one.title,
        one.time,
        _with_sign(row.flops),
        one.sequential,
        _with_sign(row.sequential),
        one.path,
        _with_sign(row.path),
        ", ".join(exponents(row.fit)),
        _verdict(row.fit),
        _verdict(row.control),
    ]


def exponents(fit: Fit | None) -> list[str]:
    """`n 2.00 [1.98, 2.02]` for each size; the reason where there is none."""
    if fit is None:
        return ["not measured"]
    return [f"{name} {wording.interval(one)}" for name, one in fit.exponents.items()]


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """Draw the table in 80 columns; what was counted stands below what was published.

    Why a published law was not confirmed comes below.
    """
    table = Table(box=None, padding=(0, 1, 1, 0), pad_edge=False, header_style="bold")
    headings = ("layer", "operations", "sequential", "path", "time, measured")
    for heading, width in zip(headings, _WIDTHS, strict=True):
        table.add_column(heading, overflow="fold", width=width)
    for row in rows:
        title, time, flops, sequential, rounds, path, length, _, verdict, control = cells(row)
        measured = [verdict, *exponents(row.fit), f"{HEADINGS[-1]}:", control]
        measured = measured if row.fit is not None else [verdict]
        table.add_row(
            Text(title),
            *(
                Text("\n".join(lines))
                for lines in ((time, flops), (sequential, rounds), (path, length), measured)
            ),
        )
    console.print(table)
    fits = [row.fit for row in rows if row.fit and row.fit.verdict is not Verdict.CONFIRMED]
    for cause in causes(verdict_rows(fits)):
        words = " ".join(filter(None, (cause.sentence, cause.next_step)))
        console.print(Text.assemble((cause.code, "bold"), f" ({cause.who}): {words}"))
    for note in notes(rows):
        console.print(Text(note, style="dim"))


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """A line a mechanism, numbers as numbers, whether a count holds as true or false."""
    lines = []
    for row in rows:
        one = row.published
        line: dict[str, object] = {"layer": one.title, "source": one.source}
        for name, published, counted in (
            ("operations", one.time, row.flops),
            ("sequential", one.sequential, row.sequential),
            ("path", one.path, row.path),
        ):
            line |= {name: published, f"{name}_counted": counted.text}
            line[f"{name}_holds"] = counted.holds
        line |= {"overtaken_from_n": row.overtaken, "counted": row.subject}
        line |= {"measured": one.measured, "window": row.window}
        for letter in ("n", "d"):
            found = None if row.fit is None else row.fit.exponents.get(letter)
            line[f"{letter}_exponent"] = found.estimate if found else None
            line[f"{letter}_low"] = found.low if found else None
            line[f"{letter}_high"] = found.high if found else None
        for name, fit in (("verdict", row.fit), ("control", row.control)):
            line[f"{name}_claim"] = None if fit is None else fit.claim
            line[name] = None if fit is None else str(fit.verdict)
            line[f"{name}_reasons"] = None if fit is None else " ".join(fit.reasons)
        lines.append(line)
    return pd.DataFrame(lines)


def csv_text(rows: Sequence[Row]) -> str:
    """The frame as CSV."""
    return frame(rows).to_csv(index=False, lineterminator="\n")


def json_text(rows: Sequence[Row]) -> str:
    """The frame as one JSON document, null where a number is missing."""
    lines = json.loads(frame(rows).to_json(orient="records", force_ascii=False))
    return json.dumps({"rows": lines, "notes": notes(rows)}, indent=2, ensure_ascii=False) + "\n"


def markdown_text(rows: Sequence[Row]) -> str:
    """A table in Markdown, and its notes."""
    told = [_markdown_line(HEADINGS), "|" + "---|" * len(HEADINGS)]
    told += [_markdown_line(cells(row)) for row in rows]
    return "\n".join([*told, "", *(f"- {wording.markdown(note)}" for note in notes(rows)), ""])


def latex_text(rows: Sequence[Row]) -> str:
    """A tabular that needs no package beyond amssymb."""
    lines = [r"\begin{tabular}{" + "l" * len(HEADINGS) + "}", r"\hline"]
    lines.append(" & ".join(map(latex, HEADINGS)) + r" \\")
    lines.append(r"\hline")
    lines += [" & ".join(map(latex, cells(row))) + r" \\" for row in rows]
    lines += [r"\hline", r"\end{tabular}"]
    lines += [f"% {note}" for note in notes(rows)]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """The text with its formulas, word by word, in mathematical mode."""
    return " ".join(word if _is_word(word) else f"${formula(word)}$" for word in text.split())


def _is_word(text: str) -> bool:
    return text not in _LETTERS and re.fullmatch(r"\(?[A-Za-z][a-z-]*\)?,?", text) is not None


def _markdown_line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(map(wording.markdown, texts)) + " |"


def _with_sign(counted: Counted) -> str:
    return f"{counted.text}\N{NO-BREAK SPACE}{_HOLDS[counted.holds]}"


def _verdict(fit: Fit | None) -> str:
    return "not measured" if fit is None else f"{SIGNS[fit.verdict]} {fit.verdict}"
