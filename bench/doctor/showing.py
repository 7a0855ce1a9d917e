"""The findings as people read them, on any terminal and without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from bench.doctor.finding import Finding, Status, headline

WIDEST = 100
LABELS: dict[Status, str] = {
    "problem": "PROBLEM",
    "warning": "WARNING",
    "unknown": "unknown",
    "good": "good",
}
STYLES: dict[Status, str] = {
    "problem": "bold red",
    "warning": "yellow",
    "unknown": "dim",
    "good": "green",
}
INDENT = max(map(len, LABELS.values())) + 2
DO = "-> "


def show(findings: Sequence[Finding], console: Console) -> None:
    """The verdict, then every finding with what to do about it; the worst come first."""
    _print(console, Text(headline(findings), style="bold"))
    _print(console, Text())
    width = min(console.width, WIDEST)
    for status, label in LABELS.items():
        for one in findings:
            if one.status == status:
                for line in _lines(one.found, label.ljust(INDENT), width):
                    # Only the word is coloured: the sentence must be read on any background.
                    text = Text(line)
                    text.stylize(STYLES[status], 0, INDENT if line.startswith(label) else 0)
                    _print(console, text)
                for line in _lines(one.advice or "", " " * INDENT + DO, width):
                    _print(console, Text(line))


def _lines(text: str, start: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _print(console: Console, text: Text) -> None:
    # The lines are wrapped already, and a command is to be copied in one piece.
    console.print(text, soft_wrap=True)
