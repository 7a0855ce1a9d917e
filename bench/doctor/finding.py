"""A finding, and what many of them amount to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["good", "warning", "problem", "unknown"]
Verdict = Literal["fit", "fit with warnings", "not fit"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; unknown is what this machine does not tell, and no fault."""

    name: str
    status: Status
    found: str
    advice: str | None = None
    value: float | int | str | None = None
    unit: str | None = None


def judged(
    name: str,
    status: Status,
    found: str,
    *,
    advice: str | None = None,
    value: float | str | None = None,
    unit: str | None = None,
) -> Finding:
    """A finding; what is good needs no advice."""
    told = None if status == "good" else advice
    return Finding(name=name, status=status, found=found, advice=told, value=value, unit=unit)


def unknown(name: str, found: str, advice: str | None = None) -> Finding:
    """What this machine does not tell."""
    return judged(name, "unknown", found, advice=advice)


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
    problems, warnings = statuses.count("problem"), statuses.count("warning")
    both = [counted(problems, "problem")] if problems else []
    both += [counted(warnings, "warning")] if warnings else []
    if problems:
        return f"This machine is not fit to measure on now: {' and '.join(both)}."
    return f"This machine is fit to measure on{', with ' + both[0] if both else ''}."


def counted(number: int, word: str, several: str | None = None) -> str:
    """A number with its word, such as `1 thread` or `2 threads`."""
    return f"{number} {word if number == 1 else several or word + 's'}"
