"""Groups that are too small to be judged alone, judged together: one exponent for all of them.

Published tables have five sizes a group and many groups. Every group keeps coefficients of its
own, and the exponents are shared: each group then adds its cells to what is known of them, if it
may be thought that all follow one law, which is tested first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.special import fdtrc, stdtrit

from reports.judge.findings import PRESENT_SHARE, VISIBLE_SHARE, long_enough, within
from reports.judge.models.error_scale import REACH, Setting
from reports.judge.models.fitted import PRICE
from reports.judge.models.intervals import MOST_VARIABLES, intervals, search
from reports.judge.models.non_negative import least_squares
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import logarithm
from reports.laws.monomials import Floats
from reports.text.interval import Interval

FEWEST_GROUPS = 3
FEWEST_FREE = 5
LEVEL = 0.01  # at which groups are said not to share their exponents
MOST_MISSING = 0.2  # of the groups may lack the claimed term
_DOES: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.CONFIRMED: "confirms",
        Verdict.REFUTED: "refutes",
        Verdict.INCONCLUSIVE: "leaves open",
    }
)


@dataclass(frozen=True, kw_only=True)
class Together:
    """What `groups` say together, of so many that were `asked`; `text` tells it in a sentence."""

    claim: str
    groups: int
    cells: int
    verdict: Verdict
    exponents: Mapping[str, Interval]
    shared: bool
    asked: int

    @property
    def text(self) -> str:
        """One sentence."""
        if not self.shared:
            return f"{self._who} groups do not share their exponents: judge them apart."
        parts = [
            f"{name}^{one.estimate:.2f}{logarithm(self.claim, name)}"
            f" ± {(one.high - one.low) / 2:.2f}"
            for name, one in self.exponents.items()
            if one.estimate is not None and one.low is not None and one.high is not None
        ]
        growth = " · ".join(parts) or "an exponent that is not known"
        does = _DOES[self.verdict]
        return f"{self._who} groups together: {growth}, which {does} the claim {self.claim}."

    @property
    def _who(self) -> str:
        if self.groups < self.asked:
            return f"{self.groups} of {self.asked}"
        return f"All {self.groups}" if self.shared else f"The {self.groups}"

    def to_dict(self) -> dict[str, Any]:
        """JSON numbers or null."""
        return {
            "claim": self.claim,
            "groups": self.groups,
            "cells": self.cells,
            "verdict": str(self.verdict),
            "shared": self.shared,
            "exponents": {name: asdict(one) for name, one in self.exponents.items()},
        }


def together(fits: Sequence[Fit]) -> Together | None:
    """The groups' joint verdict; None where they need none, or are no groups of one kind.

    It is asked for where some group has too few sizes. All must claim the same law of the same
    sizes and costs. They share no exponents where some lack the claimed terms and others do not.
    """
    if not any("too_few_sizes" in one.reasons for one in fits):
        return None
    settings = [one.basis.setting for one in fits if one.basis is not None]
    kinds = {(one.claim, one.value, tuple(one.sizes)) for one in fits}
    if len(kinds) > 1 or len(settings) < max(FEWEST_GROUPS, math.ceil(0.8 * len(fits))):
        return None
    names = settings[0].names
    if any(one.names != names or one.law != settings[0].law for one in settings):
        return None
    first, tolerance = fits[0], fits[0].tolerance
    pooled = _Pooled(settings)
    if pooled.free < FEWEST_FREE:
        return None
    verdict, shared = Verdict.INCONCLUSIVE, pooled.is_shared
    found = pooled.intervals if shared else ()
    ends = [(low, high) for low, high in found if low is not None and high is not None]
    if found and len(ends) == len(found):
        largest = [max(float(s.cells.sizes[name].max()) for s in settings) for name in names]
        allowed = within(pooled.models[0], [tolerance] * len(names), largest)
        bounds = zip(ends, allowed, strict=True)
        if all(low >= least and high <= most for (low, high), (least, most) in bounds):
            shared = pooled.all_have_the_claim()
            if shared and pooled.reaches_far():
                verdict = Verdict.CONFIRMED
        elif _without_ends(settings, tolerance) and _beside_jumps(settings, tolerance):
            verdict = Verdict.REFUTED
    if verdict is Verdict.INCONCLUSIVE and pooled.is_shared and _always_absent(settings):
        verdict = Verdict.REFUTED
    return Together(
        claim=first.claim,
        groups=len(settings),
        cells=sum(len(one.cells) for one in settings),
        verdict=verdict,
        exponents={
            name: Interval(estimate=float(best), low=low, high=high)
            for name, best, (low, high) in zip(names, pooled.best, found, strict=False)
        },
        shared=shared,
        asked=len(fits),
    )


def _without_ends(settings: Sequence[Setting], tolerance: float) -> bool:
    """Whether some exponent lies outside without the largest and without the smallest sizes too.

    A cache that all groups leave at one size is no growth.
    """
    names = enumerate(settings[0].names)
    return any(_all_outside(map(_Pooled, _ends(settings, name)), v, tolerance) for v, name in names)


def _beside_jumps(settings: Sequence[Setting], tolerance: float) -> bool:
    """Whether some exponent lies outside with a jump of all groups at any size, too."""
    names = settings[0].names
    if len(names) == MOST_VARIABLES:
        return False
    with_jumps = [
        _Pooled(settings, (name, start))
        for name in names
        for start in np.unique(np.concatenate([one.cells.sizes[name] for one in settings]))[1:]
    ]
    return any(_all_outside(with_jumps, v, tolerance) for v in range(len(names)))


def _all_outside(pools: Iterable[_Pooled], v: int, tolerance: float) -> bool:
    """Whether all have an exponent on the same side of the claim."""
    return {pooled.side(v, tolerance) for pooled in pools} in ({1}, {-1})


def _always_absent(settings: Sequence[Setting]) -> bool:
    """Whether a claimed term is absent, without the largest and without the smallest sizes too."""
    return all(
        pooled.claim_is_absent
        for name in settings[0].names
        for pooled in map(_Pooled, _ends(settings, name))
    )


def _ends(settings: Sequence[Setting], name: str) -> Iterator[Sequence[Setting]]:
    """The groups whole, then each without its smallest size, then without its largest."""
    yield settings
    for end in (np.min, np.max):
        kept = [one.cells.sizes[name] != end(one.cells.sizes[name]) for one in settings]
        yield [
            replace(one, cells=one.cells.only(mask))
            for one, mask in zip(settings, kept, strict=True)
        ]


class _Pooled:
    """The claimed law on every group, each with its own coefficients.

    With a `jump`, a size and where it begins, the cost beyond is a factor dearer in all groups.
    """

    def __init__(self, settings: Sequence[Setting], jump: tuple[str, float] | None = None) -> None:
        self.settings = settings
        self.models = [
            one.model(later=None if jump is None else one.cells.sizes[jump[0]] >= jump[1])
            for one in settings
        ]
        self._price = 0.0
        low, high = self.models[0].bounds(REACH)
        alone = [search(model.values, low, high) for model in self.models]
        first = search(self._values, low, high)
        spent = sum(model.solve(first.best).active for model in self.models)
        self.free = sum(len(one.cells) for one in settings) - spent - low.size
        self._least = max(one.least_error for one in settings)
        apart = sum(one.value for one in alone)
        more = low.size * (len(settings) - 1)
        left = max(self.free - more, 1)
        error = max(apart / left, self._least**2)
        ratio = (first.value - apart) / max(more, 1) / error
        self.is_shared = bool(fdtrc(max(more, 1), left, max(ratio, 0.0)) > LEVEL)
        chance = (1 + settings[0].confidence) / 2
        self._quantile = float(stdtrit(max(self.free, 1), chance))
        self._error = math.sqrt(max(first.value / max(self.free, 1), self._least**2))
        self._price = PRICE * self._error**2
        self._found = search(self._values, low, high, first.best)
        self.best = self._found.best

    def _values(self, thetas: Floats) -> Floats:
        values = [model.values(thetas, self._price) for model in self.models]
        return np.asarray(np.sum(values, axis=0))

    @cached_property
    def intervals(self) -> tuple[tuple[float | None, float | None], ...]:
        """Profile intervals of the shared exponents."""
        threshold = self._found.value + (self._error * self._quantile) ** 2
        return intervals(self._values, self._found, threshold, len(self.models[0].names))

    def side(self, v: int, tolerance: float) -> int:
        """1 where the interval of an exponent lies above the claim, -1 below it, else 0."""
        if self.free < 1:
            return 0
        low, high = self.intervals[v]
        claim = float(self.models[0].claimed[v])
        above = low is not None and low > claim + tolerance
        below = high is not None and high < claim - tolerance
        return int(above) - int(below)

    def reaches_far(self) -> bool:
        """Whether the sizes of all groups reach far enough to confirm a claim."""
        return all(long_enough(one.cells, name) for one in self.settings for name in one.names)

    def all_have_the_claim(self) -> bool:
        """Whether the claimed terms are a part of the cost in every group.

        A linear group has n² at a coefficient of 0, whatever exponent the others share.
        """
        shares = [
            model.solve(self.best, self._price).shares[:, len(model.terms) :]
            for model in self.models
        ]
        return all(one.sum(axis=1).max() >= PRESENT_SHARE for one in shares)

    @property
    def claim_is_absent(self) -> bool:
        """Whether some claimed term is a negligible part of the cost, at its claimed exponents.

        It is, if it is that in nearly all groups, and a visible part in each misses the cells.
        """
        least = sum(least_squares(one.columns_at(one.claimed), one.target) for one in self.models)
        error = max(least / max(self.free, 1), self._least**2)
        shares = [one.solve(one.claimed).shares[:, len(one.terms) :] for one in self.models]
        small = (np.array([one.max(axis=0) for one in shares]) < VISIBLE_SHARE).mean(axis=0)
        visible = [
            sum(one.squares_with(one.claimed, j, VISIBLE_SHARE) for one in self.models)
            for j in np.flatnonzero(small >= 1 - MOST_MISSING).tolist()
        ]
        return self.free > 0 and max(visible, default=0.0) > least + error * self._quantile**2
