"""What visits will cost in wall time: learned from those that were made, else from the forecast."""

from __future__ import annotations

import statistics
from collections import defaultdict

from bench.cases import Plan
from bench.cells import Cell, Key
from bench.forecast import Forecast, tensor_bytes

# Inputs, canary, counters and the journal, before any call; the ratio to what really happened
# corrects it within a few visits.
FIXED_S = 0.02
DRAWN_BYTES_PER_S = 1e9
WARM_UP_CALLS = 3
NEWEST = 200
FEWEST_RATIOS = 5


class VisitCosts:
    """Seconds of wall time that a visit to a cell takes."""

    def __init__(self, plan: Plan, forecast: Forecast) -> None:
        self._plan = plan
        self._forecast = forecast
        self._seen: dict[Key, list[float]] = defaultdict(list)
        self._ratios: list[float] = []

    def observe(self, cell: Cell, seconds: float) -> None:
        """Learn from a visit that was made, retakes included."""
        if cell.key not in self._seen:
            self._ratios.append(seconds / self._predicted(cell))
        self._seen[cell.key].append(seconds)

    def expected_s(self, cell: Cell) -> float:
        """What the next visit to the cell will take."""
        seen = self._seen.get(cell.key)
        if seen:
            return statistics.median(seen)
        ratios = self._ratios[-NEWEST:]
        return self._predicted(cell) * (
            statistics.median(ratios) if len(ratios) >= FEWEST_RATIOS else 1.0
        )

    def _predicted(self, cell: Cell) -> float:
        plan = self._plan
        call_s = self._forecast.time_s(cell.implementation, cell.case) or 0.0
        timed_s = max(min(plan.visit_s, 6 * max(call_s, 1e-3)), plan.min_samples * call_s)
        drawn_s = tensor_bytes(cell.case) / DRAWN_BYTES_PER_S
        return FIXED_S + drawn_s + WARM_UP_CALLS * call_s + timed_s
