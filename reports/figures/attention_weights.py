"""The scores and the weights of a worked example as two heat maps: who attends to whom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from reports.figures.drawing import canvas
from reports.figures.drawing.chart import Chart
from reports.tables.target import made
from reports.text import wording

Example: TypeAlias = Mapping[str, Any]
"""An entry of `attnscale explain --json`."""

_HEADINGS = {
    "scores": "Scores Q·Kᵀ / √d",
    "weights": "Weights: the softmax of each row",
}
_COLOURS = colormaps["Blues"]
_DARK = 0.55  # from this share of the scale on, numbers are white
_HIDDEN: dict[str, Any] = {"facecolor": "#eeeeee", "edgecolor": "#bbbbbb", "hatch": "///"}


class AttentionWeights(Chart[Example, str]):
    """A row for each query and a column for each key, coloured and with its number."""

    stem = "attention_weights"
    y_label = "query: the word that asks"

    def missing(self, shown: Example) -> str | None:
        """Why the figure cannot be drawn; None where it can."""
        return None if shown["words"] else "the example has no words"

    def data(self, shown: Example) -> pd.DataFrame:
        """One row for each query and key: the score, empty where a mask hides it, the weight."""
        words = shown["words"]
        rows = [
            {
                "example": shown["name"],
                "query": words[i],
                "key": words[j],
                "score": shown["scores"][i][j],
                "weight": shown["weights"][i][j],
            }
            for i in range(len(words))
            for j in range(len(words))
        ]
        return pd.DataFrame(rows)

    def title(self, shown: Example) -> str:
        """Which word gets the largest weight of every word, or which words get one."""
        words = shown["words"]
        most = [row.index(max(row)) for row in shown["weights"]]
        largest = [max(row) for row in shown["weights"]]
        low, high = (f"{end:.4f}" for end in (min(largest), max(largest)))
        span = low if low == high else f"{low} to {high}"
        if most == list(range(len(words))):
            return f"Every word gives itself its largest weight, {span}"
        if len(set(most)) > 1:
            favoured = wording.listed([f"“{words[j]}”" for j in sorted(set(most))])
            return f"The largest weights fall on {favoured}"
        return f"Every word gives “{words[most[0]]}” its largest weight, {span}"

    def _subtitle(self, shown: Example) -> str:
        causal = ", causal (hatched: hidden by the mask)" if shown["is_causal"] else ""
        return f"{shown['title']}: {shown['rule']}, d = {shown['head_dim']}{causal}"

    def caption(self, shown: Example) -> str:
        """What is plotted, and how to read it."""
        hidden = " What is hatched is hidden by the causal mask." if shown["is_causal"] else ""
        return (
            "Scores and weights of every query and key. Each row of weights is the softmax of the "
            f"same row of scores and sums to 1.{hidden} Source: {shown['source']}."
        )

    def alt(self, shown: Example) -> str:
        """Every row of weights in words."""
        rows = [
            f"{word}: {', '.join(f'{weight:.4f}' for weight in weights)}"
            for word, weights in zip(shown["words"], shown["weights"], strict=True)
        ]
        return f"Weights on {', '.join(shown['words'])}. {'. '.join(rows)}."

    def _panels(self, shown: Example) -> Sequence[str]:
        return tuple(_HEADINGS)

    def _heading(self, shown: Example, part: str) -> str:
        return _HEADINGS[part]

    def _entries(self, shown: Example, table: pd.DataFrame) -> Sequence[canvas.Entry]:
        return ()

    def _draw_panel(self, axes: Axes, shown: Example, part: str, table: pd.DataFrame) -> None:
        words, matrix = shown["words"], shown[part]
        known = [one for row in matrix for one in row if one is not None]
        low, high = (0.0, 1.0) if part == "weights" else (min(known), max(known))
        values = [[math.nan if one is None else one for one in row] for row in matrix]
        # Squares of vectors, not an image: the SVG stays sharp.
        axes.pcolormesh(values, cmap=_COLOURS, vmin=low, vmax=high, edgecolors="white")
        axes.grid(False)
        for i, row in enumerate(matrix):
            for j, one in enumerate(row):
                if shown["scores"][i][j] is None:
                    axes.add_patch(_square(j, i))
                    continue
                is_dark = high > low and (one - low) / (high - low) > _DARK
                colour = "white" if is_dark else "#222222"
                axes.text(j + 0.5, i + 0.5, f"{one:.4f}", color=colour, ha="center", va="center")
        places = [index + 0.5 for index in range(len(words))]
        axes.set_xticks(places, [canvas.drawable_label(word) for word in words])
        axes.set_yticks(places, [canvas.drawable_label(word) for word in words])
        axes.tick_params(length=0)
        axes.invert_yaxis()
        axes.set_xlabel("key: the word that is asked")


def _square(column: int, row: int) -> Rectangle:
    return Rectangle((column, row), 1, 1, linewidth=0.0, **_HIDDEN)


def write(example: Example, folder: Path) -> Path:
    """Write the heat map as PNG and SVG and its table as CSV into the folder; the PNG's path.

    Raises:
        TableError: the folder cannot be written.

    """
    chart = AttentionWeights()
    stem = folder / f"{chart.stem}.{example['name']}"
    with made(folder, "the heat map"):
        chart.data(example).to_csv(f"{stem}.csv", index=False, lineterminator="\n")
        # The numbers are black or white for their squares, which a dark page does not change.
        return canvas.save(chart.draw(example), stem, has_dark_variant=False)[0]
