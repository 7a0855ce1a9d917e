"""What do the numbers look like? One figure a file: a table in, a matplotlib Figure out.

Every file has the functions of `Chart`. Those in `CHARTS` show a view of the cells;
`error_against_allowed` shows the checks of a run, before anything was timed. Importing them never
imports pyplot, and drawing changes no global state.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from reports.figures import (
    error_against_allowed,
    local_slope,
    peak_share,
    time_against_d,
    time_against_n,
    workspace_against_n,
)
from reports.figures.error_against_allowed import Checked
from reports.figures.view import View

Shown = TypeVar("Shown", contravariant=True)


class Chart(Protocol[Shown]):
    """What a file that draws a figure offers; `STEM` begins the names of its files.

    `Shown` is what its functions take: a `View`, or the `Checked` of a run.
    """

    STEM: str

    def missing(self, shown: Shown, /) -> str | None:
        """Why the figure cannot be drawn, as the end of a sentence; None where it can."""

    def data(self, shown: Shown, /) -> pd.DataFrame:
        """The table behind the figure: what is drawn, and nothing else."""

    def title(self, shown: Shown, /) -> str:
        """The finding."""

    def caption(self, shown: Shown, /) -> str:
        """What is plotted, under which conditions."""

    def alt(self, shown: Shown, /) -> str:
        """The figure in words, for those who do not see it."""

    def draw(self, shown: Shown, /) -> Figure:
        """The figure; ValueError where `missing` gives a reason."""


CHARTS: tuple[Chart[View], ...] = (
    time_against_n,
    time_against_d,
    local_slope,
    workspace_against_n,
    peak_share,
)
"""Those of each view, in the order of the page."""

CORRECTNESS: Chart[Checked] = error_against_allowed
"""The one of each run that recorded its checks."""
