"""Which sizes and cells of a group are judged, and how much each cell counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from reports.cells.cells import Cells
from reports.judge.findings import long_enough
from reports.judge.models.error_scale import STRICT, Setting
from reports.judge.models.explanations import choose
from reports.judge.models.fitted import Fitted
from reports.judge.result import Regime
from reports.laws.monomials import Factor, Floats, Law, Monomial, lower_terms

FEWEST_FREE = 3  # degrees of freedom: below it an F quantile is larger than any effect
OVERHEAD_ERROR = 0.1


def tested_sizes(cells: Cells, law: Law, names: Sequence[str]) -> tuple[str, ...]:
    """The sizes that vary: the law's own, and others unless they only follow the law's own."""
    own = [name for name in law.names if cells.distinct(name).size > 1]
    others = [name for name in names if name not in law.names and cells.distinct(name).size > 1]
    # d = 64 h follows h.
    return (*own, *(name for name in others if not own or _slopes_of(cells, name, own) is None))


def sizes_without_freedom(cells: Cells, law: Law, tested: Sequence[str]) -> Monomial:
    """The sizes, as a factor, whose power is taken as claimed: those that others leave no freedom.

    Where batch is 16384 / n, nothing tells its power from that of n. It is taken to be 1 if every
    leading term claims that: the cost is then judged for one item of a batch.
    """
    fixed: list[str] = []
    for name in reversed(tested):
        rest = [other for other in tested if other != name and other not in fixed]
        plain = Factor(name=name, power=Fraction(1))
        if rest and all(term.factor(name) == plain for term in law.leading):
            slopes = _slopes_of(cells, name, rest)
            if slopes is not None and slopes.max() < 1e-6:
                fixed.append(name)
    return Monomial.of(dict.fromkeys(fixed, 1))


def _slopes_of(cells: Cells, name: str, others: Sequence[str]) -> Floats | None:
    """The slopes of one log size over others, where it is a linear function of them."""
    target = np.log(cells.sizes[name])
    logs = [np.log(cells.sizes[other]) for other in others]
    matrix = np.column_stack([np.ones(target.size), *logs])
    solution = np.linalg.lstsq(matrix, target, rcond=None)[0]
    linear = float(np.abs(target - matrix @ solution).max()) < 1e-6
    return np.asarray(solution[1:]) if linear else None


def fewest_cells(law: Law, names: Sequence[str]) -> int:
    """How many cells a law needs at least to be judged, where these sizes vary.

    One for each exponent and coefficient of its model, and FEWEST_FREE beyond: 7 for n^2, 8 for
    n^3, 11 for n^2*d.
    """
    leading = law.leading
    overheads = int(leading != (Monomial(),))
    return len(names) + overheads + len(lower_terms(law)) + len(leading) + FEWEST_FREE


def discounted(setting: Setting) -> Setting:
    """The cells, each the less weighty the more of its cost is overhead, or rounding.

    Overhead is fitted as a constant and is none: what is launched, and how many threads wake for
    it, changes with the sizes. A tenth of it is therefore an error of the cell, beside its own. So
    is what rounding took from a cost of few digits.
    """
    if setting.exact:
        return setting
    plain = setting.solve_plain()
    model = setting.model()
    part = plain.shares[:, : model.overheads].sum(axis=1)
    free = max(len(setting.cells) - plain.active - len(setting.names), 1)
    error = max(setting.error(plain.sse, free), setting.floor)
    others = (OVERHEAD_ERROR * part) ** 2 + setting.cells.rounding**2
    weights = 1.0 / np.sqrt(1.0 + others / error**2)
    weights = setting.cells.weights * weights / np.sqrt((weights**2).mean())
    return replace(setting, cells=replace(setting.cells, weights=weights))


def judgeable(setting: Setting) -> tuple[Setting, Fitted, Regime | None]:
    """The cells that one law describes: all, or those from some size on, with what is left out.

    Growth is about large sizes, so small ones that follow another law (a window that is not full,
    blocks that do not fill, slices of a scheduler) may be left out, while the rest spans the range
    that a verdict needs. Each cell left out counts as a parameter: it could have been anything.
    """
    chosen = choose(setting)
    best, leader = chosen.score - STRICT, None
    for name in setting.names:
        values = setting.cells.sizes[name]
        for start in setting.cells.distinct(name)[1:]:
            kept = values >= start
            rest = replace(setting, cells=setting.cells.only(kept))
            spent = len(setting.names) + int((~kept).sum())
            if not _enough(rest) or setting.best_criterion(spent) >= best:
                break
            plain = rest.solve_plain()
            spent += plain.active
            free = len(rest.cells) - plain.active - len(setting.names)
            misfit = math.sqrt(plain.sse / max(free, 1))
            score = setting.criterion(plain.sse, spent)
            if score < best and misfit <= rest.largest_misfit:
                best, leader = score, (rest, name, start)
    if leader is None:
        return setting, chosen, None
    rest, name, start = leader
    first = next(iter(setting.cells.sizes.values()))[setting.cells.sizes[name] < start]
    evidence = f"left out: no law of the claimed form fits below {name} = {start:g}"
    return rest, choose(rest), Regime.over(first, "regime 1", evidence)


def _enough(setting: Setting) -> bool:
    """Whether the cells that are left still span what a verdict needs."""
    size = setting.model().size + len(setting.names)
    long = all(long_enough(setting.cells, name) for name in setting.names)
    return long and len(setting.cells) >= size + FEWEST_FREE
