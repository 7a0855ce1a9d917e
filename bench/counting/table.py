"""The document of `bench.counting.document` as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from bench.counting.polynomials import Polynomial
from bench.machine.environment import in_words

ROWS: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    ("products", (("matmul_flops", 1),)),
    ("other operations", (("executed_flops", 1), ("matmul_flops", -1))),
    ("transcendentals", (("transcendentals", 1),)),
    ("bytes moved", (("bytes_read", 1), ("bytes_written", 1))),
    ("launches", (("launches", 1),)),
    ("sequential operations", (("sequential_operations", 1),)),
    ("workspace bytes", (("workspace_bytes", 1),)),
)
"""Headings, and the quantities that each is a sum of."""


def table(document: Mapping[str, Any]) -> Table:
    """A block for each implementation: polynomials, where they hold, and values at the sizes."""
    sizes = ", ".join(f"{letter} = {size}" for letter, size in document["sizes"].items())
    shown = Table(
        title=_title(document),
        caption=_legend(document, sizes),
        caption_justify="left",
        title_justify="left",
        box=None,
    )
    shown.add_column("implementation", overflow="fold")
    shown.add_column("of one call", no_wrap=True)
    shown.add_column("polynomial", overflow="fold")
    shown.add_column("value", justify="right", no_wrap=True)
    for entry in document["counts"]:
        lines = [(heading, *_cell(entry["quantities"], parts)) for heading, parts in ROWS]
        known = [line for line in lines if line[1] or line[2]]
        if entry["longest"] and entry["longest"]["n"]:
            known.append(_largest(entry))
        for number, (heading, polynomial, value) in enumerate(known or [("", "not counted", "")]):
            name = escape(entry["implementation"]) if not number else ""
            shown.add_row(name, heading, escape(polynomial), value)
        shown.add_row("", "", "", "")
    return shown


def _largest(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """The longest sequence within the budget; a lower bound of the workspace bounds it above."""
    found, is_bound = entry["longest"], entry["quantities"]["workspace_bytes"]["is_lower_bound"]
    tensors = "parameters, workspace" if entry["kind"] == "layer" else "workspace"
    within = f"within {in_words(found['budget_bytes'])} (inputs, outputs, {tensors})"
    return "largest n", within, f"{'≤ ' if is_bound else ''}{found['n']:,}"


def _title(document: Mapping[str, Any]) -> str:
    what = {
        f"{one['dtype']} {one['pass']}{' causal' if one['is_causal'] else ''}"
        for one in document["counts"]
    }
    return f"Counts of one call: {', '.join(sorted(what))}"


def _cell(quantities: Mapping[str, Any], parts: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """The polynomial, with its lattice if it is not every size, and the value."""
    found = [(quantities[name], sign) for name, sign in parts]
    mark = "≥ " if any(one["is_lower_bound"] for one, _ in found) else ""
    polynomial = value = ""
    if all(one["terms"] is not None for one, _ in found):
        total = Polynomial(terms=())
        for one, sign in found:
            total = total.plus(Polynomial.from_plain(one["terms"]), sign)
        limits = dict.fromkeys(one["valid"]["text"] for one, _ in found)
        stated = [f"\n({text})" for text in limits if text != "all sizes"]
        formula = " †" if any(one["basis"] == "formula" for one, _ in found) else ""
        polynomial = f"{mark}{total}{formula}{''.join(stated)}"
    if all(one["value"] is not None for one, _ in found):
        amount = sum(sign * one["value"] for one, sign in found)
        value = f"{mark}{amount:.4g}" if amount >= 10**6 else f"{mark}{amount}"
    return polynomial, value


def _legend(document: Mapping[str, Any], sizes: str) -> str:
    """What letters, values and marks mean, and what is left out of which block, and why."""
    letters = "; ".join(f"{letter}: {text}" for letter, text in document["letters"].items())
    notes: dict[str, list[str]] = {}
    for entry in document["counts"]:
        reasons = [one["reason"] for one in entry["quantities"].values() if one["reason"]]
        if entry["longest"] and entry["longest"]["reason"]:
            reasons.append(f"no largest n: {entry['longest']['reason']}")
        for note in dict.fromkeys([*reasons, *entry["unseen"]]):
            notes.setdefault(note, []).append(entry["implementation"])
    formula = "†: by formula, in part at least, since an operator or Python hides it"
    lines = [letters, f"values at {sizes}", document["conventions"], formula]
    lines += [f"{', '.join(names)}: {note}" for note, names in notes.items()]
    return escape("\n".join(lines))
