"""What may explain the cells beside a claim that does not alone: asked before it is refuted.

That is as much n beside n·log n, or one jump of the cost. The jump is a factor of up to 5 at a
threshold, at once or with one size half-way; or one lower-order term costs more from there on; or
all cells before the threshold read one value, as waiting for a scheduler's slice, or a launch that
hides the work, makes them. The exponents are the claimed ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from reports.judge.findings import VISIBLE_SHARE
from reports.judge.models.breaks import FEWEST_CELLS, candidates, ramps
from reports.judge.models.error_scale import MISFIT_IN_ERRORS, STRICT, Setting
from reports.judge.models.explanations import Fitted, is_long
from reports.judge.models.model import LeastShare, Model
from reports.judge.models.non_negative import (
    MOST_LOWER,
    column_lengths,
    least_squares,
    without_share,
)
from reports.judge.models.related_terms import lower_terms, near_terms
from reports.laws.monomials import Floats, Law

AS_GOOD = 2.0
"""What saves a claim explains the cells as well: so much, in the criterion, is hardly evidence
(Kass & Raftery 1995)."""
LEAST_LOGARITHM = 0.2
"""The part of some cell that n·log n has at least beside as much n."""
LARGEST_FACTOR = 5.0  # page faults cost 2.6 to 4, caches less; neither makes a cost fall
_LOG_FACTORS = np.linspace(0.0, math.log(LARGEST_FACTOR), 9)
_REFINED = 3
_MOST_NUMBERS = 2_000_000  # in an array
_RIDGE = 1e-12  # columns may be zero on a level, or stand twice


def is_saved(setting: Setting, chosen: Fitted, absent: Sequence[int]) -> bool:
    """Whether the claim and one thing more is nearly as good as the chosen explanation.

    That is a jump of the cost, or as much n beside n·log n. The claim keeps its exponents. Its
    term, or where terms are absent, one of those, has a visible share at least.
    """
    model = setting.model()
    score = _to_be_reached(setting, chosen, model, absent)
    # Over so many doublings n and n·log n differ by so much that a small lead is luck.
    far = all(is_long(setting.cells, name) for name in setting.names)
    enough = score + STRICT if far else score
    if near_terms(setting.law) and _with_plain_terms(setting) < enough:
        return True
    # One cell may be dearer for a cause of its own, the largest too; counts have no such cells.
    fewest = FEWEST_CELLS if setting.exact else 1
    shares = [LeastShare(term=j, share=VISIBLE_SHARE) for j in absent or range(len(model.leading))]
    return any(one_jump_reaches(setting, model, fewest, score, one) for one in shares)


def _to_be_reached(setting: Setting, chosen: Fitted, model: Model, absent: Sequence[int]) -> float:
    """The criterion below which another explanation is nearly as good.

    Where the best one misses the cells by far more than their readings scatter, there is something
    in them that no model has, and a small lead says little.
    """
    if absent:
        # A term that is nowhere to be seen could only hide behind a jump that cancels it: that
        # has to explain more than the cost without the term does.
        without = min(model.value(model.claimed, drop=j) for j in absent)
        spent = min(MOST_LOWER, len(model.lower)) + model.overheads
        return min(chosen.score, setting.criterion(without, spent))
    known = setting.cells.median_error
    missed = known is not None and chosen.misfit > MISFIT_IN_ERRORS * max(known, setting.floor)
    return chosen.score + (STRICT if missed else AS_GOOD)


def _with_plain_terms(setting: Setting) -> float:
    """The criterion of the claim with as much n, or more, beside a fifth of n·log n."""
    beside = (*lower_terms(setting.law), *near_terms(setting.law))
    model = setting.model(lower=beside)
    columns, count = model.columns_at(model.claimed), len(model.leading)
    logarithmic = [j for j, term in enumerate(model.leading) if near_terms(Law.of((term,)))]
    squares = min(
        model.squares_with(columns, LeastShare(term=j, share=LEAST_LOGARITHM)) for j in logarithmic
    )
    solution = model.solve(model.claimed)
    active = int((solution.coefficients[:-count] > 0).sum()) + count
    return setting.criterion(squares, active)


def one_jump_reaches(
    setting: Setting,
    model: Model,
    fewest: int,
    score: float,
    share: LeastShare | None = None,
) -> bool:
    """Whether some jump, with the claimed exponents, has a criterion below a score.

    Each side of it has the `fewest` cells; `share` gives a leading term a share at least.
    """
    cells = setting.cells
    sudden = [one.later.astype(np.float64) for one in candidates(cells, model.law, fewest)]
    gradual = [ramp for ramp in ramps(cells, model.law) if 0 < ramp.min() + ramp.max() < 2]
    limit = setting.squares_below(score, model.solve(model.claimed).active + 2)
    found = _Jumps(model, share).squares(sudden, gradual, limit)
    return limit > 0 and any(squares < limit for squares in found)


class _Jumps:
    """The squared residuals at the claimed exponents, with a jump of the cost."""

    def __init__(self, model: Model, share: LeastShare | None) -> None:
        columns, self._target = model.columns_at(model.claimed), model.target
        self._share = share and replace(share, term=len(model.lower) + share.term)
        self._fixed, self._growing = np.split(columns, [model.overheads], axis=1)
        self._one = model.target / model.cells.cost  # what a cost of 1 in each cell is
        self._lower = [term.evaluate(model.cells.sizes) * self._one for term in model.lower]

    def squares(
        self, sudden: Sequence[Floats], gradual: Sequence[Floats], limit: float
    ) -> Iterator[float]:
        """Those of every jump, but for thresholds at which none can come below the limit."""
        for later, apart in zip(sudden, self._apart(sudden), strict=True):
            yield self._least(self._growing * later[:, None], self._one * (1 - later))
            if apart >= limit:
                continue
            for term in self._lower:
                yield self._least(self._growing, term * later)
            yield self._with_factors(later)
        for step, apart in zip(gradual, self._apart(gradual), strict=True):
            if apart < limit:
                yield self._with_factors(step)

    def _with_factors(self, step: Floats) -> float:
        """With the best factor: sought on a grid, then between its neighbours there."""
        logs, found = _LOG_FACTORS, math.inf
        for _ in range(_REFINED):
            squares = [self._least(self._growing * np.exp(log * step)[:, None]) for log in logs]
            best = int(np.argmin(squares))
            found = min(found, squares[best])
            below, above = logs[max(best - 1, 0)], logs[min(best + 1, logs.size - 1)]
            logs = np.linspace(below, above, 6)[1:-1]
        return found

    def _apart(self, steps: Sequence[Floats]) -> Floats:
        """With coefficients of any sign, and others on each level of a step: a lower bound."""
        room = max(1, _MOST_NUMBERS // (self._target.size * (1 + 3 * self._growing.shape[1])))
        blocks = [steps[k : k + room] for k in range(0, len(steps), room)]
        return np.concatenate([np.empty(0), *map(self._apart_at, blocks)])

    def _apart_at(self, steps: Sequence[Floats]) -> Floats:
        levels = np.array([[step == 0, (step > 0) & (step < 1), step == 1] for step in steps])
        count, rows = len(steps), self._target.size
        growing = self._growing / column_lengths(self._growing)
        apart = (levels.transpose(0, 2, 1)[..., None] * growing[:, None]).reshape(count, rows, -1)
        fixed = self._fixed / column_lengths(self._fixed)
        columns = np.concatenate([np.broadcast_to(fixed, (count, *fixed.shape)), apart], axis=2)
        square = columns.transpose(0, 2, 1) @ columns
        square += _RIDGE * np.eye(square.shape[1])
        along = self._target @ columns
        explained = (np.linalg.solve(square, along[..., None])[..., 0] * along).sum(axis=1)
        return np.asarray(self._target @ self._target - explained)

    def _least(self, growing: Floats, more: Floats | None = None) -> float:
        target = self._target
        if self._share is not None:
            target = without_share(target, growing[:, self._share.term], self._share.share)
        columns = (self._fixed, growing, *(() if more is None else (more[:, None],)))
        return least_squares(np.hstack(columns), target)
