"""Whether the exponents of a run are known well enough to stop: asked after each cycle of turns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records import read_run
from reports.judge.findings import FEWEST_SIZES
from reports.judge.fit_groups import fit_groups
from reports.judge.result import Fit
from reports.tables.read import frame_of

# Noise alone would narrow an interval to 0.71 of its width with twice the readings. Where they do
# not, cells lie off their law, or processes differ, and more readings would not help.
NARROWED = 0.75
# An interval that is wider than any tolerance is waited for as long as there is time.
WIDEST = 0.1


def is_known(folder: Path, precision: float) -> bool:
    """Whether all exponents are known to within `precision`, or would not be with more time.

    It looks at widths alone, so that no verdict can decide how long it was looked for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are told with the verdicts
        run = read_run(folder)
        now = _fits(frame_of(run.records), run.info)
        open_ = {name: fit for name, fit in now.items() if _half_width(fit) > precision}
        if not open_ or any(_half_width(fit) > WIDEST for fit in open_.values()):
            return not open_
        rounds = 1 + max(one.round or 0 for one in run.records)
        earlier = [one for one in run.records if (one.round or 0) < rounds / 2]
        wanted = {str(fit.group["implementation"]) for fit in open_.values()}
        frame = frame_of([one for one in earlier if one.implementation in wanted])
        before = _fits(frame, run.info)
    return all(
        name in before and _half_width(fit) > NARROWED * _half_width(before[name])
        for name, fit in open_.items()
    )


def _fits(frame: pd.DataFrame, info: Mapping[str, Any]) -> dict[tuple[str, ...], Fit]:
    """The fits of all groups, by what tells them apart."""
    fits = fit_groups(frame, info=info, compare=False)
    return {tuple(f"{name}={of}" for name, of in fit.group.items()): fit for fit in fits}


def _half_width(fit: Fit) -> float:
    """Half the widest interval among the sizes that vary; infinite where one has none.

    More time brings no exponent of a size that takes too few values, nor is it waited for.
    """
    widths = [
        float("inf") if one.low is None or one.high is None else (one.high - one.low) / 2
        for name, one in fit.exponents.items()
        if fit.levels.get(name, 0) >= FEWEST_SIZES
    ]
    return max(widths, default=0.0)
