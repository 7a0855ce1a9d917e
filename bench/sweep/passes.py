"""Which cells take part in a pass, and in which order.

Disturbance comes in spells of milliseconds to minutes: a cell that is seen in many short passes
over the whole run meets the quiet moments too, one that is visited a few times carries whichever
spells it met (docs/measuring.md).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

from bench.plan.cells import Cell, Key
from bench.timing.stopwatch import COLD_S, READING_S

# A call that takes longer is costly: it takes part in every second or third pass, so that
# the others are not seen the less for it.
COSTLY_S = 1e-2
LONGEST_PERIOD = 3
# Asking, answering and looking up what is ready.
BESIDES_S = 3e-4


def visit_s(call_s: float) -> float:
    """Seconds that a visit takes to a cell whose call takes so long."""
    warm_s = call_s if call_s < COLD_S else 0.0
    return max(READING_S, call_s) + warm_s + BESIDES_S


def period(call_s: float, passes: float) -> int:
    """In which of the passes a cell takes part: every one, every second, … of so many in a turn."""
    return max(1, min(LONGEST_PERIOD, math.ceil(call_s / COSTLY_S), int(passes)))


class Passes:
    """The passes of one turn; `call_s` are the seconds that a call of a cell is known to take.

    Every pass has an order of its own, from a stated seed, so that drift cannot pose as an
    exponent. A cell takes part at least once in a turn that is as long as it was meant to be.
    """

    def __init__(
        self, cells: Sequence[Cell], call_s: Callable[[Cell], float], *, turn_s: float, seed: str
    ) -> None:
        costs = {cell.key: call_s(cell) for cell in cells}
        self._visits_s = {key: visit_s(cost) for key, cost in costs.items()}
        several = range(2, LONGEST_PERIOD + 1)
        passes = max((k for k in several if self._before_s(costs, k) < turn_s), default=1)
        self._random = random.Random(seed)
        periods = [(cell, period(costs[cell.key], passes)) for cell in cells]
        self._cells = [(cell, every, self._random.randrange(every)) for cell, every in periods]
        self._number = 0

    def _before_s(self, costs: Mapping[Key, float], passes: int) -> float:
        """What may be spent before the last of so many passes, if no period is longer."""
        return sum(
            self._visits_s[key] * math.ceil((passes - 1) / period(cost, passes))
            for key, cost in costs.items()
        )

    def next(self, left_s: float = math.inf) -> list[Cell]:
        """The cells of the next pass in their order, as many as the time that is left allows.

        None are left only if there is no time for any: a pass that is nobody's is passed over.
        """
        for _ in range(LONGEST_PERIOD):
            if fitting := self._fitting(left_s):
                return fitting
        return []

    def _fitting(self, left_s: float) -> list[Cell]:
        chosen = [
            cell for cell, every, offset in self._cells if (self._number + offset) % every == 0
        ]
        self._number += 1
        self._random.shuffle(chosen)
        fitting = []
        for cell in chosen:
            cost_s = self._visits_s[cell.key]
            if cost_s <= left_s:
                fitting.append(cell)
                left_s -= cost_s
        return fitting
