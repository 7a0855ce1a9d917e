"""How large a figure is, and how it is lettered: for a page on a screen, or for a paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The size of a figure in inches and of its letters in points.

    Rows of panels are `axes_height` high each, and no more than `all_axes_height` together.
    `is_headed`: the finding and the conditions stand above the panels. A figure in a paper has a
    caption for that. `settings` go on top of the style sheet (names as in matplotlib's rcParams).
    """

    width: float
    axes_height: float
    all_axes_height: float = math.inf
    least_panel: float
    letters: float
    is_headed: bool
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def scale(self) -> float:
        """Distances that hold letters, as a multiple of those on a screen."""
        return self.letters / SCREEN.letters


SCREEN = Sheet(width=9.0, axes_height=3.5, least_panel=1.35, letters=9.0, is_headed=True)
"""Two thirds of its width is a page's text width in print."""


def paper(width: float) -> Sheet:
    """A figure for print: as wide as a column or a page, with letters of 8 points, and no title."""
    return Sheet(
        width=width,
        axes_height=min(2.2, 0.62 * width),
        all_axes_height=4.4,
        least_panel=1.5,
        letters=8.0,
        is_headed=False,
        settings={
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.labelsize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "lines.linewidth": 1.1,
            "lines.markersize": 4,
            "svg.fonttype": "none",
            "pdf.fonttype": 42,
        },
    )
