"""The explanations that compete for a group of cells: the claimed law, a break, an outgrowing term.

Each is fitted with its exponents free; a richer one must lead by the strict margin of
`reports.breaks` to be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import f as f_distribution

from reports import breaks
from reports.breaks import Break
from reports.cells import Cells
from reports.models import Held, Model, Solution
from reports.monomials import Law, Monomial
from reports.profiles import Search, extent, search

REACH = 2.0  # exponents are sought this far from the claimed ones
FARTHEST_REACH = 8.0  # and this far above, while the best one lies at the end of what was searched
AT_THE_END = 0.001
FEWEST_STEEP = 4  # sizes at which a term must lead before so far an exponent is believed
MOST_OF_IT = 0.5
LARGEST_MISFIT = 0.08  # what tiling and caches do to real kernels without another exponent
LARGEST_COUNT_MISFIT = 0.02  # alignment and blocks that do not fill; counts have no other noise
MISFIT_IN_ERRORS = 2.5  # visits share their cell's error, so their spread understates it
TIME_FLOOR = 0.01  # no clock on a shared machine is truer than a per cent
COUNT_FLOOR = 0.001


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is judged: cells, the law in the sizes that vary, those sizes, and the error scale.

    `exact` says that the cost is counted (bytes, operations): no clock, and no cache, disturbs it.
    """

    cells: Cells
    law: Law
    names: tuple[str, ...]
    confidence: float
    exact: bool

    @property
    def floor(self) -> float:
        """The relative error below which nothing is believed."""
        return COUNT_FLOOR if self.exact else TIME_FLOOR

    @property
    def largest_misfit(self) -> float:
        """The residual standard error above which no law of the model's form fits."""
        largest = LARGEST_COUNT_MISFIT if self.exact else LARGEST_MISFIT
        return max(largest, MISFIT_IN_ERRORS * (self.cells.median_error or 0.0))

    def error(self, sse: float, free: int) -> float:
        """The relative standard error of a cell: the largest of the sensible estimates."""
        return max(math.sqrt(sse / max(free, 1)), self.cells.median_error or 0.0, self.floor)

    def threshold(self, sse: float, free: int, parameters: int) -> float:
        """The sum of squares that bounds the confidence region of some parameters."""
        quantile = float(f_distribution.ppf(self.confidence, parameters, max(free, 1)))
        return sse + self.error(sse, free) ** 2 * parameters * quantile

    def criterion(self, sse: float, parameters: int) -> float:
        """`breaks.criterion` of these cells."""
        return breaks.criterion(sse, len(self.cells), parameters, self.floor)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model with its exponents searched, and their intervals; None where an end is unknown.

    `broken` and `rival` say which explanation it is: neither is the claimed law alone.
    """

    model: Model
    found: Search
    solution: Solution
    intervals: tuple[tuple[float | None, float | None], ...]
    free: int
    misfit: float
    score: float
    broken: Break | None = None
    rival: Monomial | None = None

    def share(self, leading: int) -> float:
        """The most that one leading term weighs in any cell."""
        columns = self.model.columns(self.found.best)
        mine = [k for k, (_, _, j) in enumerate(columns) if j == leading]
        return float(self.solution.shares[:, mine].sum(axis=1).max())

    @property
    def rival_share(self) -> float:
        """The most that the outgrowing term weighs in any cell, 0 without one."""
        if self.rival is None:
            return 0.0
        return float(self.solution.shares[:, self.model.overheads].max())


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen explanation, and whether another kind explains the cells as well."""

    fitted: Fitted
    tie: bool


def fit_model(
    setting: Setting, model: Model, broken: Break | None = None, rival: Monomial | None = None
) -> Fitted:
    """Search the exponents of a model and the extent of their joint confidence region."""
    found = _searched(model)
    solution = model.solve(found.best)
    spent = solution.active + len(setting.names)
    chosen = 2 * (broken is not None) + (rival is not None)  # a threshold and its cause, or a term
    free = len(setting.cells) - spent - 2 * (broken is not None)
    if free >= 1:
        threshold = setting.threshold(found.sse, free, len(setting.names))
        intervals = extent(model.sse, found, threshold)
    else:
        intervals = tuple((None, None) for _ in setting.names)
    return Fitted(
        model=model,
        found=found,
        solution=solution,
        intervals=intervals,
        free=max(free, 1),
        misfit=math.sqrt(found.sse / max(free, 1)),
        score=setting.criterion(found.sse, spent + chosen),
        broken=broken,
        rival=rival,
    )


def _searched(model: Model) -> Search:
    """The best exponents near the claimed ones, or far above them where growth is plainly steep.

    A cost that jumps at its last size or two looks like a steep power too. A far exponent is
    therefore believed only where its term is most of the cost at several sizes.
    """
    low, high = model.claimed - REACH, model.claimed + REACH
    near = found = search(model.sse, low, high)
    while (ends := found.best >= high - AT_THE_END).any():
        if (high[ends] >= model.claimed[ends] + FARTHEST_REACH).any():
            return near
        high = np.where(ends, model.claimed + 2 * (high - model.claimed), high)
        found = search(model.sse, low, high)
    shares = model.solve(found.best).shares
    leading = [k for k, (_, _, j) in enumerate(model.columns(found.best)) if j >= 0]
    leads = shares[:, leading].sum(axis=1) >= MOST_OF_IT
    far = [
        name
        for name, end, claim in zip(model.names, high, model.claimed, strict=True)
        if end > claim + REACH
    ]
    plain = all(np.unique(model.cells.sizes[name][leads]).size >= FEWEST_STEEP for name in far)
    return found if plain else near


def choose(setting: Setting) -> Choice:
    """Fit the explanations and choose; the simplest unless another leads by the strict margin."""
    cells, law, names = setting.cells, setting.law, setting.names
    plain = fit_model(setting, Model(cells, law, names=names))
    starts = [plain.model.claimed, plain.found.best]
    broken = breaks.best_break(cells, law, names, starts, setting.floor)
    rival = _best_rival(setting)
    if rival is not None and rival[1] > plain.score - breaks.STRICT:
        rival = None
    if broken is not None and broken[1] < plain.score - breaks.STRICT:
        behind = rival is not None and rival[1] < broken[1] - breaks.STRICT
        if not behind:
            model = Model(cells, law, names=names, split=broken[0].later)
            fitted = fit_model(setting, model, broken=broken[0])
            factor = model.jump(fitted.found.best, fitted.solution)
            if not 1 / breaks.SMALLEST_JUMP < factor < breaks.SMALLEST_JUMP:
                tie = rival is not None and rival[1] < broken[1] + breaks.STRICT
                return Choice(fitted=fitted, tie=tie)
    if rival is not None:
        model = Model(cells, law, names=names, extra=(rival[0],))
        return Choice(fitted=fit_model(setting, model, rival=rival[0]), tie=False)
    return Choice(fitted=plain, tie=False)


def jump_explains(
    setting: Setting, chosen: Fitted, absent: Sequence[int], tolerance: float, share: float
) -> bool:
    """Whether the claim with one jump of the cost is nearly as good as the chosen explanation.

    The claim may take its exponents anywhere nearest inside its tolerance. Where terms are absent,
    it is the claim with such a term at a visible share.
    """
    model = Model(setting.cells, setting.law, names=setting.names, split=chosen.model.split)
    held: list[Held | None] = [Held(term=j, share=share) for j in absent] or [None]
    thetas = [model.claimed]
    if not absent:
        thetas.append(
            np.clip(chosen.found.best, model.claimed - tolerance, model.claimed + tolerance)
        )
    # Noise can make two cells look like a regime of their own; counts have none.
    fewest = breaks.FEWEST_CELLS if setting.exact else 2
    score = min(
        breaks.step_criterion(setting.cells, model, thetas, setting.floor, fewest, one)
        for one in held
    )
    # A term that is nowhere to be seen could only hide behind a jump that cancels it.
    return score < chosen.score + (0.0 if absent else breaks.STRICT)


def outgrown(setting: Setting, chosen: Fitted, share: float) -> bool:
    """Whether some outgrowing term is significantly there and weighs this share of some cell."""
    plain = Model(setting.cells, setting.law, names=setting.names, split=chosen.model.split)
    base = plain.sse(plain.claimed)
    rivals = _rivals(setting)
    for term in rivals:
        model = Model(
            setting.cells,
            setting.law,
            names=setting.names,
            extra=(term,),
            split=chosen.model.split,
        )
        solution = model.solve(model.claimed)
        free = max(len(setting.cells) - solution.active, 1)
        # One of many is tried, so the level is shared among them (Bonferroni).
        quantile = float(f_distribution.isf((1 - setting.confidence) / len(rivals), 1, free))
        gain = (base - solution.sse) / setting.error(solution.sse, free) ** 2
        if gain > quantile and solution.shares[:, model.overheads].max() >= share:
            return True
    return False


def _rivals(setting: Setting) -> list[Monomial]:
    """Terms that outgrow the claim in some size, by one whole power, or up to the square."""
    leading = setting.law.leading
    tops = [max(*(math.ceil(t.power(name)) + 1 for t in leading), 2) for name in setting.names]
    terms = [
        Monomial.of(dict(zip(setting.names, powers, strict=True)))
        for powers in product(*(range(top + 1) for top in tops))
    ]
    return [term for term in terms if not setting.law.covers(term)]


def _best_rival(setting: Setting) -> tuple[Monomial, float] | None:
    """The outgrowing term that explains most beside the claimed law, with its criterion."""
    best: tuple[Monomial, float] | None = None
    for term in _rivals(setting):
        model = Model(setting.cells, setting.law, names=setting.names, extra=(term,))
        solution = model.solve(model.claimed)
        if solution.coefficients[model.overheads] <= 0:
            continue
        score = setting.criterion(solution.sse, solution.active + 1)
        if best is None or score < best[1]:
            best = (term, score)
    return best
