"""Every cell as a row of the page's largest table, which sorts and filters."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.cells.case_columns import SIZE_COLUMNS
from reports.page.sortable import Amount
from reports.text import wording
from reports.text.labels import text_of, worded

MOST_ROWS = 1500
"""More rows make a page slow; `cells.csv` has them all."""
_CONDITIONS = ("run", "device", "dtype", "pass", "is_causal", "mask", "growth", "kv_heads", "kind")
_SIZES = tuple(name for name in ("batch", *SIZE_COLUMNS))
_TIMES = {"time_s": "time a call", "graph_time_s": "GPU time"}


def cell_rows(cells: pd.DataFrame) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Headings, and a row of texts for each cell of a cell table, in its order.

    Conditions and sizes that are the same in all cells are left out.
    """
    named = [name for name in _CONDITIONS if _varies(cells, name)]
    sizes = [name for name in _SIZES if _varies(cells, name) and not _is_twice(cells, name)]
    times = [name for name in _TIMES if name in cells and cells[name].notna().any()]
    headings = (
        *("implementation", *(name.replace("_", " ") for name in named), *sizes),
        *(_TIMES[name] for name in times),
        *("lowest to highest", "workspace", "status"),
    )
    rows = []
    for cell in cells.head(MOST_ROWS).to_dict("records"):
        low, high = cell["time_low_s"], cell["time_high_s"]
        rows.append(
            (
                wording.one_line(cell["implementation"]),
                *(worded(name, cell[name]) for name in named),
                *(Amount(text_of(cell[name]) or wording.NOTHING, cell[name]) for name in sizes),
                *(Amount(wording.seconds(cell[name]), cell[name]) for name in times),
                f"{wording.seconds(low)} to {wording.seconds(high)}" if high > low else "",
                Amount(wording.byte_size(cell["workspace_bytes"]), cell["workspace_bytes"]),
                str(cell["status"]),
            )
        )
    return headings, rows


def _varies(cells: pd.DataFrame, name: str) -> bool:
    return name in cells and cells[name].nunique(dropna=False) > 1


def _is_twice(cells: pd.DataFrame, name: str) -> bool:
    """Whether the keys are as many as the queries, as in most runs."""
    return name == "key_len" and "seq_len" in cells and cells["key_len"].equals(cells["seq_len"])
