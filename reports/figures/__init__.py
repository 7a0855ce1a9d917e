"""What do the numbers look like? One figure a file: a table in, a matplotlib Figure out.

Every file has a class of `Chart`. Those in `CHARTS` show a view of the cells;
`error_against_allowed` shows the checks of a run, before anything was timed. Importing them never
imports pyplot, and drawing changes no global state.
"""

from __future__ import annotations

from typing import Any

from reports.figures.drawing.chart import Chart
from reports.figures.drawing.view import View
from reports.figures.error_against_allowed import ErrorAgainstAllowed
from reports.figures.local_slope import LocalSlope
from reports.figures.peak_share import PeakShare
from reports.figures.speed_against_n import SpeedAgainstN
from reports.figures.time_against import TimeAgainst
from reports.figures.time_against_heads import TimeAgainstHeads
from reports.figures.winner_over_sizes import WinnerOverSizes
from reports.figures.workspace_against_n import WorkspaceAgainstN

CHARTS: tuple[Chart[View, Any], ...] = (
    TimeAgainst("time_against_n", along="seq_len", fixed="d_model"),
    SpeedAgainstN(),
    WinnerOverSizes(),
    WorkspaceAgainstN(),
    TimeAgainst("time_against_d", along="d_model", fixed="seq_len"),
    LocalSlope(),
    PeakShare(),
    TimeAgainstHeads(),
)
"""Those of each view, in the order of the page."""

CORRECTNESS = ErrorAgainstAllowed()
"""The one of each run that recorded its checks."""
