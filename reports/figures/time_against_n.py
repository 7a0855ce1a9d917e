"""Time per call against sequence length, log-log, with the fitted law: how time grows with n."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.figures import curves
from reports.figures.view import View

STEM = "time_against_n"


def missing(view: View) -> str | None:
    """Why the figure cannot be drawn; None where it can."""
    return curves.missing(view, _axis(view))


def data(view: View) -> pd.DataFrame:
    """The points and the fitted times; see `curves.data` for the columns (seconds)."""
    return curves.data(view, _axis(view))


def title(view: View) -> str:
    """The fitted exponents of n."""
    return curves.title(view, _axis(view))


def caption(view: View) -> str:
    """What is plotted, and the conditions."""
    return curves.caption(view, _axis(view))


def alt(view: View) -> str:
    """The figure in words."""
    return curves.alt(view, _axis(view))


def draw(view: View) -> Figure:
    """The figure. ValueError where `missing` gives a reason."""
    return curves.draw(view, _axis(view))


def _axis(view: View) -> curves.Axis:
    return curves.Axis.of(view, along="seq_len", fixed="d_model")
