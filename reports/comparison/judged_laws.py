"""Is it another law where a ratio grows with a size? The judge says, of base and new.

A ratio also grows where two costs of one law have other terms of lower order: n·d beside n²·d
weighs less at larger sizes. The judge of `fit` knows such terms. So a law changed only if the judge
finds another exponent of the new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.records import Run
from reports.comparison.changes import Changes
from reports.comparison.law_change import LAW_TOLERANCE
from reports.judge.fit_groups import fit_groups
from reports.laws.grammar import parse
from reports.tables.read import frame_of
from reports.text.interval import Interval

NOT_JUDGED = Interval(estimate=None, low=None, high=None)


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
    base: Run, new: Run, changes: Changes, bases: Sequence[str]
) -> tuple[dict[str, LawChange], ...]:
    """For each series, the exponents of the sizes with which its ratio grows.

    `bases` has the implementation of `base` that each series is compared with.
    """
    found: list[dict[str, LawChange]] = [{} for _ in bases]
    for place, (one, name) in enumerate(zip(changes.series, bases, strict=True)):
        if one.grows_with:
            before = _exponents(base, {**one.series.group, "implementation": name})
            now = _exponents(new, one.series.group)
            for size in one.grows_with:
                found[place][size] = LawChange(
                    base=before.get(size, NOT_JUDGED), new=now.get(size, NOT_JUDGED)
                )
    return tuple(found)


def _exponents(run: Run, group: Mapping[str, Any]) -> dict[str, Interval]:
    rows = frame_of(run.records)
    for name, value in group.items():
        rows = rows[rows[name].isna() if pd.isna(value) else rows[name] == value]
    found = {}
    for fit in fit_groups(rows, info=run.info, compare=False):
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
