"""A finding, what many of them amount to, and how people read them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

Status = Literal["good", "warning", "problem", "unknown"]
Verdict = Literal["fit", "fit with warnings", "not fit"]

WIDEST = 100
LABELS: dict[Status, tuple[str, str]] = {
    "problem": ("PROBLEM", "bold red"),
    "warning": ("WARNING", "yellow"),
    "unknown": ("unknown", "dim"),
    "good": ("good", "green"),
}
"""The word and the style of each status."""
INDENT = len("PROBLEM") + 2
DO = "-> "


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; unknown is what this machine does not tell, and no fault.

    What is good needs no advice, and keeps none.
    """

    name: str
    status: Status
    found: str
    _: KW_ONLY
    advice: str | None = None
    value: float | int | str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.status == "good":
            object.__setattr__(self, "advice", None)


def unknown(name: str, found: str, advice: str | None = None) -> Finding:
    """What this machine does not tell."""
    return Finding(name, "unknown", found, advice=advice)


def grade(value: float, *, warning_above: float, problem_above: float = float("inf")) -> Status:
    """The status of a number of which less is better."""
    if value > problem_above:
        return "problem"
    return "warning" if value > warning_above else "good"


def verdict(findings: Iterable[Finding]) -> Verdict:
    """What the findings amount to: the worst decides, and what is unknown does not count."""
    found = {one.status for one in findings}
    if "problem" in found:
        return "not fit"
    return "fit with warnings" if "warning" in found else "fit"


def headline(findings: Iterable[Finding]) -> str:
    """The verdict as a sentence, with the number of problems and warnings."""
    statuses = [one.status for one in findings]
    numbers = {word: statuses.count(word) for word in ("problem", "warning")}
    faults = " and ".join(counted(number, word) for word, number in numbers.items() if number)
    if numbers["problem"]:
        return f"This machine is not fit to measure on now: {faults}."
    return f"This machine is fit to measure on{', with ' + faults if faults else ''}."


def counted(number: int, word: str, several: str | None = None) -> str:
    """A number with its word, such as `1 thread` or `2 threads`."""
    return f"{number} {word if number == 1 else several or word + 's'}"


def show(findings: Sequence[Finding], console: Console) -> None:
    """The verdict, then every finding with what to do about it; the worst come first.

    It is read on any terminal and without colour.
    """
    lines = [Text(headline(findings), style="bold"), Text()]
    width = min(console.width, WIDEST)
    for status, (label, style) in LABELS.items():
        for finding in findings:
            if finding.status == status:
                first, *more = _wrapped(finding.found, label.ljust(INDENT), width)
                # Only the word is coloured: the sentence must be read on any background.
                lines += [Text.assemble((first[:INDENT], style), first[INDENT:]), *map(Text, more)]
                lines += map(Text, _wrapped(finding.advice or "", " " * INDENT + DO, width))
    for line in lines:
        # They are wrapped already, and a command is to be copied in one piece.
        console.print(line, soft_wrap=True)


def _wrapped(text: str, start: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
        break_long_words=False,
    )
