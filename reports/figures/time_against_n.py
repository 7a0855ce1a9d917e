"""Time per call against sequence length, log-log, with the fitted law: how time grows with n."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.figures import curves
from reports.figures.view import View

STEM = "time_against_n"
_AXIS = curves.Axis(
    letter="n",
    column="seq_len",
    name="sequence length",
    fixed_letter="d",
    fixed_column="d_model",
    fixed_name="d_model",
)


def missing(view: View) -> str | None:
    """Why the figure cannot be drawn; None where it can."""
    return curves.missing(view, _AXIS)


def data(view: View) -> pd.DataFrame:
    """The points and the fitted times; see `curves.data` for the columns (seconds)."""
    return curves.data(view, _AXIS)


def title(view: View) -> str:
    """The fitted exponents of n."""
    return curves.title(view, _AXIS)


def caption(view: View) -> str:
    """What is plotted, and the conditions."""
    return curves.caption(view, _AXIS)


def alt(view: View) -> str:
    """The figure in words."""
    return curves.alt(view, _AXIS)


def draw(view: View) -> Figure:
    """The figure. ValueError where `missing` gives a reason."""
    return curves.draw(view, _AXIS)
