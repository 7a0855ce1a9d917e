"""The figure of the table: its data, its title, and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reports.cells.cell_table import cell_table
from reports.figures.drawing.canvas import label_with_exponent, save
from reports.figures.mechanisms_against_n import mechanisms_against_n
from reports.laws.counted_terms import value_of
from reports.table1.mechanism_rows import Row

STEM = "table1"


def figure_data(
    rows: Sequence[Row], mechanisms: Mapping[str, Any], records: pd.DataFrame
) -> pd.DataFrame:
    """One point a line: `quantity`, `layer` (as the legend has it), `n`, `d` and `value`.

    Times are those of one sequence of a batch, at the d_model at which most mechanisms were
    measured. What was counted depends on no d.
    """
    labels = {
        row.published.row: label_with_exponent(row.published.title, "n", row.fit) for row in rows
    }
    points: list[dict[str, object]] = []
    cells = cell_table(records, by=["implementation", "seq_len", "d_model"])
    names = [row.published.measured for row in rows]
    cells = cells[cells["time_s"].notna() & cells["implementation"].isin(names)]
    width = _common_width(cells)
    for row in rows:
        label, found = labels[row.published.row], mechanisms["rows"][row.published.row]
        own = cells[
            (cells["implementation"] == row.published.measured) & (cells["d_model"] == width)
        ]
        for cell in own.sort_values("seq_len").to_dict("records"):
            of_one = cell["time_s"] / cell.get("batch", 1)
            points.append(_point("time_s", label, cell["seq_len"], of_one, width))
        same = {**found["paths"][0]["sizes"], "n": 0}  # of several windows the first
        for path in found["paths"]:
            n = path["sizes"]["n"]
            if {**path["sizes"], "n": 0} == same:
                rounds = value_of(found["sequential_operations"]["terms"], {"n": n})
                points.append(_point("sequential", label, n, rounds))
                points.append(_point("path", label, n, path["operators"]))
    return pd.DataFrame(points)


def draw(
    rows: Sequence[Row], mechanisms: Mapping[str, Any], records: pd.DataFrame
) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its points."""
    table = figure_data(rows, mechanisms, records)
    widths = table["d"].dropna().unique()
    measured = f"Times at d = {widths[0]:g}. " if len(widths) else ""
    figure = mechanisms_against_n(
        table,
        title=finding(rows),
        subtitle=f"{measured}Paths of restricted attention for r = "
        f"{mechanisms['rows']['restricted']['paths'][0]['sizes']['r']}.",
    )
    return figure, table


def write_figure(
    rows: Sequence[Row], mechanisms: Mapping[str, Any], records: pd.DataFrame, out: Path
) -> list[Path]:
    """Write table1.png, table1.svg and the points, table1_figure.csv."""
    figure, table = draw(rows, mechanisms, records)
    points = out / f"{STEM}_figure.csv"
    table.to_csv(points, index=False, lineterminator="\n")
    return [*save(figure, out / STEM), points]


def finding(rows: Sequence[Row]) -> str:
    """What the figure shows, in a sentence."""
    attention = next(row for row in rows if row.published.row == "self_attention")
    recurrent = next(row for row in rows if row.published.row == "recurrent")
    return (
        f"Any position is {attention.path.text} operator away in self-attention, at the price of "
        f"{attention.published.time}; a recurrent layer takes {recurrent.path.text} steps"
    )


def _common_width(cells: pd.DataFrame) -> float | None:
    """The d_model with most mechanisms and, of several, with most cells; None without any."""
    if cells.empty:
        return None
    found = cells.groupby("d_model").agg(
        mechanisms=("implementation", "nunique"), cells=("time_s", "count")
    )
    return float(found.sort_values(["mechanisms", "cells"]).index[-1])


def _point(
    quantity: str, label: str, n: float, value: float | Fraction, d: float | None = None
) -> dict[str, object]:
    return {"quantity": quantity, "layer": label, "n": n, "d": d, "value": float(value)}
