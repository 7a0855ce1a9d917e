"""The table as text, CSV, Markdown, LaTeX and JSON; the words are the same in all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.judge.result import Fit
from reports.laws.grammar import parse
from reports.table1.counted import Counted
from reports.table1.published import CONTROL
from reports.table1.rows import Row
from reports.text import wording
from reports.verdicts.table import SIGNS

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
_LETTERS = ("n", "d", "k", "r")
_IN_LATEX = {
    "·": r" \cdot ",
    "−": "-",
    "⌈": r"\lceil ",
    "⌉": r"\rceil",
    "log": r"\log",
    "✓": r"\checkmark",
    "✗": r"\times",
    **{raised: f"^{number}" for number, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{lowered: f"_{number}" for number, lowered in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}


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
    beyond = [f"{r.overtaken} ({r.published.title})" for r in rows if r.overtaken is not None]
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
        exponents(row.fit),
        _verdict(row.fit),
        _verdict(row.control),
    ]


def exponents(fit: Fit | None) -> str:
    """`n 2.00 [1.98, 2.02], d 1.00 [0.97, 1.03]`."""
    if fit is None:
        return "not measured"
    return ", ".join(f"{name} {wording.interval(one)}" for name, one in fit.exponents.items())


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """Draw the table; what was counted stands below what was published."""
    table = Table(title="Table 1: published, counted, measured", box=box.SIMPLE, show_lines=True)
    for heading in ("layer", "operations a layer", "sequential", "path", "time, measured"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        title, time, flops, sequential, rounds, path, length, *measured = cells(row)
        power, verdict, control = measured
        under = f"{HEADINGS[-1]}: {control}"
        table.add_row(
            Text(title),
            Text(f"{time}\n{flops}"),
            Text(f"{sequential}\n{rounds}"),
            Text(f"{path}\n{length}"),
            Text(f"{verdict}\n{power.replace(', d', f'{chr(10)}d')}\n{under}"),
        )
    console.print(table)
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
    return " ".join(word if _is_word(word) else f"${_formula(word)}$" for word in text.split())


def _is_word(text: str) -> bool:
    return text not in _LETTERS and re.fullmatch(r"[A-Za-z][a-z-]*,?", text) is not None


def _formula(text: str) -> str:
    for sign, command in _IN_LATEX.items():
        text = text.replace(sign, command)
    return text.strip()


def _markdown_line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(map(wording.markdown, texts)) + " |"


def _with_sign(counted: Counted) -> str:
    return f"{counted.text} {_HOLDS[counted.holds]}"


def _verdict(fit: Fit | None) -> str:
    return "not measured" if fit is None else f"{SIGNS[fit.verdict]} {fit.verdict}"
