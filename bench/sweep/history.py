"""What is known of a run's cells while it grows: times, workspaces, losses, readings."""

from __future__ import annotations

from collections import Counter

from bench.plan.cells import Cell, Key, case_of
from bench.records import WRONG, Record
from bench.sweep.forecast import Forecast
from bench.sweep.passes import visit_s

# What larger cells will run into as well; a crash may be a matter of one size.
LOSSES = ("timeout", "out_of_memory")
# A cell that was read before may be lost to something else once.
MOST_LOSSES = 2


class History:
    """What the records and readings so far tell; it grows with every one of them.

    `readings` counts those of each cell; `given_up` holds the cells that were found wrong, lost
    before they were ever read, or lost twice; `workspaces` what the first call told, None where it
    cannot be measured; `recorded` the cells that have a record, and `measured_in` the last round of
    those with a time; `besides_s` the seconds that the last visit took beside its reading, by
    whether it was checked.
    """

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self.readings: Counter[Key] = Counter()
        self.workspaces: dict[Key, int | None] = {}
        self.given_up: set[Key] = set()
        self.recorded: set[Key] = set()
        self.measured_in: dict[Key, int] = {}
        self.besides_s: dict[tuple[Key, bool], float] = {}
        self._losses: Counter[Key] = Counter()

    def call_s(self, cell: Cell) -> float:
        """Seconds of a call, the quickest that was read, else predicted, else 0."""
        return self.forecast.time_s(cell.implementation, cell.case) or 0.0

    def visit_s(self, cell: Cell, checked: bool) -> float:
        """Seconds of a visit, new contents and a check included as far as they are known."""
        return visit_s(self.call_s(cell)) + self.besides_s.get((cell.key, checked), 0.0)

    def was_tried(self, cell: Cell) -> bool:
        """Whether the cell has had its first call, with its workspace."""
        return cell.key in self.workspaces

    def learn_reading(self, key: Key, time_s: float, workspace_bytes: int | None = None) -> None:
        """Take in one reading."""
        self.readings[key] += 1
        self.forecast.observe(*key, time_s, workspace_bytes)

    def learn_loss(self, key: Key, status: str) -> None:
        """Take in that a cell was lost."""
        self._losses[key] += 1
        was_read = self.readings[key] > 0
        if not was_read and status in LOSSES:
            self.forecast.observe_loss(*key, status)
        if not was_read or status in WRONG or self._losses[key] >= MOST_LOSSES:
            self.given_up.add(key)

    @property
    def newest_round(self) -> int:
        """The last round in which a cell was measured; -1 before the first."""
        return max(self.measured_in.values(), default=-1)

    def note(self, record: Record) -> None:
        """Take in that a record stands in the journal."""
        key = (record.implementation, case_of(record))
        self.recorded.add(key)
        if record.status == "measured":
            self.measured_in[key] = record.round or 0

    def learn(self, record: Record) -> None:
        """Take in a record of an earlier process, and what it tells of its cell."""
        self.note(record)
        key = (record.implementation, case_of(record))
        if record.worker is None:
            return  # no process had it: the gate is asked again, and time may be left now
        if record.status != "measured":
            self.learn_loss(key, record.status)
            return
        for time_s in record.samples_s or ():
            self.learn_reading(key, time_s, record.workspace_bytes)
        if record.workspace_bytes is not None or record.reason is not None:
            self.workspaces[key] = record.workspace_bytes
