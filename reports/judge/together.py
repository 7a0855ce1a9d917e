"""Groups that are too small to be judged alone, judged together: one exponent for all of them.

Published tables have five sizes a group and many groups. Every group keeps coefficients of its
own, and the exponents are shared: each group then adds its cells to what is known of them, if it
may be thought that all follow one law, which is tested first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from reports.judge.findings import PRESENT_SHARE, VISIBLE_SHARE, long_enough, within
from reports.judge.models.error_scale import REACH, Setting
from reports.judge.models.explanations import PRICE
from reports.judge.models.intervals import MOST_VARIABLES, intervals, search
from reports.judge.models.model import LeastShare, Model
from reports.judge.models.non_negative import least_squares
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import logarithm
from reports.laws.monomials import Floats
from reports.text.interval import Interval

FEWEST_GROUPS = 3
FEWEST_FREE = 5
LEVEL = 0.01  # at which groups are said not to share their exponents
MOST_MISSING = 0.2  # of the groups may lack the claimed term


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
        parts = []
        for name, one in self.exponents.items():
            if one.estimate is not None and one.low is not None and one.high is not None:
                half = (one.high - one.low) / 2
                log = logarithm(self.claim, name)
                parts.append(f"{name}^{one.estimate:.2f}{log} ± {half:.2f}")
        growth = " · ".join(parts) or "an exponent that is not known"
        words = {
            Verdict.CONFIRMED: "which confirms the claim",
            Verdict.REFUTED: "which refutes the claim",
            Verdict.INCONCLUSIVE: "which leaves open the claim",
        }[self.verdict]
        return f"{self._who} groups together: {growth}, {words} {self.claim}."

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
            "exponents": {
                name: {"estimate": one.estimate, "low": one.low, "high": one.high}
                for name, one in self.exponents.items()
            },
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
    first = fits[0]
    pooled = _Pooled(settings)
    if pooled.free < FEWEST_FREE:
        return None
    verdict, shared = Verdict.INCONCLUSIVE, pooled.is_shared
    found = pooled.intervals(first.confidence) if pooled.is_shared else ()
    claimed = pooled.models[0].claimed
    ends = [(low, high) for low, high in found if low is not None and high is not None]
    if found and len(ends) == len(found):
        pairs = list(zip(ends, claimed, strict=True))
        tolerance = first.tolerance
        largest = [max(float(s.cells.sizes[name].max()) for s in settings) for name in names]
        allowed = within(pooled.models[0], [tolerance] * len(names), largest)
        bounds = zip(ends, allowed, strict=True)
        if all(low >= lowest and high <= highest for (low, high), (lowest, highest) in bounds):
            shared = pooled.all_have_the_claim()
            if shared and pooled.reaches_far():
                verdict = Verdict.CONFIRMED
        elif any(low > c + tolerance or high < c - tolerance for (low, high), c in pairs):
            outside = _without_ends(settings, first) and _beside_jumps(settings, first)
            verdict = Verdict.REFUTED if outside else verdict
    if verdict is Verdict.INCONCLUSIVE and pooled.is_shared and _always_absent(settings, first):
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


def _without_ends(settings: Sequence[Setting], fit: Fit) -> bool:
    """Whether some exponent lies outside without the largest and without the smallest sizes too.

    A cache that all groups leave at one size is no growth.
    """
    for v, name in enumerate(settings[0].names):
        sides = set()
        for pooled in map(_Pooled, _ends(settings, name)):
            sides.add(pooled.side(v, fit))
        if sides in ({1}, {-1}):
            return True
    return False


def _beside_jumps(settings: Sequence[Setting], fit: Fit) -> bool:
    """Whether some exponent lies outside with a jump of all groups at any size, too."""
    names = settings[0].names
    if len(names) == MOST_VARIABLES:
        return False
    starts = [
        (name, start)
        for name in names
        for start in np.unique(np.concatenate([one.cells.sizes[name] for one in settings]))[1:]
    ]
    sides = [
        [pooled.side(v, fit) for v in range(len(names))]
        for pooled in (_Pooled(settings, jump) for jump in starts)
    ]
    return any({one[v] for one in sides} in ({1}, {-1}) for v in range(len(names)))


def _always_absent(settings: Sequence[Setting], fit: Fit) -> bool:
    """Whether a claimed term is absent, without the largest and without the smallest sizes too."""
    return all(
        pooled.free > 0 and pooled.claim_is_absent(fit.confidence)
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
            Model(
                one.cells,
                one.law,
                names=one.names,
                later=None if jump is None else one.cells.sizes[jump[0]] >= jump[1],
            )
            for one in settings
        ]
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
        self.is_shared = bool(f_distribution.sf(ratio, max(more, 1), left) > LEVEL)
        self._error = math.sqrt(max(first.value / max(self.free, 1), self._least**2))
        self._price = PRICE * self._error**2
        self._found = search(self._values, low, high, first.best)
        self.best = self._found.best

    def _values(self, thetas: Floats) -> Floats:
        price = getattr(self, "_price", 0.0)
        return np.asarray(np.sum([model.values(thetas, price) for model in self.models], axis=0))

    def intervals(self, confidence: float) -> tuple[tuple[float | None, float | None], ...]:
        """Profile intervals of the shared exponents."""
        quantile = float(t_distribution.ppf((1 + confidence) / 2, max(self.free, 1)))
        threshold = self._found.value + (self._error * quantile) ** 2
        return intervals(self._values, self._found, threshold, len(self.models[0].names))

    def side(self, v: int, fit: Fit) -> int:
        """1 where the interval of an exponent lies above the claim, -1 below it, else 0."""
        if self.free < 1:
            return 0
        low, high = self.intervals(fit.confidence)[v]
        claim = float(self.models[0].claimed[v])
        above = low is not None and low > claim + fit.tolerance
        below = high is not None and high < claim - fit.tolerance
        return int(above) - int(below)

    def reaches_far(self) -> bool:
        """Whether the sizes of all groups reach far enough to confirm a claim."""
        return all(long_enough(one.cells, name) for one in self.settings for name in one.names)

    def all_have_the_claim(self) -> bool:
        """Whether the claimed terms are a part of the cost in every group.

        A linear group has n² at a coefficient of 0, whatever exponent the others share.
        """
        for model in self.models:
            shares = model.solve(self.best, self._price).shares[:, len(model.terms) :]
            if float(shares.sum(axis=1).max()) < PRESENT_SHARE:
                return False
        return True

    def claim_is_absent(self, confidence: float) -> bool:
        """Whether some claimed term is a negligible part of the cost, at its claimed exponents.

        It is, if it is that in nearly all groups, and a visible part in each misses the cells.
        """
        quantile = float(t_distribution.ppf((1 + confidence) / 2, max(self.free, 1)))
        for j in range(len(self.models[0].leading)):
            free, visible, small = 0.0, 0.0, 0
            for model in self.models:
                columns = model.columns_at(model.claimed)
                free += least_squares(columns, model.target)
                visible += model.squares_with(columns, LeastShare(term=j, share=VISIBLE_SHARE))
                share = model.solve(model.claimed).shares[:, len(model.terms) + j]
                small += float(share.max()) < VISIBLE_SHARE
            error = max(free / max(self.free, 1), self._least**2)
            few = small >= (1 - MOST_MISSING) * len(self.models)
            if few and visible > free + error * quantile**2:
                return True
        return False
