"""The figures of the report, one file each: a view of the cells in, a matplotlib Figure out.

Every file in `CHARTS` has the functions of `Chart`. Importing them never imports pyplot, and
drawing changes no global state.
"""

from __future__ import annotations

from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from reports.figures import (
    local_slope,
    peak_share,
    time_against_d,
    time_against_n,
    workspace_against_n,
)
from reports.figures.view import View


class Chart(Protocol):
    """What a file that draws a figure offers; `STEM` begins the names of its files."""

    STEM: str

    def missing(self, view: View) -> str | None:
        """Why the figure cannot be drawn, as the end of a sentence; None where it can."""

    def data(self, view: View) -> pd.DataFrame:
        """The table behind the figure: what is drawn, and nothing else."""

    def title(self, view: View) -> str:
        """The finding."""

    def caption(self, view: View) -> str:
        """What is plotted, under which conditions."""

    def alt(self, view: View) -> str:
        """The figure in words, for those who do not see it."""

    def draw(self, view: View) -> Figure:
        """The figure; ValueError where `missing` gives a reason."""


CHARTS: tuple[Chart, ...] = (
    time_against_n,
    time_against_d,
    local_slope,
    workspace_against_n,
    peak_share,
)
"""In the order of the page."""
