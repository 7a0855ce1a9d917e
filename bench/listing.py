"""Implementations and check results as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from rich.table import Table

from bench.verify import CheckResult, summary
from implementations.interface import Implementation

MOST_FAILURES = 6


def listing(implementation: Implementation) -> dict[str, Any]:
    """The entry of `list --json`; available means that this machine has a device for it."""
    here = {"cpu", "cuda"} if torch.cuda.is_available() else {"cpu"}
    available = not here.isdisjoint(implementation.devices)
    return {
        "name": implementation.name,
        "kind": implementation.kind,
        "title": implementation.title,
        "source": implementation.source,
        "time_law": implementation.time_law,
        "workspace_law": implementation.workspace_law,
        "supports": sorted(implementation.supports),
        "available": available,
        "reason": None if available else f"needs {' or '.join(implementation.devices)}",
    }


def listing_table(rows: Iterable[dict[str, Any]]) -> Table:
    """The implementations, a row each."""
    table = Table("name", "what it is", "time", "workspace", "available", box=None)
    for row in rows:
        available = "yes" if row["available"] else row["reason"]
        table.add_row(row["name"], row["title"], row["time_law"], row["workspace_law"], available)
    return table


def checks_table(results: Sequence[CheckResult]) -> Table:
    """How many checks of each implementation came out how, and how near the nearest was."""
    table = Table("implementation", *summary(()), "largest error / allowed", box=None)
    for name in dict.fromkeys(result.implementation for result in results):
        own = [result for result in results if result.implementation == name]
        ratios = [r.error / r.allowed for r in own if r.error is not None and r.allowed]
        nearest = f"{max(ratios):.2g}" if ratios else "–"
        table.add_row(name, *map(str, summary(own).values()), nearest)
    return table


def failing(results: Iterable[CheckResult]) -> list[str]:
    """One line for each of the first few checks that failed or raised, by implementation."""
    lines: dict[str, list[str]] = {}
    for result in results:
        if result.status in ("fail", "error"):
            lines.setdefault(result.implementation, []).append(f"{result.status}: {result}")
    shown = []
    for name, own in lines.items():
        shown += own[:MOST_FAILURES]
        if len(own) > MOST_FAILURES:
            shown.append(f"{name}: {len(own) - MOST_FAILURES} more checks failed (verify --json)")
    return shown


def declined(results: Iterable[CheckResult]) -> list[str]:
    """The distinct reasons of what is unsupported."""
    return sorted({r.reason for r in results if r.status == "unsupported" and r.reason})
