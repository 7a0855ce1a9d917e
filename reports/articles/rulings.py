"""The rulings on the articles' claims for people: a terminal, Markdown, and a table.

A claim is an entry of `attnscale claims --json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from rich.table import Table
from rich.text import Text

from reports.tables.target import made
from reports.text import wording

Claims: TypeAlias = Sequence[Mapping[str, Any]]

SIGNS = {"true": "✓", "false": "✗", "true on a condition": "±", "undecided": "?"}
_COLOURS = {
    "true": "green",
    "false": "red",
    "true on a condition": "yellow",
    "undecided": "magenta",
}
_HEADINGS = {
    "article": "article",
    "claim": "claim",
    "ruling": "ruling",
    "test": "how it is tested",
    "evidence": "evidence",
}


def tally(claims: Claims) -> str:
    """How many claims there are, and how many of each ruling."""
    rulings = [one["ruling"] for one in claims]
    counts = [f"{rulings.count(ruling)} {ruling}" for ruling in SIGNS if ruling in rulings]
    return f"{wording.count(len(claims), 'claim')}: {wording.listed(counts)}"


def ruling_words(claim: Mapping[str, Any]) -> str:
    """The ruling, with its condition where there is one."""
    condition = claim["condition"]
    return f"{claim['ruling']}: {condition}" if condition else str(claim["ruling"])


def rulings_table(claims: Claims) -> Table:
    """Every claim with its ruling, how it was tested, and the evidence."""
    table = Table(box=None, title=tally(claims), title_justify="left", padding=(0, 2, 1, 0))
    table.add_column("article")
    table.add_column("ruling", no_wrap=True)
    table.add_column("claim, ruling, test and evidence", ratio=1)
    for claim in claims:
        ruling = claim["ruling"]
        text = Text.assemble(
            (claim["claim"], "bold"),
            f"\n{wording.capital(ruling_words(claim))}.",
            f"\nTest: {claim['test']}.",
            f"\nEvidence: {claim['evidence']}.",
        )
        sign = Text(SIGNS[ruling], style=_COLOURS[ruling])
        table.add_row(claim["article"], sign, text)
    return table


def rulings_markdown(claims: Claims) -> str:
    """The same as a Markdown table."""
    lines = [
        f"{tally(claims)}. Each ruling is computed by `attnscale claims`.",
        "",
        f"| {' | '.join(_HEADINGS.values())} |",
        f"|{'---|' * len(_HEADINGS)}",
    ]
    for claim in claims:
        shown = {**claim, "ruling": f"{SIGNS[claim['ruling']]} {ruling_words(claim)}"}
        lines.append(f"| {' | '.join(wording.markdown(shown[name]) for name in _HEADINGS)} |")
    return "\n".join(lines) + "\n"


def write_rulings(claims: Claims, folder: Path) -> tuple[Path, Path]:
    """Write claims.md and claims.csv into the folder, made if it is missing; their paths.

    Raises:
        TableError: the folder cannot be written.

    """
    page, table = folder / "claims.md", folder / "claims.csv"
    names = ["article", "claim", "ruling", "condition", "test", "evidence"]
    text = f"# Claims of the articles\n\n{rulings_markdown(claims)}"
    with made(folder, "the claims"):
        page.write_text(text, encoding="utf-8")
        pd.DataFrame(list(claims), columns=names).to_csv(table, index=False, lineterminator="\n")
    return page, table
