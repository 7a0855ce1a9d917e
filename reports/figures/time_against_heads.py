"""Time per call against the number of heads at one d_model: the same products, more scores."""

from __future__ import annotations

from reports.figures.drawing.size_names import HEADS
from reports.figures.drawing.view import View
from reports.figures.time_against import TimeAgainst
from reports.text import wording


class TimeAgainstHeads(TimeAgainst):
    """Time against num_heads, in panels of seq_len; where d_model stays as it is."""

    is_usual = False

    def __init__(self) -> None:
        super().__init__("time_against_heads", along=HEADS.column, fixed="seq_len")

    def missing(self, view: View) -> str | None:
        """Why the figure cannot be drawn, as the end of a sentence; None where it can."""
        cells = view.cells
        grows = HEADS.column in cells and "d_model" in cells and cells["d_model"].nunique() == 1
        if grows and self._panels(view):
            return None
        return "no implementation was measured with three numbers of heads at one d_model"

    def title(self, view: View) -> str:
        """The finding: how many times as long a call takes with the most heads."""
        panel = self._panels(view)[-1]
        found = []
        for series, rows in panel.members:
            first, last = rows.iloc[0], rows.iloc[-1]
            ratio = wording.rounded(float(last["time_s"] / first["time_s"]))
            found.append(f"{wording.shortened(series.label)} {ratio:g}")
        few, many = (f"{rows.iloc[end][HEADS.column]:g}" for end in (0, -1))
        return f"{many} heads take so many times as long as {few}: {wording.listed(found)}"
