"""What records say of a cell besides its timing: counts, and for some the resident set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.cases import Plan
from bench.cells import Cell, Key, by_series
from bench.knowledge import visit_limit_s
from bench.records import Record
from bench.rounds import Rounds
from bench.supervisor import Worker, WorkerLost
from bench.visits import Visits

RESIDENT_ROUND = 1
MOST_RESIDENT_BYTES = 2**30
RESIDENT_SHARE = 0.1
USUAL_RESIDENT_S = 4.0


@dataclass(kw_only=True)
class RecordFields:
    """What records say besides the timing: counts, and in one round the resident set.

    Of each series the cell with the largest workspace is called once in a process that has done
    nothing else, while the round's own worker waits.
    """

    plan: Plan
    worker: Callable[[], Worker]
    clock: Callable[[], float]
    series: int = 0
    took_s: float = USUAL_RESIDENT_S
    counts: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    chosen: frozenset[Key] = frozenset()
    number: int = -1

    @property
    def _round(self) -> int:
        return min(RESIDENT_ROUND, self.plan.rounds - 1)

    def affordable(self, rounds: Rounds) -> bool:
        """Whether the resident sets may be read: where time counts, for a tenth of it at most."""
        if not self.plan.resident or rounds.deadline is None:
            return self.plan.resident
        seconds = len(by_series(rounds.cells)) * self.took_s
        return seconds <= RESIDENT_SHARE * (rounds.deadline - self.clock())

    def left_s(self, number: int) -> float:
        """What reading them will still take in a round."""
        if number != self._round or self.number > number:
            return 0.0
        return self.took_s * (len(self.chosen) if self.number == number else self.series)

    def choose(self, number: int, visits: Visits, order: Sequence[Cell]) -> None:
        """Before a round: which of its cells get the resident set."""
        self.number, self.chosen = number, frozenset()
        if not self.series or number != self._round:
            return
        found = []
        ahead = [cell for cell in order if not visits.complete(number, [cell])]
        for group in by_series(ahead):
            sizes = {c.key: _largest_workspace(visits.measured(c)) for c in group}
            fitting = {k: v for k, v in sizes.items() if 0 < v <= MOST_RESIDENT_BYTES}
            if fitting and group[0].case.device_type == "cpu":
                found.append(max(fitting, key=lambda key: fitting[key]))
        self.chosen = frozenset(found)

    def __call__(self, cell: Cell, number: int) -> dict[str, Any]:
        """The fields of a record."""
        found = dict(self.counts.get(cell.key, {}))
        if cell.key in self.chosen and number == self.number:
            began = self.clock()
            found["resident_bytes"] = self._resident(cell)
            self.took_s = self.clock() - began
            self.chosen -= {cell.key}
        return found

    def _resident(self, cell: Cell) -> int | None:
        with self.worker() as worker:
            try:
                answer = worker.ask(
                    "resident",
                    limit_s=visit_limit_s(self.plan),
                    spec=cell.implementation.spec,
                    case=asdict(cell.case),
                    seed=self.plan.seed,
                )
            except WorkerLost:
                return None
        found: int | None = answer.get("rise_bytes")
        return found


def _largest_workspace(records: Sequence[Record]) -> int:
    return max((one.workspace_bytes or 0 for one in records), default=0)
