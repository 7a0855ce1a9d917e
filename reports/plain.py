"""The claimed law alone, its exponents free: for a first look at some cells."""

from __future__ import annotations

from reports.models import Model, Solution
from reports.profiles import search
from reports.setting import REACH, Setting


def solve_plain(setting: Setting) -> Solution:
    """The claimed law with free exponents, without price and intervals: without a break."""
    model = Model(setting.cells, setting.law, names=setting.names)
    return model.solve(search(model.values, *model.bounds(REACH)).best)
