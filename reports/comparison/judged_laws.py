"""Is it another law where a ratio grows with a size? The judge says, of base and new.

A ratio also grows where two costs of one law have other terms of lower order: n·d beside n²·d
weighs less at larger sizes. The judge of `fit` knows such terms. So a law changed only if the judge
finds another exponent of the new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from reports.cells.gpu_time import time_column
from reports.comparison.changes import Changes
from reports.comparison.law_change import LAW_TOLERANCE
from reports.judge.fit_groups import fit_groups
from reports.laws.grammar import parse
from reports.text.interval import Interval
from reports.text.telling import Tell, tell_nobody

NOT_JUDGED = Interval(estimate=None, low=None, high=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """What is compared: the records of a run, and its `run.json`.

    `is_gpu_time`: times on a GPU are those of the GPU alone.
    """

    frame: pd.DataFrame
    info: Mapping[str, Any]
    is_gpu_time: bool


@dataclass(frozen=True, kw_only=True)
class LawChange:
    """The judge's exponents of one size: the claimed one where the interval of `fit` holds it."""

    base: Interval
    new: Interval

    @property
    def is_another_law(self) -> bool:
        """Whether the new interval excludes the base's exponent, which differs by the tolerance."""
        before, now = self.base.estimate, self.new.estimate
        if before is None or now is None or abs(now - before) < LAW_TOLERANCE:
            return False
        return not _includes(self.new, before)


def judged_laws(
    base: Side, new: Side, changes: Changes, bases: Sequence[str], tell: Tell = tell_nobody
) -> tuple[dict[str, LawChange], ...]:
    """For each series, the exponents of the sizes with which its ratio grows.

    `bases` has the implementation of the base that each series is compared with.
    """
    exponents, found = cache(_exponents), []  # several series may have one base
    for done, (one, name) in enumerate(zip(changes.series, bases, strict=True)):
        tell("judging the laws of series", done, len(bases))
        laws: dict[str, LawChange] = {}
        if one.grows_with:
            group = one.series.group
            before = exponents(base, tuple({**group, "implementation": name}.items()))
            now = exponents(new, tuple(group.items()))
            laws = {
                size: LawChange(base=before.get(size, NOT_JUDGED), new=now.get(size, NOT_JUDGED))
                for size in one.grows_with
            }
        found.append(laws)
    return tuple(found)


def _exponents(side: Side, group: tuple[tuple[str, Any], ...]) -> dict[str, Interval]:
    rows = side.frame
    for name, value in group:
        rows = rows[rows[name].isna() if pd.isna(value) else rows[name] == value]
    found = {}
    time = time_column(rows, side.is_gpu_time)
    for fit in fit_groups(rows, value=time, info=side.info, compare=False):
        terms = parse(fit.claim).leading
        for size, exponent in fit.exponents.items():
            claimed = {float(term.factor(size).power) for term in terms}
            estimate = exponent.estimate
            if estimate is not None and len(claimed) == 1 and _includes(exponent, *claimed):
                estimate = claimed.pop()
            found[size] = Interval(estimate=estimate, low=exponent.low, high=exponent.high)
    return found


def _includes(interval: Interval, value: float) -> bool:
    """Whether a value may be the true one; an unknown bound excludes nothing."""
    above = interval.low is None or interval.low <= value
    return above and (interval.high is None or value <= interval.high)
