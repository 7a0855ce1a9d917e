"""Which attention kernel ran where another one was expected, in plain sentences.

torch chooses the kernel of `scaled_dot_product_attention` at every call. Its math formula is the
last resort: it holds the scores of all pairs, which a fused kernel is there to avoid.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reports.cells.cell_table import measured
from reports.cells.groups import groups
from reports.text import wording
from reports.text.labels import label_of

_MATH = "_scaled_dot_product_attention_math"
_SIZES: Mapping[str, str] = {"seq_len": "n", "head_dim": "head_dim"}


def unexpected_kernels(cells: pd.DataFrame) -> list[str]:
    """A sentence for each kernel that was not expected, and for each series that ran several.

    `cells` is a cell table of our records (see `reports.cells.cell_table`). An implementation that
    pins no kernel is expected to run any but the math formula. Cells whose kernel is unknown are
    left out.
    """
    timed = measured(cells)
    lines = []
    for group, rows in groups(timed[timed["attention_kernel"].notna()]):
        label, where = label_of(group), {}
        for name, own in rows.groupby("attention_kernel"):
            kernel = wording.one_line(name)
            where[kernel] = f"{len(own)} of {wording.count(len(rows), 'cell')} ({_sizes(own)})"
            pinned = own["expected_kernel"].dropna().map(wording.one_line)
            if pinned.empty and _MATH in kernel:
                lines.append(
                    f"{label} ran torch's math formula ({kernel}), not a fused kernel, in "
                    f"{where[kernel]}. The formula holds all scores in memory."
                )
            elif not pinned.empty and not any(one in kernel for one in pinned):
                lines.append(f"{label} ran {kernel}, not {pinned.iloc[0]}, in {where[kernel]}.")
        if len(where) > 1:
            parts = wording.listed([f"{kernel} in {cells}" for kernel, cells in where.items()])
            lines.append(f"{label} ran different kernels: {parts}. One law may not hold for all.")
    return lines


def _sizes(rows: pd.DataFrame) -> str:
    """`n 128 to 512, head_dim 64`: from the smallest to the largest size of these cells."""
    words = []
    for column, name in _SIZES.items():
        if column not in rows:
            continue
        low, high = rows[column].min(), rows[column].max()
        words.append(f"{name} {low:g}" + (f" to {high:g}" if high > low else ""))
    return ", ".join(words) or "sizes unknown"
