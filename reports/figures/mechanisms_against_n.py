"""What each mechanism costs, how long it waits and how far it sees, against sequence length.

The three columns of Table 1 of Vaswani et al. 2017, side by side: the time of one sequence
as it was measured, sequential operations and path length in operators as they were counted.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from reports.figures.drawing import canvas
from reports.figures.drawing.looks import looks_for

PANELS: Mapping[str, str] = {
    "time_s": "time of a sequence (measured)",
    "sequential": "sequential operations (counted)",
    "path": "path length (counted)",
}
"""The headings, by the quantity."""


def mechanisms_against_n(table: pd.DataFrame, *, title: str, subtitle: str) -> Figure:
    """A panel for each quantity, a line for each mechanism.

    `table` has the columns `quantity` (of `PANELS`), `layer`, `n` and `value`, times in seconds.
    """
    layers = list(dict.fromkeys(table["layer"]))
    looks = looks_for(layers)
    drawn = [quantity for quantity in PANELS if (table["quantity"] == quantity).any()]
    with canvas.styled():
        figure, axes = canvas.figure_with_panels(
            title=title,
            subtitle=subtitle,
            panels=[PANELS[quantity] for quantity in drawn],
            entries=[
                canvas.Entry(handle=Line2D([], [], **looks[layer].style), label=layer)
                for layer in layers
            ],
        )
        for quantity, one in zip(drawn, axes, strict=True):
            rows = table[table["quantity"] == quantity]
            for layer, points in rows.groupby("layer", sort=False):
                one.plot(points["n"], points["value"], **looks[str(layer)].style, zorder=3)
            canvas.size_axis(one, list(rows["n"]), "sequence length, n")
            if quantity == "time_s":
                canvas.seconds_axis(one, list(rows["value"]))
            else:
                one.set_yscale("log")
                one.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                one.yaxis.set_minor_locator(NullLocator())
    return figure
