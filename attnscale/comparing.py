"""How a command ends that compares: what became slower is named, and decides the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from attnscale.terminal import console, say

if TYPE_CHECKING:
    from reports.comparison.compared import Comparison


def same_within(limit: float | None) -> float:
    """By how much costs may differ that are called the same: no more than a regression."""
    from reports.comparison.ratios import SAME_WITHIN

    return SAME_WITHIN if limit is None else min(limit, SAME_WITHIN)


def code_of_comparison(found: Comparison, limit: float | None) -> int:
    """The exit code; each regression beyond the limit is named on stderr."""
    if limit is None:
        return DONE
    slower = found.slower_than(limit)
    for name in slower:
        say(f"slower by more than {100 * limit:g}%: {name}")
    return FAILED if slower else DONE


def compare_with_revision(run: Path, limit: float | None) -> int:
    """Print how the kernels of a run differ from those of its `--against`: the exit code.

    A run without `--against` has nothing to compare.
    """
    from bench.records import read_info
    from reports.comparison.answer_texts import print_comparison
    from reports.comparison.compared import compare_within
    from reports.tables.columns import TableError

    if not read_info(run).get("against"):
        return DONE
    try:
        found = compare_within(run, same_within=same_within(limit))
    except TableError as problem:
        say(f"no comparison: {problem}")
        return DONE if limit is None else INCONCLUSIVE
    print()
    print_comparison(found, console())
    return code_of_comparison(found, limit)
