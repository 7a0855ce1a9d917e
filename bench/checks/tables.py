"""Implementations and check results as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.checks.probes.agreement import CHECK as AGREES_WITH
from bench.checks.results import UNCHECKED, CheckResult
from bench.checks.situation import AREAS
from bench.checks.traits import ALL_KINDS
from implementations.case import Case
from implementations.interface import Implementation

MOST_CAUSES = 12
# A table is not squeezed into 80 columns where there is no terminal of that width.
PLAIN_WIDTH = 140
LEGEND = (
    "pass n/m: of m checks n apply and passed; FAIL n: so many failed or raised; "
    "–: unsupported, or not asked; nearest: largest error / allowed"
)


def wide_console(console: Console) -> Console:
    """The console, or one of a fixed width where there is no terminal to measure."""
    return console if console.is_terminal else Console(file=console.file, width=PLAIN_WIDTH)


def listing(implementation: Implementation) -> dict[str, Any]:
    """The entry of `list --json`; available means that this machine has what it needs."""
    here = {"cpu", "cuda"} if torch.cuda.is_available() else {"cpu"}
    reasons = [
        implementation.unsupported(Case(seq_len=1, device=device, dtype=dtype))
        for device in implementation.devices
        if device in here
        for dtype in implementation.dtypes
    ] or [f"needs {' or '.join(implementation.devices)}"]
    reason = None if None in reasons else reasons[0]
    told = ("name", "kind", "title", "source", "time_law", "workspace_law")
    return {
        **{name: getattr(implementation, name) for name in told},
        "supports": sorted(implementation.supports),
        "available": reason is None,
        "reason": reason,
    }


def listing_table(rows: Iterable[dict[str, Any]]) -> Table:
    """The implementations, a row each; names and laws are never cut."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("name", "time", "workspace"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what it is")
    for row in rows:
        missing = "" if row["available"] else f" (not available: {row['reason']})"
        title = escape(f"{row['title']}{missing}")
        table.add_row(escape(row["name"]), row["time_law"], row["workspace_law"], title)
    return table


def checks_table(results: Sequence[CheckResult]) -> Table:
    """Implementations × areas of checks: pass, FAIL or unsupported."""
    areas = [area for area in AREAS if area != "agreement"]
    heads = [area.replace("gradients", "grads") for area in areas]
    table = Table("implementation", *heads, "nearest", box=None, padding=(0, 1, 0, 0))
    for name, own in _by_implementation(results).items():
        ratios = [one.ratio for one in own if one.ratio is not None]
        nearest = f"{max(ratios):.2g}" if ratios else "–"
        cells = [_cell([one for one in own if one.area == area]) for area in areas]
        table.add_row(escape(name), *cells, nearest)
    return table


def _cell(results: Sequence[CheckResult]) -> str:
    passed = sum(one.status == "pass" for one in results)
    if bad := sum(one.bad for one in results):
        return f"FAIL {bad}"
    if not passed:
        return "–"
    return "pass" if passed == len(results) else f"pass {passed}/{len(results)}"


def agreement_table(results: Sequence[CheckResult], dtype: str) -> Table | None:
    """Implementations × implementations: the largest difference of their outputs in one dtype."""
    pairs: dict[tuple[str, str], float] = {}
    for one in results:
        compared = one.check.startswith(AGREES_WITH) and one.error is not None
        if compared and one.case.case.dtype == dtype:
            pair = one.implementation, one.check.removeprefix(AGREES_WITH)
            pairs[pair] = max(one.error or 0.0, pairs.get(pair, 0.0))
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    if not names:
        return None
    table = Table(f"differences, {dtype}", *map(escape, names[:-1]), box=None, padding=(0, 1, 0, 0))
    for index, name in enumerate(names[1:], start=1):
        found = [pairs.get((other, name), pairs.get((name, other))) for other in names[:index]]
        table.add_row(escape(name), *("–" if one is None else f"{one:.1e}" for one in found))
    return table


def failure_lines(results: Iterable[CheckResult]) -> list[str]:
    """One line for every kind of check that failed or raised, by implementation.

    A line names the smallest case of its kind, in how many cases it was so, and in which dtypes.
    """
    lines = []
    for own in _by_implementation(results).values():
        kinds: dict[tuple[str, str], list[CheckResult]] = {}
        for one in own:
            if one.bad and one.check != UNCHECKED:
                kinds.setdefault((one.area, one.check), []).append(one)
        shown = [_cause(area, bad, own) for (area, _), bad in kinds.items()]
        lines += shown[:MOST_CAUSES]
        unchecked = [one for one in own if one.check == UNCHECKED]
        if unchecked:
            lines.append(f"{unchecked[0].implementation}: {len(unchecked)} cases were not checked")
        if len(shown) > MOST_CAUSES:
            lines.append(f"{own[0].implementation}: {len(shown) - MOST_CAUSES} more kinds (--json)")
    return lines


def _cause(area: str, bad: Sequence[CheckResult], own: Sequence[CheckResult]) -> str:
    smallest = min(bad, key=lambda one: one.telling)
    text = f"{smallest.status}: {area}: {smallest}"
    if len(bad) > 1:
        dtypes = ", ".join(dict.fromkeys(one.case.case.dtype for one in bad))
        text += f" (and {len(bad) - 1} more such; {dtypes})"
    return text + "".join(f"; {one}" for one in _patterns(bad, own))


def _patterns(bad: Sequence[CheckResult], own: Sequence[CheckResult]) -> list[str]:
    """What all failing cases have in common and no passing one of the same check and area has."""
    check, area = bad[0].check, bad[0].area
    passed = [one for one in own if one.check == check and one.status == "pass"]
    near = [one for one in passed if one.area == area] or passed
    if len(bad) == 1 or not near:
        return []
    return [
        f"always with {words}, never without"
        for kind in ALL_KINDS
        if (words := kind(bad[0].case)) is not None
        and all(kind(one.case) == words for one in bad)
        and not any(kind(one.case) == words for one in near)
    ]


def unsupported_reasons(results: Iterable[CheckResult]) -> list[str]:
    """The distinct reasons of what is unsupported."""
    return sorted({r.reason for r in results if r.status == "unsupported" and r.reason})


def remarks(results: Iterable[CheckResult]) -> list[str]:
    """What was noticed of kernels without being held against them."""
    return [r.reason for r in results if r.check in ("stdout", "import") and r.reason]


def _by_implementation(results: Iterable[CheckResult]) -> dict[str, list[CheckResult]]:
    groups: dict[str, list[CheckResult]] = {}
    for one in results:
        groups.setdefault(one.implementation, []).append(one)
    return groups
