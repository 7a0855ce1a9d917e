"""Writes the answer of a run: crossovers.json, the figure, and its points."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from reports.figures.canvas import save
from reports.figures.ratio_against_n import ratio_against_n
from reports.overtaking.answer import Overtaking
from reports.overtaking.crossings import compared
from reports.tables.columns import TableError
from reports.text import wording

STEM = "crossovers"


def points_of(found: Overtaking) -> pd.DataFrame:
    """One point a line: `pair`, `d_model`, `seq_len`, `ratio`, `low`, `high`, `counted`."""
    pairs = dict.fromkeys((one.slower, one.quicker) for one in found.implementations)
    parts = [
        compared(found.cells, slower, quicker).assign(pair=f"{slower} / {quicker}")
        for slower, quicker in pairs
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def title_of(found: Overtaking) -> str:
    """The finding, at the middle width: `multi_head overtakes lstm at n = 700`."""
    widths = sorted({one.d_model for one in found.implementations})
    middle = widths[len(widths) // 2]
    said = [
        f"{one.slower} overtakes {one.quicker} at n = {wording.rounded(one.estimate):g}"
        for one in found.implementations
        if one.d_model == middle and one.estimate is not None
    ]
    return f"At d_model {middle:g} {wording.listed(said, most=3)}" if said else "Nothing crosses"


def write_overtaking(found: Overtaking, out: Path) -> Path:
    """Write the answer, and the figure with its points where implementations cross.

    Raises:
        TableError: the directory cannot be written.

    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found.to_dict(), indent=1) + "\n"
        (out / f"{STEM}.json").write_text(text, encoding="utf-8")
        points = points_of(found)
        if len(points):
            points.to_csv(out / f"{STEM}.csv", index=False, lineterminator="\n")
            words = "above 1 the first takes longer; bands span the rounds"
            save(ratio_against_n(points, title=title_of(found), subtitle=words), out / STEM)
    except OSError as problem:
        raise TableError(
            f"cannot write the crossovers to {out}: {problem.strerror or problem}; choose another "
            "directory with --out"
        ) from None
    return out
