"""Models with a jump: the claimed law, and beyond some threshold a cost that is higher.

`best_breaks` looks for those that explain the cells best, their exponents free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.judge.models.breaks import Break, candidates, spills
from reports.judge.models.error_scale import REACH, Setting
from reports.judge.models.intervals import LEAST_STEP, descend
from reports.judge.models.model import Model, Solution
from reports.judge.models.non_negative import column_lengths
from reports.judge.models.related_terms import lower_terms
from reports.laws.monomials import Floats, Monomial

PHYSICAL_BONUS = 6.0
"""Head start of a threshold in a recorded cause over one in a size, in the criterion's scale."""
FEWEST_FREE = 5  # degrees of freedom that a break must leave: fewer, and it explains anything
MOST_TRIED = 24  # breaks that are tried at the starts, after all were ranked
MOST_FITTED = 4  # breaks whose exponents are searched
ROUGH_STEP = 8 * LEAST_STEP  # of those that are compared; the chosen one is sought anew
_LOG_JUMPS = tuple(math.log(f) for f in (0.33, 0.7, 1.2, 1.5, 2.2, 3.3))


@dataclass(frozen=True, kw_only=True, eq=False)
class Divided:
    """A break with its model, the solution at the best θ, and its criterion.

    `standing` is the criterion with the head start that a recorded cause has over one in sizes.
    """

    found: Break
    model: Model
    solution: Solution
    score: float
    standing: float

    @property
    def factor(self) -> float:
        """How many times the cost is what it would be without the break."""
        return factor_of(self.found, self.model, self.solution)


def _model(setting: Setting, one: Break, onset: Monomial | None) -> Model:
    """The claimed law with a break: of everything, or of one term only."""
    if onset is None:
        return setting.model(later=one.rise)
    return setting.model(onsets=((onset, one.rise),))


def factor_of(found: Break, model: Model, solution: Solution) -> float:
    """How many times the cost is what it would be without the break.

    The median over the cells beyond it, the overhead left out; where the cost rises by degrees,
    what it rises to.
    """
    if model.later is not None:
        return math.exp(float(solution.theta[-1]))
    beyond = solution.shares[found.later]
    growing = beyond[:, model.overheads :].sum(axis=1)
    before = growing - beyond[:, model.overheads]
    return float(np.median(growing / before)) if (before > 0).all() else math.inf


def best_breaks(setting: Setting, starts: Sequence[Floats]) -> list[Divided]:
    """The breaks that explain the cells best, the best first; none where none can be fitted.

    `starts` are exponents to search from: the claimed ones and those fitted without a break.
    Beyond the threshold either all cost but the overhead is a factor higher, or one lower-order
    term costs more. All are ranked by what one more column explains; the first are fitted.
    """
    tried: list[tuple[float, int, Break, Model]] = []
    for one, onset in _ranked(setting, starts):
        model = _model(setting, one, onset)
        thetas = np.array([t for start in starts for t in _with_jumps(model, start)])
        first = float(model.values(thetas).min())
        score = setting.criterion(first, int(onset is None)) - _bonus(one)
        tried.append((score, len(tried), one, model))
    ordered = sorted(tried, key=lambda entry: entry[:2])
    sudden = [entry for entry in ordered if entry[2].gradual is None]
    gradual = [entry for entry in ordered if entry[2].gradual is not None]
    fitted = []
    for _, _, one, model in (*sudden[:MOST_FITTED], *gradual[:MOST_FITTED]):
        solution = model.solve(_descended(model, starts))
        parameters = solution.active + solution.theta.size + 1  # the threshold
        if len(setting.cells) - parameters < FEWEST_FREE:
            continue
        score = setting.criterion(solution.sse, parameters)
        divided = Divided(
            found=one,
            model=model,
            solution=solution,
            score=score,
            standing=score - _bonus(one),
        )
        fitted.append(divided)
    return sorted(fitted, key=lambda one: one.standing)


def _bonus(one: Break) -> float:
    return PHYSICAL_BONUS if one.physical else 0.0


def _ranked(setting: Setting, starts: Sequence[Floats]) -> list[tuple[Break, Monomial | None]]:
    """The breaks, and the term that costs more beyond each (None for all), the likeliest first."""
    breaks = candidates(setting.cells, setting.law) + spills(setting.cells, setting.law)
    if not breaks:
        return []
    plain = setting.model()
    rises = np.column_stack([one.rise for one in breaks])
    order = lower_terms(setting.law)
    rows: dict[tuple[int, Monomial | None], float] = {}
    for theta in starts:
        columns = plain.columns_at(theta)
        basis = np.linalg.qr(columns / column_lengths(columns))[0]
        left = plain.target - basis @ (basis.T @ plain.target)
        growing = columns[:, plain.overheads :] @ _coefficients(plain, theta)
        for term in (None, *order):
            value = growing if term is None else _relative(plain, term)
            more = rises * value[:, None]
            more = more - basis @ (basis.T @ more)
            norms = np.maximum((more**2).sum(axis=0), 1e-300)
            gains = (left @ more) ** 2 / norms
            for k, one in enumerate(breaks):
                if one.gradual is not None and term != one.dearer:
                    continue
                rest = max(float(left @ left - gains[k]), 0.0)
                score = setting.criterion(rest, 0) - _bonus(one)
                rows[k, term] = min(score, rows.get((k, term), math.inf))
    best = [(breaks[k], term) for k, term in sorted(rows, key=lambda key: rows[key])]
    sudden = [entry for entry in best if entry[0].gradual is None]
    gradual = [entry for entry in best if entry[0].gradual is not None]
    return sudden[:MOST_TRIED] + gradual[: MOST_TRIED // 2]


def _coefficients(plain: Model, theta: Floats) -> Floats:
    """What the growing columns cost, without regard to signs: only for ranking."""
    found = np.linalg.lstsq(plain.columns_at(theta), plain.target, rcond=None)[0]
    return np.asarray(np.maximum(found[plain.overheads :], 0.0))


def _relative(plain: Model, term: Monomial) -> Floats:
    value = term.evaluate(plain.cells.sizes) * plain.target / plain.cells.cost
    return np.asarray(value, dtype=np.float64)


def _with_jumps(model: Model, exponents: Floats) -> list[Floats]:
    if model.later is None:
        return [exponents]
    low = model.bounds(REACH)[0][-1]
    return [np.append(exponents, jump) for jump in _LOG_JUMPS if jump >= low]


def _descended(model: Model, starts: Sequence[Floats]) -> Floats:
    """The best exponents and jump near the starts."""
    first = np.array([t for start in starts for t in _with_jumps(model, start)])
    start = first[int(model.values(first).argmin())]
    return near(model, start, least_step=ROUGH_STEP)


def near(model: Model, start: Floats, price: float = 0.0, least_step: float = LEAST_STEP) -> Floats:
    """The minimum next to a start."""
    low, high = model.bounds(REACH)
    step = np.full(start.size, 0.1)

    def objective(thetas: Floats) -> Floats:
        return model.values(thetas, price)

    return descend(objective, start, step, low, high, least_step)[0]
