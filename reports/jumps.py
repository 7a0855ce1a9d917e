"""Models with a jump: the claimed law, and beyond some threshold a cost that is higher.

`best_break` looks for the jump that explains the cells best, its exponents free. `step_criterion`
asks how well the claim itself explains them with any one jump, before it may be refuted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.breaks import Break, candidates, ramps
from reports.models import Held, Mask, Model, least, lower_terms
from reports.monomials import Floats, Monomial
from reports.profiles import descend
from reports.setting import REACH, Setting

PHYSICAL_BONUS = 6.0
"""Head start of a threshold in a recorded cause over one in a size, in the criterion's scale."""
FEWEST_FREE = 5  # degrees of freedom that a break must leave: fewer, and it explains anything
MOST_TRIED = 24  # breaks that are tried at the starts, after all were ranked
MOST_FITTED = 4  # breaks whose exponents are searched
LARGEST_JUMP = 5.0  # page faults cost 2.6 to 4; caches less
_LOG_JUMPS = tuple(math.log(f) for f in (0.33, 0.7, 1.4, 2.2, 3.3))
_ROUGH_JUMPS = (1 / 3.2, 1 / 1.6, 1.6, 3.2)
_FINE_JUMPS = tuple(float(LARGEST_JUMP**e) for e in np.linspace(-1, 1, 25))


@dataclass(frozen=True, kw_only=True)
class Divided:
    """A break with its model, the best θ, its squared residuals and its criterion."""

    found: Break
    model: Model
    theta: Floats
    sse: float
    score: float


def best_break(setting: Setting, starts: Sequence[Floats]) -> Divided | None:
    """The break that explains the cells best; None where none can be fitted.

    `starts` are exponents to search from: the claimed ones and those fitted without a break.
    Beyond the threshold either all cost but the overhead is a factor higher, or one lower-order
    term costs more. All are ranked by what one more column explains; the first are fitted.
    """
    tried: list[tuple[float, int, Break, Model]] = []
    for one, onset in _ranked(setting, starts):
        cells, law, names = setting.cells, setting.law, setting.names
        if onset is None:
            model = Model(cells, law, names=names, later=one.later)
        else:
            model = Model(cells, law, names=names, onsets=((onset, one.later),))
        thetas = np.array([t for start in starts for t in _with_jumps(model, start)])
        first = float(model.values(thetas, screen=True).min())
        score = setting.criterion(first, int(onset is None)) - _bonus(one)
        tried.append((score, len(tried), one, model))
    best: tuple[float, Divided] | None = None
    for _, _, one, model in sorted(tried, key=lambda entry: entry[:2])[:MOST_FITTED]:
        found = _descended(model, starts)
        solution = model.solve(found)
        parameters = solution.active + found.size + 1  # the threshold
        if len(setting.cells) - parameters < FEWEST_FREE:
            continue
        score = setting.criterion(solution.sse, parameters)
        if best is None or score - _bonus(one) < best[0]:
            divided = Divided(found=one, model=model, theta=found, sse=solution.sse, score=score)
            best = (score - _bonus(one), divided)
    return None if best is None else best[1]


def _bonus(one: Break) -> float:
    return PHYSICAL_BONUS if one.physical else 0.0


def _ranked(setting: Setting, starts: Sequence[Floats]) -> list[tuple[Break, Monomial | None]]:
    """The breaks, and the term that costs more beyond each (None for all), the likeliest first."""
    breaks = candidates(setting.cells, setting.law)
    if not breaks:
        return []
    plain = Model(setting.cells, setting.law, names=setting.names)
    later = np.column_stack([one.later for one in breaks]).astype(np.float64)
    order = lower_terms(setting.law)
    rows: dict[tuple[int, Monomial | None], float] = {}
    for theta in starts:
        columns = plain.columns_at(theta)
        basis = np.linalg.qr(columns / np.sqrt((columns**2).sum(axis=0)))[0]
        left = plain.target - basis @ (basis.T @ plain.target)
        growing = columns[:, plain.overheads :] @ _coefficients(plain, theta)
        for term in (None, *order):
            value = growing if term is None else _relative(plain, term)
            more = later * value[:, None]
            more = more - basis @ (basis.T @ more)
            norms = np.maximum((more**2).sum(axis=0), 1e-300)
            gains = (left @ more) ** 2 / norms
            for k, one in enumerate(breaks):
                rest = max(float(left @ left - gains[k]), 0.0)
                score = setting.criterion(rest, 0) - _bonus(one)
                rows[k, term] = min(score, rows.get((k, term), math.inf))
    best = sorted(rows, key=lambda key: rows[key])[:MOST_TRIED]
    return [(breaks[k], term) for k, term in best]


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
    return [np.append(exponents, jump) for jump in _LOG_JUMPS]


def _descended(model: Model, starts: Sequence[Floats]) -> Floats:
    """The best exponents and jump near the starts."""
    first = np.array([t for start in starts for t in _with_jumps(model, start)])
    return near(model, first[int(model.values(first).argmin())])


def near(model: Model, start: Floats, price: float = 0.0) -> Floats:
    """The minimum next to a start."""
    low, high = model.bounds(REACH)
    step = np.full(start.size, 0.1)
    return descend(lambda thetas: model.values(thetas, price), start, step, low, high)[0]


def step_criterion(
    setting: Setting,
    model: Model,
    thetas: Sequence[Floats],
    fewest: int,
    held: Held | None = None,
) -> float:
    """The best criterion with these exponents and one jump of the cost somewhere.

    The jump is a factor between 1/5 and 5 at a threshold, at once or with one size half-way; or
    one lower-order term costs more from there on; or all cells before the threshold read one
    value. Each side has the `fewest` cells; `held` gives a leading term a fixed share. Before a
    law is refuted, these much simpler explanations must have failed.
    """
    cells = setting.cells
    best = math.inf
    found = candidates(cells, model.law, fewest)
    steps = [one.later.astype(np.float64) for one in found]
    steps += [ramp for ramp in ramps(cells, model.law) if 0 < ramp.min() + ramp.max() < 2]
    for theta in thetas:
        for one in found:
            best = min(best, _above_floor(model, theta, one.later, held))
            for term in model.lower:
                best = min(best, _with_onset(model, theta, one.later, term, held))
        rough = [
            min(_explained(model, theta, held, factor**step) for factor in _ROUGH_JUMPS)
            for step in steps
        ]
        for k in np.argsort(rough)[:6]:
            fine = (_explained(model, theta, held, f ** steps[k]) for f in _FINE_JUMPS)
            best = min(best, *fine)
    if not math.isfinite(best):
        return math.inf
    parameters = model.solve(thetas[0]).active + 2
    return setting.criterion(best, parameters)


def _explained(
    model: Model, theta: Floats, held: Held | None, scale: Floats, more: Floats | None = None
) -> float:
    """The squared residuals with every cost but the overhead scaled, and perhaps a further column.

    Where a term is held at a share, what is left is to be explained by the others.
    """
    matrix = model.columns_at(theta)
    matrix[:, model.overheads :] *= scale[:, None]
    target = model.target
    if held is not None:
        matrix, target = model.held(matrix, held)
    return least(matrix if more is None else np.column_stack([matrix, more]), target)


def _with_onset(
    model: Model, theta: Floats, later: Mask, term: Monomial, held: Held | None
) -> float:
    """A term costs more from a threshold on, as page faults do."""
    onset = _relative(model, term) * later
    return _explained(model, theta, held, np.ones_like(model.target), onset)


def _above_floor(model: Model, theta: Floats, later: Mask, held: Held | None) -> float:
    """All cells before the threshold read one value, whatever their size.

    Waiting does that: for a scheduler's slice, or for a launch that hides the work.
    """
    floor = np.where(later, 0.0, model.target / model.cells.cost)
    return _explained(model, theta, held, later.astype(np.float64), floor)
