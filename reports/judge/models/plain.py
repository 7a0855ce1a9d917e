"""The claimed law alone, its exponents free: for a first look at some cells."""

from __future__ import annotations

from reports.judge.models.error_scale import REACH, Setting
from reports.judge.models.intervals import search
from reports.judge.models.model import Model, Solution


def solve_plain(setting: Setting) -> Solution:
    """The claimed law with free exponents, without price and intervals: without a break."""
    model = Model(setting.cells, setting.law, names=setting.names)
    return model.solve(search(model.values, *model.bounds(REACH)).best)
