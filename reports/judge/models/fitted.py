"""A model fitted to cells: its exponents searched, with what it explains.

`explanations` chooses among such fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reports.judge.models.breaks import Break
from reports.judge.models.error_scale import REACH, Setting
from reports.judge.models.intervals import Search, intervals, search
from reports.judge.models.model import Model, Solution
from reports.laws.monomials import Floats, Monomial

PRICE = 0.5
PRICE_BESIDE_SEVERAL = 2.0
"""What a lower-order term must explain, in variances of a cell, to be taken: beside one leading
term, and beside several. By these the intervals cover what they promise (docs/calibration.md)."""
FARTHEST_REACH = 8.0  # sought so far above, while the best exponent lies at the end of the box
AT_THE_END = 0.001
FEWEST_STEEP = 4  # sizes at which a term must lead before so far an exponent is believed
MOST_OF_IT = 0.5

Ends = tuple[tuple[float | None, float | None], ...]
"""The interval of each exponent; None where an end is unknown."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model with its exponents searched.

    `broken` and `rival` (terms that outgrow it) say which explanation it is: neither is the claimed
    law alone. `price` is what each lower-order term had to lower the sum of squares by, and
    `margin` what a sum of squares may have more within the intervals.
    """

    model: Model
    found: Search
    solution: Solution
    margin: float
    free: int
    misfit: float
    score: float
    price: float
    broken: Break | None = None
    rival: tuple[Monomial, ...] = ()

    @cached_property
    def intervals(self) -> Ends:
        """The interval of each exponent; sought when somebody asks, since it takes longest."""
        count = len(self.model.names)
        if self.margin <= 0:
            return tuple((None, None) for _ in range(count))
        return intervals(
            lambda thetas: self.model.values(thetas, self.price),
            self.found,
            self.found.value + self.margin,
            count,
        )

    @property
    def at_the_claim(self) -> Floats:
        """The claimed exponents, at the jump that was found."""
        return np.append(self.model.claimed, self.found.best[self.model.claimed.size :])

    def share(self, leading: int) -> float:
        """The most that one leading term weighs in any cell."""
        return float(self.solution.shares[:, len(self.model.terms) + leading].max())

    @property
    def factor(self) -> float:
        """How many times the cost is what it would be without the break, 1 without one.

        The median over the cells beyond it, the overhead left out; where the cost rises by
        degrees, what it rises to.
        """
        if self.broken is None:
            return 1.0
        model, solution = self.model, self.solution
        if model.later is not None:
            return math.exp(float(solution.theta[-1]))
        beyond = solution.shares[self.broken.later]
        growing = beyond[:, model.overheads :].sum(axis=1)
        before = growing - beyond[:, model.overheads]
        return float(np.median(growing / before)) if (before > 0).all() else math.inf


def fit_model(
    setting: Setting,
    model: Model,
    price: float = 0.0,
    *,
    broken: Break | None = None,
    rival: Sequence[Monomial] = (),
    start: Floats | None = None,
    hint: Floats | None = None,
) -> Fitted:
    """Search the exponents of a model, unless they are given, and their confidence intervals."""
    if start is None:
        found = _searched(model, price, hint)
    else:
        low, high = model.bounds(REACH)
        value = model.value(start, price)
        found = Search(
            low=low, high=high, best=start, value=value, points=start[None], grid=np.array([value])
        )
    solution = model.solve(found.best, price)
    spent = solution.active + found.best.size + (broken is not None) + len(rival)
    free = len(setting.cells) - spent + len(rival)
    return Fitted(
        model=model,
        found=found,
        solution=solution,
        margin=0.0 if free < 1 else setting.threshold(solution.sse, free) - solution.sse,
        free=max(free, 1),
        misfit=math.sqrt(solution.sse / max(free, 1)),
        score=setting.criterion(solution.sse, spent),
        price=price,
        broken=broken,
        rival=tuple(rival),
    )


def fit_priced(setting: Setting, model: Model, rival: Sequence[Monomial] = ()) -> Fitted:
    """Fit a model with the price that the noise about it sets."""
    first = _searched(model, 0.0)
    return fit_model(
        setting, model, price_of(setting, model, first.value), rival=rival, hint=first.best
    )


def price_of(setting: Setting, model: Model, sse: float) -> float:
    """What a lower-order term must lower the sum of squares by, where a first fit left this one."""
    free = max(len(setting.cells) - model.size - model.bounds(REACH)[0].size, 1)
    price = PRICE if len(model.leading) == 1 else PRICE_BESIDE_SEVERAL
    return price * setting.error(sse, free) ** 2


def _searched(model: Model, price: float, hint: Floats | None = None) -> Search:
    """The best exponents near the claimed ones, or far above them where growth is plainly steep."""

    def objective(thetas: Floats) -> Floats:
        return model.values(thetas, price)

    low, high = model.bounds(REACH)
    near = found = search(objective, low, high, hint)
    while (ends := found.best >= high - AT_THE_END).any():
        if (high[ends] >= model.claimed[ends] + FARTHEST_REACH).any():
            return near
        high = np.where(ends, model.claimed + 2 * (high - model.claimed), high)
        found = search(objective, low, high, hint)
    return found if found is near or _is_steep(model, found, price) else near


def _is_steep(model: Model, found: Search, price: float) -> bool:
    """Whether the far exponent's term is most of the cost at several sizes.

    A cost that jumps at its last size or two looks like a steep power too.
    """
    shares = model.solve(found.best, price).shares
    leads = shares[:, len(model.terms) :].sum(axis=1) >= MOST_OF_IT
    far = [
        name
        for name, end, claim in zip(model.names, found.high, model.claimed, strict=True)
        if end > claim + REACH
    ]
    return all(np.unique(model.cells.sizes[name][leads]).size >= FEWEST_STEEP for name in far)
