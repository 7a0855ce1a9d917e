"""The gate put to the test: it must catch every planted fault and let every oddity through."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import tests.planted
from bench.checks.results import CheckResult
from bench.checks.run_situation import verify
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.checks.tables import wide_console
from implementations.interface import Implementation
from implementations.specs import from_function
from tests.planted.planted import Planted


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A planted kernel and the first result that speaks against it, if there is one."""

    planted: Planted
    against: CheckResult | None

    @property
    def as_planted(self) -> bool:
        """Whether the gate caught a fault, or let a right kernel pass."""
        return (self.against is None) == (self.planted.killed_by is None)

    @property
    def killed_by(self) -> str | None:
        """The area and the check that caught it."""
        return None if self.against is None else f"{self.against.area}: {self.against.check}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON data."""
        return {
            "name": self.planted.name,
            "what": self.planted.what,
            "right": self.planted.killed_by is None,
            "killed_by": self.killed_by,
            "case": None if self.against is None else self.against.case.to_dict(),
            "as_planted": self.as_planted,
        }


def planted_kernels() -> list[Planted]:
    """Every kernel that the modules of `tests.planted` plant, faulty ones first."""
    found: list[Planted] = []
    for info in pkgutil.iter_modules(tests.planted.__path__, tests.planted.__name__ + "."):
        found += getattr(importlib.import_module(info.name), "PLANTED", ())
    return sorted(found, key=lambda one: one.killed_by is None)


def implementation_of(planted: Planted) -> Implementation:
    """The planted kernel as if a user had named it."""
    return from_function(planted.fn, name=planted.name)


def examine(
    kernels: Iterable[Planted] | None = None, cases: Sequence[CheckCase] | None = None
) -> Iterator[Finding]:
    """Check every kernel until something speaks against it, in this process and on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for planted in planted_kernels() if kernels is None else kernels:
            results = verify(implementation_of(planted), cases or check_cases())
            yield Finding(planted=planted, against=next((one for one in results if one.bad), None))
    finally:
        torch.set_num_threads(threads)


def tally(findings: Iterable[Finding]) -> dict[str, int]:
    """How many were caught and passed, of how many."""
    counts = {"faulty": 0, "faulty_caught": 0, "right": 0, "right_passed": 0}
    for one in findings:
        kind, outcome = ("faulty", "caught") if one.planted.killed_by else ("right", "passed")
        counts[kind] += 1
        counts[f"{kind}_{outcome}"] += one.as_planted
    return counts


def findings_table(findings: Sequence[Finding]) -> Table:
    """The kernels, a row each: what is planted, and what the gate says."""
    table = Table("kernel", "what it does", "caught by", "in case", box=None, padding=(0, 1, 0, 0))
    for one in findings:
        says = one.killed_by or "passes"
        case = "" if one.against is None else one.against.case.name
        says = says if one.as_planted else f"WRONG: {says}"
        table.add_row(one.planted.name, one.planted.what, says, case)
    return table


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as `verify --self-test --json` prints them."""
    return {"kernels": [one.to_dict() for one in findings], **tally(findings)}


def show(findings: Sequence[Finding], console: Console) -> None:
    """The findings for people, and how many there are."""
    wide_console(console).print(findings_table(findings))
    counts = tally(findings)
    print(
        f"{counts['faulty_caught']} of {counts['faulty']} faulty kernels caught; "
        f"{counts['right_passed']} of {counts['right']} right ones passed",
        file=console.file,
    )
