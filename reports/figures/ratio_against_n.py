"""How many times as long one implementation takes as another, against sequence length.

Where the curve rises through 1 the one begins to cost more than the other.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.drawing import canvas
from reports.figures.drawing.looks import looks_for

MOST_PANELS = 3


def ratio_against_n(table: pd.DataFrame, *, title: str, subtitle: str) -> Figure:
    """A panel for each d_model, at most three of them; a line with its band for each pair.

    `table` has the columns `pair`, `d_model`, `seq_len`, `ratio`, `low`, `high`, and `counted`, the
    ratio of the operations, which is drawn dotted.
    """
    widths = sorted(table["d_model"].unique())
    chosen = [widths[round(i * (len(widths) - 1) / (MOST_PANELS - 1))] for i in range(MOST_PANELS)]
    shown = list(dict.fromkeys(chosen))
    looks = looks_for(table["pair"])
    entries = [
        canvas.Entry(handle=Line2D([], [], **looks[pair].style), label=pair)
        for pair in dict.fromkeys(table["pair"])
    ]
    dotted = Line2D([], [], color="#444444", linestyle=":")
    entries.append(canvas.Entry(handle=dotted, label="dotted: of the operations counted"))
    with canvas.styled():
        figure, axes = canvas.figure_with_panels(
            title=title,
            subtitle=subtitle,
            panels=[f"d_model {width:g}" for width in shown],
            entries=entries,
        )
        for width, one in zip(shown, axes, strict=True):
            rows = table[table["d_model"] == width]
            for pair, points in rows.groupby("pair", sort=False):
                look, n = looks[str(pair)], points["seq_len"]
                columns = (points[name] for name in ("ratio", "low", "high"))
                canvas.ratio_line(one, n, *columns, look=look)
                one.plot(n, points["counted"], color=look.colour, linestyle=":", zorder=2)
            canvas.size_axis(one, list(rows["seq_len"]), "sequence length, n = seq_len")
            canvas.ratio_axis(one, [*rows["ratio"], *rows["counted"].dropna()])
        axes[0].set_ylabel("times as long")
    return figure
