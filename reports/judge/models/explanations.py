"""The explanations that compete for a group of cells: the claimed law, a break, an outgrowing term.

Each is fitted with its exponents free; a richer one must lead by the strict margin of
`reports.judge.models.error_scale` to be chosen. With a break, beyond some threshold either all cost
but the overhead is a factor higher, or one lower-order term costs more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports.cells.cells import Cells
from reports.judge.models.breaks import Break, candidates, spills
from reports.judge.models.error_scale import REACH, STRICT, Setting
from reports.judge.models.fitted import Fitted, fit_model, fit_priced, price_of
from reports.judge.models.intervals import LEAST_STEP, descend
from reports.judge.models.model import Model
from reports.judge.models.non_negative import column_lengths
from reports.judge.models.outgrowing import best_rival
from reports.laws.monomials import Floats, Monomial, lower_terms, near_terms

LONG = 10.0  # doublings
SMALLEST_JUMP = 1.1  # a tenth is within what drift and tiling do, and moves no exponent
PHYSICAL_BONUS = 6.0
"""Head start of a threshold in a recorded cause over one in a size, in the criterion's scale."""
FEWEST_FREE = 5  # degrees of freedom that a break must leave: fewer, and it explains anything
MOST_TRIED = 24  # breaks that are tried at the starts, after all were ranked
MOST_FITTED = 4  # breaks whose exponents are searched
ROUGH_STEP = 8 * LEAST_STEP  # of those that are compared; the chosen one is sought anew
_LOG_JUMPS = tuple(math.log(f) for f in (0.33, 0.7, 1.2, 1.5, 2.2, 3.3))


def choose(setting: Setting) -> Fitted:
    """Fit the explanations and choose; the simplest unless another leads by the strict margin."""
    cells, law, names = setting.cells, setting.law, setting.names
    plain = fit_plain(setting)
    if setting.best_criterion(len(names) + 2) >= plain.score - STRICT:
        return plain  # nothing richer could lead
    unlogged = near_terms(law)
    if unlogged and all(is_long(cells, name) for term in unlogged for name in term.names):
        beside = fit_priced(setting, setting.model(lower=(*lower_terms(law), *unlogged)))
        if beside.score < plain.score - STRICT:
            plain = beside
    breaks = best_breaks(setting, [plain.model.claimed, plain.found.best])
    small = [one for one in breaks if _is_small(one)]
    large = [one for one in breaks if not _is_small(one)]
    leading = [one for one in large if _standing(one) < plain.score - STRICT]
    rival = best_rival(setting, plain.score - STRICT)
    if leading and (rival is None or rival[1] >= _standing(leading[0]) - STRICT):
        one = leading[0]
        price = price_of(setting, one.model, one.solution.sse)
        start = _near(one.model, one.found.best, price)
        return fit_model(setting, one.model, price, broken=one.broken, start=start)
    change = min(map(_standing, small), default=math.inf)
    if rival is None or change <= rival[1] + STRICT:  # no other law explains as much
        return plain
    return fit_priced(setting, setting.model(extra=rival[0]), rival[0])


def fit_plain(setting: Setting) -> Fitted:
    """The claimed law with free exponents."""
    return fit_priced(setting, setting.model())


def is_long(cells: Cells, name: str) -> bool:
    """Whether a size spans so much that a logarithm is no cache that is left by degrees."""
    values = cells.sizes[name]
    return math.log2(float(values.max() / values.min())) >= LONG


def _is_small(one: Fitted) -> bool:
    return 1 / SMALLEST_JUMP < one.factor < SMALLEST_JUMP


def _standing(one: Fitted) -> float:
    """The criterion, with the head start that a recorded cause has."""
    return one.score if one.broken is None else one.score - _bonus(one.broken)


def _bonus(one: Break) -> float:
    return PHYSICAL_BONUS if one.physical else 0.0


def best_breaks(setting: Setting, starts: Sequence[Floats]) -> list[Fitted]:
    """The breaks that explain the cells best, the best first; none where none can be fitted.

    `starts` are exponents to search from: the claimed ones and those fitted without a break.
    All are ranked by what one more column explains; the first are fitted.
    """
    tried: list[tuple[float, Break, Model, Floats]] = []
    for one, onset in _ranked(setting, starts):
        if onset is None:
            model = setting.model(later=one.rise)
        else:
            model = setting.model(onsets=((onset, one.rise),))
        points = _with_jumps(model, starts)
        values = model.values(points)
        score = setting.criterion(float(values.min()), int(onset is None)) - _bonus(one)
        tried.append((score, one, model, points[int(values.argmin())]))
    tried.sort(key=lambda entry: entry[0])
    sudden = [entry for entry in tried if entry[1].gradual is None]
    gradual = [entry for entry in tried if entry[1].gradual is not None]
    fitted = [
        fit_model(setting, model, broken=one, start=_near(model, start, least_step=ROUGH_STEP))
        for _, one, model, start in (*sudden[:MOST_FITTED], *gradual[:MOST_FITTED])
    ]
    return sorted((one for one in fitted if one.free >= FEWEST_FREE), key=_standing)


def _ranked(setting: Setting, starts: Sequence[Floats]) -> list[tuple[Break, Monomial | None]]:
    """The breaks, and the term that costs more beyond each (None for all), the likeliest first."""
    breaks = candidates(setting.cells, setting.law) + spills(setting.cells, setting.law)
    if not breaks:
        return []
    plain = setting.model()
    rises = np.column_stack([one.rise for one in breaks])
    terms = (None, *plain.lower)
    scores: dict[tuple[int, int], float] = {}
    for theta in starts:
        columns = plain.columns_at(theta)
        basis = np.linalg.qr(columns / column_lengths(columns))[0]
        left = plain.target - basis @ (basis.T @ plain.target)
        # What the growing columns cost, without regard to signs: only for ranking.
        costs = np.linalg.lstsq(columns, plain.target, rcond=None)[0]
        dearer = columns[:, plain.overheads :]
        all_of_it = dearer @ np.maximum(costs[plain.overheads :], 0.0)
        for place, value in enumerate([all_of_it, *dearer.T[: len(plain.lower)]]):
            more = rises * value[:, None]
            more = more - basis @ (basis.T @ more)
            gains = (left @ more) ** 2 / np.maximum((more**2).sum(axis=0), 1e-300)
            for k, one in enumerate(breaks):
                if one.gradual is None or terms[place] == one.dearer:
                    rest = max(float(left @ left - gains[k]), 0.0)
                    score = setting.criterion(rest, 0) - _bonus(one)
                    scores[k, place] = min(score, scores.get((k, place), math.inf))
    best = [(breaks[k], terms[place]) for k, place in sorted(scores, key=lambda key: scores[key])]
    sudden = [entry for entry in best if entry[0].gradual is None]
    gradual = [entry for entry in best if entry[0].gradual is not None]
    return sudden[:MOST_TRIED] + gradual[: MOST_TRIED // 2]


def _with_jumps(model: Model, starts: Sequence[Floats]) -> Floats:
    """The starts, each with several factors where the model has one."""
    if model.later is None:
        return np.array(starts)
    low = model.bounds(REACH)[0][-1]
    return np.array(
        [np.append(start, jump) for start in starts for jump in _LOG_JUMPS if jump >= low]
    )


def _near(
    model: Model, start: Floats, price: float = 0.0, least_step: float = LEAST_STEP
) -> Floats:
    """The minimum next to a start."""
    low, high = model.bounds(REACH)

    def objective(thetas: Floats) -> Floats:
        return model.values(thetas, price)

    return descend(objective, start, np.full(start.size, 0.1), low, high, least_step)[0]
