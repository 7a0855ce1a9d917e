"""The bounds of cells as the page shows them: two cells an implementation, in a table and in words.

The largest measured cell shows what bounds the law, the smallest what starting costs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.cells.groups import groups
from reports.conditions.bounds import ABOVE, BOUNDS, EXPLAINS, NONE, UNTOLD
from reports.page.sortable import Amount
from reports.text import wording
from reports.text.labels import label_of

ROOFLINE = (
    "A ceiling is what this machine does at best, measured in the same run: the speed of a large "
    "matrix product and of a copy, of exponentials, the cost of starting an operator and of a page "
    "fault. The bound is what explains most of a cell's time, at least "
    f"{wording.percent(EXPLAINS)}. "
    "Rates count useful operations, operations a byte executed ones; below the ridge a copy is the "
    "lower ceiling (roofline model, Williams, Waterman & Patterson 2009)."
)
_BY_SIZE = ("flops", "seq_len", "key_len", "d_model", "num_heads", "time_s")
_SHOWN = ("seq_len", "key_len", "d_model")
_CALLED = {"seq_len": "n", "key_len": "keys"}


Texts = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoundTable:
    """What the page says of bounds: rows, a sentence for each implementation, and remarks.

    `rows` are texts under the `headings`, one cell of an implementation each; `energy` likewise,
    its largest cell whose energy is known. Empty where there is nothing to say.
    """

    headings: Texts
    rows: tuple[Texts, ...]
    sentences: Texts
    notes: Texts
    energy: tuple[Texts, ...]
    energy_headings: Texts = (
        *("implementation", "cell", "energy a call", "one step of the counter", "average power"),
        "for 10⁹ useful operations",
    )


_Cell = Mapping[Hashable, Any]
"""A row of `reports.conditions.bounds`, with its `size` in words; NaN is unknown."""


def bound_table(found: pd.DataFrame) -> BoundTable:
    """The table and the words for what `reports.conditions.bounds.bounds` found.

    There are no rows where no cell has an operation count or a bound.
    """
    told = bool((found["flops"].notna() | (found["bound"] != UNTOLD)).any())
    launches = bool(found["launch_cost_s"].notna().any())
    parts = [(label, _ends(rows)) for label, rows in _parts(found)] if told else []
    said = [(label, _said(ends)) for label, ends in parts]
    rows = [
        {"implementation": label} | _row(cell, launches) for label, ends in parts for cell in ends
    ]
    return BoundTable(
        headings=tuple(rows[0]) if rows else (),
        rows=tuple(tuple(row.values()) for row in rows),
        sentences=tuple(f"{label}: {words}." for label, words in said if words),
        notes=tuple(_notes(found)) if told else (),
        energy=tuple(
            _energy(label, _ends(rows)[0]) for label, rows in _parts(found[found["energy_j"] > 0])
        ),
    )


def _parts(found: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The cells of every implementation and condition that varies within one, with its label."""
    if found.empty:
        return []
    return [
        (label_of({name: value for name, value in group.items() if value is not None}), rows)
        for group, rows in groups(found)
    ]


def _ends(rows: pd.DataFrame) -> list[_Cell]:
    """The largest and the smallest cell, once where they are one: by work, else by sizes."""
    order = [name for name in _BY_SIZE if name in rows]
    ordered = rows.sort_values(order, ascending=False, kind="stable")
    chosen = ordered.iloc[[0, -1]] if len(ordered) > 1 else ordered
    return [
        {**cell, "size": _size({name: float(cell[name]) for name in _SHOWN if name in cell})}
        for cell in chosen.to_dict("records")
    ]


def _size(sizes: Mapping[str, float]) -> str:
    """`n 8192, d_model 512`, as far as the cell has such sizes; keys where they are not n."""
    words = [
        f"{_CALLED.get(name, name)} {value:g}"
        for name, value in sizes.items()
        if np.isfinite(value) and not (name == "key_len" and value == sizes.get("seq_len"))
    ]
    return ", ".join(words) or wording.NOTHING


def _row(cell: _Cell, launches: bool) -> dict[str, str]:
    """The texts of one cell by their headings, with launch costs where any is known."""
    intensity = wording.NOTHING
    if np.isfinite(cell["flops_per_byte"]):
        intensity = f"{cell['flops_per_byte']:.3g}"
        if np.isfinite(cell["ridge_flops_per_byte"]):
            intensity += f" (ridge {cell['ridge_flops_per_byte']:.3g})"
    bound = cell["bound"]
    if bound not in (NONE, UNTOLD):
        bound += f", {_percent(cell['explained'])}"
    cost, cached = cell["launch_cost_s"], _in_cache(cell) and bound != UNTOLD
    launch = f"{wording.seconds(cost)} ({wording.percent(cost / cell['time_s'])})"
    if not cost >= 0:
        launch = "none seen" if cost < 0 else wording.NOTHING
    return {
        "largest and smallest cell": cell["size"],
        "bound, its part of the time": f"{bound} (in cache)" if cached else bound,
        "time": Amount(wording.seconds(cell["time_s"]), cell["time_s"]),
        **({"launch cost": Amount(launch, cost)} if launches else {}),
        "rate": Amount(wording.speed(cell["flops_per_s"]), cell["flops_per_s"]),
        "share of matmul peak": Amount(
            wording.percent(cell["share_of_matmul"]), cell["share_of_matmul"]
        ),
        "operations a byte": Amount(intensity, cell["flops_per_byte"]),
    }


def _said(ends: list[_Cell]) -> str:
    """What bounds these cells, in words that follow the name of an implementation."""
    told = [one for one in ends if one["bound"] != UNTOLD]
    words = list(dict.fromkeys(_takes(one) for one in told))
    if len(words) == 1 and words[0]:  # one bound for both
        parts = [f"{_percent(one['explained'])} of the time at {one['size']}" for one in told]
        return f"{words[0]} {wording.listed(parts)}"
    return "; ".join(f"at {one['size']} {_clause(one)}" for one in told)


def _takes(cell: _Cell) -> str:
    """`starting its 12 operators takes`; nothing where no ceiling explains the time."""
    if cell["bound"] == NONE:
        return ""
    bound = next(one for one in BOUNDS if one.name == cell["bound"])
    takes = "takes" if cell["explained"] <= ABOVE else "would take"
    count = float(cell[bound.counted])
    number = f"{count:,.0f} " if np.isfinite(count) else ""
    return f"{bound.words.format(number)} {takes}"


def _clause(cell: _Cell) -> str:
    part = _percent(cell["explained"])
    if cell["bound"] != NONE:
        return f"{_takes(cell)} {part} of the time"
    cached = "; its data stay in the caches" if _in_cache(cell) else ""
    return f"no ceiling explains the time (the nearest, {cell['largest']}, {part} of it){cached}"


def _notes(found: pd.DataFrame) -> list[str]:
    """What a reader must know of these numbers: what is missing, and where caches serve."""
    notes = []
    for reason in found.loc[found["untold"] != "", "untold"].unique():
        rows = found[found["untold"] == reason]
        number = wording.count(len(rows), "cell") if len(rows) < len(found) else "these cells"
        if (rows["bound"] == UNTOLD).all():
            notes.append(f"What bounds {number} cannot be told: {reason}.")
        else:
            notes.append(f"Not everything could be held against a ceiling in {number}: {reason}.")
    cached = int((found["in_cache"].fillna(False) & (found["bound"] != UNTOLD)).sum())
    if cached:
        notes.append(
            f"In {cached} of {wording.count(len(found), 'cell')} caches serve what operators move: "
            "the data fit in the last-level cache, or move faster than any copy in memory. The "
            "copy rate is no bound there, and the speed of the caches was not measured."
        )
    over = int((found["explained"] > ABOVE).sum())
    if over:
        notes.append(
            f"In {wording.count(over, 'cell')} a ceiling explains more than the whole time: it was "
            "measured by itself, when the machine was slower or nothing ran beside it."
        )
    return notes


def _energy(label: str, cell: _Cell) -> Texts:
    per_gflop = 1e9 * cell["energy_j"] / cell["flops"] if cell["flops"] > 0 else None
    return (
        label,
        cell["size"],
        wording.joules(cell["energy_j"]),
        wording.percent(cell["energy_resolution_j"] / cell["energy_j"]),
        f"{cell['energy_j'] / cell['time_s']:.3g} W",
        wording.NOTHING if per_gflop is None else wording.joules(per_gflop),
    )


def _percent(share: float) -> str:
    return "over 100 %" if share > 1.005 else wording.percent(share)


def _in_cache(cell: _Cell) -> bool:
    return not pd.isna(cell["in_cache"]) and bool(cell["in_cache"])
