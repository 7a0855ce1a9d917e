"""Whether a claim with one jump of the cost explains the cells: asked before it may be refuted.

The exponents are the claimed ones. The jump is a factor of up to 5 at a threshold; or one
lower-order term costs more from there on; or all cells before the threshold read one value, as
waiting for a scheduler's slice, or a launch that hides the work, makes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from reports.judge.models.breaks import candidates
from reports.judge.models.error_scale import Setting
from reports.judge.models.model import LeastShare, Model
from reports.judge.models.non_negative import column_lengths, least_squares, without_share
from reports.laws.monomials import Floats

LARGEST_FACTOR = 5.0  # page faults cost 2.6 to 4, caches less; neither makes a cost fall
_LOG_FACTORS = np.linspace(0.0, math.log(LARGEST_FACTOR), 9)
_REFINED = 3
_MOST_NUMBERS = 2_000_000  # in an array
_RIDGE = 1e-12  # columns may be zero on a level, or stand twice


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
    limit = setting.squares_below(score, model.solve(model.claimed).active + 2)
    found = _Jumps(model, share).squares(sudden, limit)
    return limit > 0 and any(squares < limit for squares in found)


class _Jumps:
    """The squared residuals at the claimed exponents, with a jump of the cost."""

    def __init__(self, model: Model, share: LeastShare | None) -> None:
        columns, self._target = model.columns_at(model.claimed), model.target
        self._share = share and replace(share, term=len(model.lower) + share.term)
        self._fixed, self._growing = np.split(columns, [model.overheads], axis=1)
        self._one = model.target / model.cells.cost  # what a cost of 1 in each cell is
        self._lower = [term.evaluate(model.cells.sizes) * self._one for term in model.lower]

    def squares(self, sudden: Sequence[Floats], limit: float) -> Iterator[float]:
        """Those of every jump, but for thresholds at which none can come below the limit."""
        for later, apart in zip(sudden, self._apart(sudden), strict=True):
            yield self._least(self._growing * later[:, None], self._one * (1 - later))
            if apart >= limit:
                continue
            for term in self._lower:
                yield self._least(self._growing, term * later)
            yield self._with_factors(later)

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
        room = max(1, _MOST_NUMBERS // (self._target.size * (1 + 2 * self._growing.shape[1])))
        blocks = [steps[k : k + room] for k in range(0, len(steps), room)]
        return np.concatenate([np.empty(0), *map(self._apart_at, blocks)])

    def _apart_at(self, steps: Sequence[Floats]) -> Floats:
        levels = np.array([[step == 0, step == 1] for step in steps])
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
