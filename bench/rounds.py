"""Which cells each round visits, in which order, and how long the rest will take.

A round is every cell, and the plan says how many rounds there are; a time limit leaves it at that
as long as there is time. Where noise spoiled visits, rounds of the cells concerned follow. With a
time budget a third of what is left goes to each of the first three rounds, and every further round,
until the time is spent, is chosen. Chosen, or short of time, means: those cells that narrow the
exponents most (`bench.allotment`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.allotment import Candidate, allot
from bench.cases import Plan
from bench.cells import Cell, by_series
from bench.visits import Visits, makes_up

FEWEST_WORKERS = 3
# A process that imports torch; learned from those that were started, as the ceilings are.
PROCESS_S = 3.0
CEILINGS_S = 2.0
CEILINGS_SHARE = 0.1
# A process serves further rounds until it has measured so many times as long as it took to start.
WORTH_STARTING = 10.0
USUAL_SCATTER = 0.03
# So many visits tell a cell's scatter well enough; thousands would take long to go through.
RECENT = 50
# No sweep is so long; an end in case no visit ever takes time.
MOST_ROUNDS = 10_000
# What later rounds will take is summed up this often: it costs as much as a short visit.
VISITS_AN_ERA = 50


@dataclass(kw_only=True)
class Rounds:
    """The order of visits; `deadline` is a time of the clock, None where time does not matter."""

    plan: Plan
    cells: Sequence[Cell]
    visits: Visits
    deadline: float | None
    clock: Callable[[], float]
    besides_s: Callable[[int], float] = lambda number: 0.0
    """Seconds that a round still takes for what is neither a visit nor its processes."""
    process_s: float = field(default=PROCESS_S, init=False)
    ceilings_s: float = field(default=CEILINGS_S, init=False)
    started_at: float | None = field(default=None, init=False)
    _later: tuple[tuple[float, ...], float] = field(default=((), 0.0), init=False)

    def __post_init__(self) -> None:
        groups = by_series(self.cells)
        self._series = {cell.key: str(n) for n, group in enumerate(groups) for cell in group}

    @property
    def planned(self) -> int | None:
        """How many rounds there are; None where a time budget decides."""
        return self.plan.rounds if self.plan.time_budget_s is None else None

    def order(self, number: int) -> list[Cell] | None:
        """The cells of a round in their order; None when there is no further round."""
        chosen = list(self.cells)
        if self.planned is not None and number >= self.planned:
            chosen = self._made_up(number - self.planned)
            if not chosen:
                return None
        elif self.deadline is not None:
            chosen = self._affordable(number, self.deadline)
            if not chosen:
                return None
        random.Random(f"{self.plan.seed}/{number}").shuffle(chosen)
        return chosen

    def lacks_quiet(self, number: int) -> bool:
        """Whether cells are left that a further round would make up for."""
        if self.planned is None or not makes_up(self.plan):
            return False
        more = number - self.planned < self.plan.retakes
        return more and any(
            self.visits.lacks_quiet(cell) and self.visits.costs_time(cell) for cell in self.cells
        )

    def _made_up(self, number: int) -> list[Cell]:
        """The cells of a round that makes up for noisy visits; they are few on a quiet machine."""
        if not makes_up(self.plan) or number >= self.plan.retakes:
            return []
        ready = self.clock() + self.start_s((self.planned or 0) + number)
        left_s = math.inf if self.deadline is None else self.deadline - ready
        return [
            cell
            for cell in self.cells
            if self.visits.lacks_quiet(cell)
            and self.visits.costs_time(cell)
            and self.visits.costs.expected_s(cell) <= left_s
        ]

    def shifts(self, order: Sequence[Cell]) -> list[Sequence[Cell]]:
        """A round in as many parts, each for a worker of its own, as make three workers in all."""
        parts = self._parts(order)
        return [order[part::parts] for part in range(parts)]

    def _parts(self, order: Sequence[Cell]) -> int:
        if self.planned is None:
            return 1
        return min(-(-FEWEST_WORKERS // self.planned), max(1, len(order)))

    def start_s(self, number: int) -> float:
        """Seconds of a round before its first visit."""
        if self.shares_process(number):
            return 0.0
        return self.process_s + (self.ceilings_s if self.wants_ceilings(number) else 0.0)

    def wants_ceilings(self, number: int) -> bool:
        """Whether a round begins with the ceilings: the first ones do, if there is time."""
        if number >= FEWEST_WORKERS or self.deadline is None:
            return number < FEWEST_WORKERS
        return self.ceilings_s <= CEILINGS_SHARE * (self.deadline - self.clock())

    def shares_process(self, number: int) -> bool:
        """Whether a round goes on in the process of the one before.

        Where a time budget makes many short rounds, those after the third do, lest most of the time
        goes into starting processes.
        """
        if self.planned is not None or number < FEWEST_WORKERS or self.started_at is None:
            return False
        return self.clock() - self.started_at < WORTH_STARTING * self.process_s

    def left_s(self, number: int, order: Sequence[Cell], *, processes: int = 0) -> float:
        """Seconds until the sweep will end, as far as visits so far tell.

        `processes` are those of this round that have not been started.
        """
        most = math.inf if self.deadline is None else max(0.0, self.deadline - self.clock())
        if self.planned is None:
            return most
        era = (number, self.visits.done // VISITS_AN_ERA, self.process_s, self.ceilings_s)
        if self._later[0] != era:
            later = range(number + 1, self.planned)
            seconds = sum(
                self.start_s(one)
                + (self._parts(self.cells) - 1) * self.process_s
                + self.visits.left_s(one, self.cells)
                + self.besides_s(one)
                for one in later
            )
            self._later = (era, seconds)
        own_s = self.visits.left_s(number, order) + self.besides_s(number)
        return min(most, own_s + processes * self.process_s + self._later[1])

    def _affordable(self, number: int, deadline: float) -> list[Cell]:
        able = [cell for cell in self.cells if self.visits.costs_time(cell)]
        # Those that are not measured are there to say why; with a time budget once.
        silent = [c for c in self.cells if c not in able] if self.planned or not number else []
        if number >= MOST_ROUNDS or not able:
            return silent
        costs = [self.visits.costs.expected_s(cell) for cell in able]
        rounds = max(1, (self.planned or FEWEST_WORKERS) - number)
        seconds = self._share_s(number, rounds, deadline)
        while rounds > 1 and seconds < min(costs):  # fewer rounds rather than none
            rounds -= 1
            seconds = self._share_s(number, rounds, deadline)
        if sum(costs) <= seconds and (self.planned or number < FEWEST_WORKERS):
            return [*silent, *able]
        candidates = [self._candidate(c, s) for c, s in zip(able, costs, strict=True)]
        chosen = allot(candidates, min(seconds, sum(costs)))
        return [*silent, *(able[index] for index in chosen)]

    def _share_s(self, number: int, rounds: int, deadline: float) -> float:
        """What each of so many rounds may take for its visits."""
        coming = range(number, number + rounds)
        fixed_s = sum(self.start_s(one) + self.besides_s(one) for one in coming)
        return (deadline - self.clock() - fixed_s) / rounds

    def _candidate(self, cell: Cell, cost_s: float) -> Candidate:
        seen = self.visits.measured(cell)
        times = [one.time_s for one in seen[-RECENT:] if one.time_s]
        scatter = USUAL_SCATTER
        if len(times) >= FEWEST_WORKERS:
            scatter = float(np.std(times, ddof=1) / np.median(times))
        return Candidate(
            series=self._series[cell.key],
            seq_len=cell.case.seq_len,
            d_model=cell.case.d_model,
            call_s=self.visits.call_s(cell),
            visits=len(seen),
            scatter=scatter,
            cost_s=cost_s,
        )
