"""What a report can be asked for by name; light to import, so that a wrong name is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FIGURES = (
    "time_against_n",
    "speed_against_n",
    "winner_over_sizes",
    "workspace_against_n",
    "time_against_d",
    "local_slope_against_n",
    "share_of_peak",
    "time_against_heads",
)
"""The figures of each view, in the order of `reports.figures.CHARTS`."""
TABLE1_FORMATS = ("text", "csv", "markdown", "latex", "json")
STYLES = ("page", "paper")
"""As on the page, with a headline; or for print, with a caption of the author's."""
FORMATS = ("svg", "pdf", "pgf", "png")
WIDTHS: Mapping[str, float] = MappingProxyType({"column": 3.4, "page": 7.0})
"""Inches of a figure in a paper: what one column and both together have in most journals."""
LEAST_WIDTH, MOST_WIDTH = 2.0, 20.0
