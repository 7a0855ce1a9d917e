"""Does a ratio grow with a size? And is it a fixed cost of each call instead?

The logarithm of a ratio that grows rises with that of the size. A fixed cost that was added to each
call weighs less at larger sizes, and looks like a smaller exponent; so it is named instead if it
explains the cells as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from reports.cells.cells import LEAST_SCATTER
from reports.laws.monomials import Floats

LAW_TOLERANCE = 0.1
"""A power below that is none, and no other law: so much is a claim allowed to be off, too."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """By which power of a size the ratio grows, with its interval (None where it is unknown)."""

    estimate: float
    low: float | None
    high: float | None

    @property
    def is_sure(self) -> bool:
        """Whether the ratio grows, or falls, beyond doubt and by more than the tolerance."""
        if self.low is None or self.high is None or abs(self.estimate) < LAW_TOLERANCE:
            return False
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class FixedCost:
    """new = `factor` · base + `seconds`: what each call takes more, whatever its size."""

    factor: float
    seconds: float


def fixed_cost(base_s: Floats, logs: Floats, sizes: Sequence[Floats]) -> FixedCost | None:
    """The fixed cost that explains the log ratios at least as well as powers of the sizes do.

    `sizes` are logarithms. None if powers explain them better, by the Bayesian information
    criterion.
    """
    design = np.column_stack([np.ones_like(logs), *sizes])
    rest = logs - design @ np.linalg.lstsq(design, logs, rcond=None)[0]
    scale = float(base_s.min())

    def apart(parameters: Floats) -> Floats:
        factor, cost = parameters
        return np.asarray(np.log(np.maximum(factor + cost * scale / base_s, 1e-3)) - logs)

    found = least_squares(apart, np.array([math.exp(float(logs.mean())), 0.0]))
    if _criterion(found.fun, 2) > _criterion(rest, design.shape[1]):
        return None
    factor, cost = found.x
    if np.min(factor + cost * scale / base_s) <= 0:
        return None
    return FixedCost(factor=float(factor), seconds=float(cost) * scale)


def _criterion(residuals: Floats, parameters: int) -> float:
    count = residuals.size
    scatter = max(float(residuals @ residuals) / count, LEAST_SCATTER**2)
    return count * math.log(scatter) + parameters * math.log(count)
