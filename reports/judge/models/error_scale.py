"""What is judged, and the scales of error that everything is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Unpack

from scipy.special import fdtri, stdtrit

from reports.cells.cells import Cells
from reports.judge.models.intervals import search
from reports.judge.models.model import Columns, Model, Solution
from reports.laws.monomials import Law

STRICT = 10.0
"""How much better (Bayesian information criterion) a richer model must be to be believed."""
REACH = 2.0  # exponents are sought this far from the claimed ones
LARGEST_MISFIT = 0.08  # what tiling and caches do to real kernels without another exponent
LARGEST_COUNT_MISFIT = 0.02  # alignment and blocks that do not fill; counts have no other noise
MISFIT_IN_ERRORS = 2.5  # visits share their cell's error, so their spread understates it
TIME_FLOOR = 0.01  # no clock on a shared machine is truer than a per cent
COUNT_FLOOR = 0.001
BY_LUCK = 0.7  # of a cell's standard error: residuals of a fit are hardly smaller
ERROR_FLOOR = 0.005  # of a cell's error: several readings of a per cent have a median this good


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is judged: cells, the law in the sizes that vary, those sizes, and the error scale.

    `exact` says that the cost is counted (bytes, operations): no clock, and no cache, disturbs it.
    `least_error` is what no cell's error is believed to be below.
    """

    cells: Cells
    law: Law
    names: tuple[str, ...]
    confidence: float
    exact: bool
    least_error: float = ERROR_FLOOR

    @property
    def design_effect(self) -> float:
        """How many cells tell as much as one would if all counted alike (Kish 1965, section 11.7).

        By this an error is larger than residuals say, lest it be too small where weights are
        needless.
        """
        squares = self.cells.weights**2
        return float(squares.size * (squares**2).sum() / squares.sum() ** 2)

    def model(self, **columns: Unpack[Columns]) -> Model:
        """The claimed law on these cells, with other columns than the usual ones, if any."""
        return Model(self.cells, self.law, names=self.names, **columns)

    def solve_plain(self) -> Solution:
        """The claimed law with free exponents, without price and intervals: for a first look."""
        model = self.model()
        return model.solve(search(model.values, *model.bounds(REACH)).best)

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
        least = min(self.floor, self.least_error) if self.exact else self.least_error
        residual = math.sqrt(self.design_effect * sse / max(free, 1))
        return max(residual, self.cells.median_error or 0.0, least)

    def threshold(self, sse: float, free: int) -> float:
        """The sum of squares that bounds the confidence interval of one parameter."""
        quantile = float(stdtrit(max(free, 1), (1 + self.confidence) / 2))
        return sse + (self.error(sse, free) * quantile) ** 2

    def margin(self, sse: float, free: int, parameters: int) -> float:
        """By how much parameters that are not there lower the sum of squares, at most."""
        quantile = float(fdtri(parameters, max(free, 1), self.confidence))
        return self.error(sse, free) ** 2 * parameters * quantile

    @property
    def least_square(self) -> float:
        """The squared residual below which none is told from rounding, drift or luck.

        Residuals smaller than the scatter between a cell's own readings are luck.
        """
        return self.floor**2 + (BY_LUCK * (self.cells.median_error or 0.0)) ** 2

    def criterion(self, sse: float, parameters: int) -> float:
        """Bayesian information criterion (Schwarz 1978) of relative residuals: less is better."""
        count = len(self.cells)
        return count * math.log(sse / count + self.least_square) + parameters * math.log(count)

    def squares_below(self, score: float, parameters: int) -> float:
        """The sum of squares below which `criterion` is less than a score; 0 or less if none is."""
        count = len(self.cells)
        room = (score - parameters * math.log(count)) / count
        return count * (math.exp(min(room, 700.0)) - self.least_square)

    def best_criterion(self, parameters: int) -> float:
        """The least that a model with so many parameters and one term could reach."""
        return self.criterion(0.0, parameters + 1)
