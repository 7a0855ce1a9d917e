"""Writes the answer of a run: crossovers.json, the figure, and its points."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from reports.figures.drawing.canvas import save
from reports.figures.ratio_against_n import ratio_against_n
from reports.overtaking.answer import Overtaking
from reports.overtaking.crossings import compared
from reports.tables.target import made
from reports.text import wording

STEM = "crossovers"


def points_of(found: Overtaking) -> pd.DataFrame:
    """One point a line: `pair`, `d_model`, `seq_len`, `ratio`, `low`, `high`, `counted`.

    A pair has its conditions with it where there are several: `lstm / rnn (batch 32)`.
    """
    pairs = dict.fromkeys(
        (one.slower, one.quicker, one.conditions) for one in found.implementations
    )
    parts = []
    for slower, quicker, conditions in pairs:
        points = compared(found.cells, slower, quicker)
        points = points[points["conditions"] == conditions].drop(columns="conditions")
        parts.append(points.assign(pair=_pair(slower, quicker, conditions, " / ")))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _pair(slower: str, quicker: str, conditions: str, between: str) -> str:
    return f"{slower}{between}{quicker}" + (f" ({conditions})" if conditions else "")


def title_of(found: Overtaking) -> str:
    """The finding, at the middle width: `multi_head overtakes lstm at n = 700`."""
    widths = sorted({one.d_model for one in found.implementations})
    middle = widths[len(widths) // 2]
    said = [
        f"{_pair(one.slower, one.quicker, one.conditions, ' overtakes ')} at n = "
        f"{wording.rounded(one.estimate):g}"
        for one in found.implementations
        if one.d_model == middle and one.estimate is not None
    ]
    return f"At d_model {middle:g} {wording.listed(said, most=3)}" if said else "Nothing crosses"


def write_overtaking(found: Overtaking, out: Path) -> Path:
    """Write the answer, and the figure with its points where implementations cross.

    Raises:
        TableError: the directory cannot be written.

    """
    with made(out, "the crossovers"):
        text = json.dumps(found.to_dict(), indent=1) + "\n"
        (out / f"{STEM}.json").write_text(text, encoding="utf-8")
        points = points_of(found)
        if len(points):
            points.to_csv(out / f"{STEM}.csv", index=False, lineterminator="\n")
            words = "above 1 the first takes longer; bands span the rounds"
            save(ratio_against_n(points, title=title_of(found), subtitle=words), out / STEM)
    return out
