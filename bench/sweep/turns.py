"""One process's turn: passes over the cells until its time is over, then a record for each cell."""

from __future__ import annotations

import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from bench.checks.gate import Admission
from bench.checks.run_in_worker import compiling_s
from bench.machine.os_counters import Usage
from bench.plan.cells import Cell, Key
from bench.plan.plan import Plan
from bench.process.supervisor import (
    MOST_ENDINGS,
    ImportLost,
    Worker,
    WorkerEnded,
    WorkerLost,
    succeeded,
)
from bench.records import WRONG, RunError
from bench.sweep.cell_records import CellRecords
from bench.sweep.history import History, visit_limit_s
from bench.sweep.journal import Journal
from bench.sweep.passes import Passes, visit_s
from bench.sweep.round_record import Answer
from implementations.case import Case

# What a process does not share with the next, such as the layout of memory, is seen as scatter.
PROCESSES = 3
SHORTEST_LAST_LIMIT_S = 2.0
BATCH_S = 2.0
# How many readings are checked beside those of the last pass of a turn, of which all are.
CHECKED = 0.1
# A first visit warms up, measures the workspace, and looks at the outputs.
FIRST_VISITS = 3
USAGE_LIMIT_S = 30.0
# How the reason begins of a cell that was left out for want of time.
NO_TIME = "no time was left for it"
INSTRUMENT_REASONS = {"energy_j": "energy_reason", "graph_time_s": "graph_reason"}


class Turns:
    """Makes the turns of a run, one after another, each with the process that it is given.

    `admissions` say which cells may be timed, `available_bytes` how much memory of its device a
    case may take. `deadline` is a time of the clock. `on_pass` is told the number of the round
    after each pass.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        cells: Sequence[Cell],
        threads: int,
        journal: Journal,
        history: History,
        admissions: Mapping[Key, Admission],
        available_bytes: Callable[[Case], float],
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
        on_pass: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.records = CellRecords(threads=threads, admissions=admissions)
        self.missing: dict[str, str] = {}
        """Columns that an instrument left null, and why it did so first."""
        self.left_out: dict[Key, str] = {}
        """Cells of open-ended series that this machine is too small or too slow for, and why."""
        self.checking_s = 0.0
        """Seconds that went into new contents of inputs and into checks of timed calls."""
        self.history = history
        self.cells = cells
        self._plan = plan
        self._journal = journal
        self._admissions = admissions
        self._available_bytes = available_bytes
        self._deadline = deadline
        self._clock = clock
        self._on_pass = on_pass
        self._numbers = {cell.key: number for number, cell in enumerate(cells)}
        self._answers: dict[Key, list[Answer]] = defaultdict(list)
        self._endings: dict[Key, int] = defaultdict(int)
        self._not_imported: set[tuple[int, str]] = set()  # by the process of a slot
        self._chance = random.Random(plan.seed)

    def admitted(self) -> list[Cell]:
        """The cells that may be timed, as far as is known."""
        return [
            cell
            for cell in self.cells
            if self._admissions[cell.key].status == "pass"
            and cell.key not in self.history.given_up
            and cell.key not in self.left_out
            and self._can_be_imported(cell.implementation.spec)
        ]

    def _can_be_imported(self, spec: str) -> bool:
        """Whether there is a process that has not lost itself over importing the kernel."""
        return sum(one == spec for _, one in self._not_imported) < PROCESSES

    def ready(self) -> list[Cell]:
        """The cells that have had their first call."""
        return [cell for cell in self.admitted() if self.history.was_tried(cell)]

    def fewest_readings(self) -> int:
        """How often the cell was read that was read least."""
        return min((self.history.readings[cell.key] for cell in self.ready()), default=0)

    def may_still_be_tried(self) -> bool:
        """Whether a cell has not had its first call and nothing speaks against it."""
        return any(
            self._objection(cell) is None
            for cell in self.admitted()
            if not self.history.was_tried(cell)
        )

    def fits(self, left_s: float) -> bool:
        """Whether so many seconds are enough for a visit to any of the ready cells."""
        return any(visit_s(self.history.call_s(cell)) <= left_s for cell in self.ready())

    def make(self, number: int, worker: Worker, slot: int, turn_s: float) -> None:
        """Make one turn of about so many seconds, one pass at least, and write its records.

        An interrupt passes through once everything that was read stands in the journal.
        """
        before, process = self._usage(worker), worker.started
        try:
            self._try_cells(number, worker, slot)
            self._make_passes(number, worker, slot, turn_s)
            after = self._usage(worker)
        except BaseException:
            with contextlib.suppress(RunError):  # what ended the turn is to be told, not this
                self._write(number, slot, None)
            raise
        same = worker.started == process  # the counters of a new one begin anew
        self._write(number, slot, after.since(before) if same and before and after else None)
        for device in {cell.case.device for cell in self.ready()} - {"cpu"}:
            self._ask_quietly(worker, "rest", device=device)

    def recover(self) -> None:
        """Write the records of a round that was cut off, from what the journal kept of it."""
        number, slot = -1, 0
        for line in self._journal.kept():
            number, slot = line["round"], line["worker"]
            for place, answer in line["answers"]:
                cell = self.cells[place]
                if self.history.measured_in.get(cell.key, -1) < number:
                    self._learn(cell, answer)
        if number >= 0:
            self._write(number, slot, None)

    def leave_out(self, reason: str) -> None:
        """Write a record for every cell that has none: refused by the gate, or for this reason."""
        records = []
        for cell in self.cells:
            if cell.key in self.history.recorded or cell.key in self.left_out:
                continue
            admission = self._admissions[cell.key]
            status, why = admission.status, admission.reason
            if status == "pass":
                objection = self._objection(cell)
                if objection and cell.open_ended:
                    continue  # no turn was made that would have left it out
                status, why = "skipped", objection or f"{NO_TIME}: {reason}"
            records.append(replace(self.records.blank(cell, 0), status=status, reason=why))
        self._journal.append(records)
        for record in records:
            self.history.note(record)

    def _make_passes(self, number: int, worker: Worker, slot: int, turn_s: float) -> None:
        ends = min(self._clock() + turn_s, self._deadline)
        seed = f"{self._plan.seed}/{number}"
        passes = Passes(self.ready(), self.history.call_s, turn_s=turn_s, seed=seed)
        while cells := passes.next(self._deadline - self._clock()):
            seconds = sum(visit_s(self.history.call_s(cell)) for cell in cells)
            is_last = self._clock() + seconds >= ends
            self._make_pass(cells, number, worker, slot, check_all=is_last)
            self._on_pass(number)
            if self._clock() >= ends:
                return

    def _make_pass(
        self, cells: Sequence[Cell], number: int, worker: Worker, slot: int, *, check_all: bool
    ) -> None:
        """Visit the cells in this order; one that is lost costs nothing but its own visit."""
        ahead = [cell for cell in cells if cell.key not in self.history.given_up]
        while ahead and self._clock() < self._deadline:
            visits = [
                self._request("visit", cell, check=check_all or self._chance.random() < CHECKED)
                for cell in self._batch(ahead)
            ]
            read: list[tuple[int, Answer]] = []
            try:
                for answer in worker.answers(visits, limit_s=self._limit_s(ahead)):
                    cell = ahead.pop(0)
                    if self._take(cell, number, slot, answer):
                        read.append((self._numbers[cell.key], answer))
                    elif answer["status"] == "out_of_memory":
                        worker.stop()  # what is left of its heap is nobody's measure
                        break
            except WorkerLost as lost:
                self._lose(ahead.pop(0), number, slot, lost)
            finally:
                self._journal.keep({"round": number, "worker": slot, "answers": read})

    def _batch(self, cells: Sequence[Cell]) -> Sequence[Cell]:
        """As many of the cells as take a few seconds: so much is asked for, and kept, at once."""
        seconds = 0.0
        for count, cell in enumerate(cells):
            seconds += visit_s(self.history.call_s(cell))
            if seconds > BATCH_S:
                return cells[: count + 1]
        return cells

    def _try_cells(self, number: int, worker: Worker, slot: int) -> None:
        """Call cells for the first time, those that do least work first, as far as they fit.

        What was left out before is looked at again: a disturbed reading must not cost larger cells.
        """
        self.left_out.clear()
        untried = [cell for cell in self.admitted() if not self.history.was_tried(cell)]
        for cell in sorted(untried, key=lambda one: self.history.forecast.work(one)):
            objection = self._objection(cell)
            if objection is not None:
                if cell.open_ended:
                    self.left_out[cell.key] = objection
                continue
            if self._clock() + FIRST_VISITS * visit_s(self.history.call_s(cell)) > self._deadline:
                continue
            request = self._request("trial", cell, with_energy=self._plan.energy)
            try:
                (answer,) = worker.answers([request], limit_s=self._limit_s([cell]))
            except WorkerLost as lost:
                self._lose(cell, number, slot, lost)
                continue
            if "workspace_reason" in self.records.fields.get(cell.key, {}):
                answer = {**answer, "workspace_bytes": None}
            if self._take(cell, number, slot, answer):
                place = self._numbers[cell.key]
                self._journal.keep({"round": number, "worker": slot, "answers": [(place, answer)]})
            elif answer["status"] == "out_of_memory":
                worker.stop()  # what is left of its heap is nobody's measure

    def _request(self, operation: str, cell: Cell, **more: Any) -> dict[str, Any]:
        if operation == "visit":
            more["workspace_bytes"] = self.history.workspaces.get(cell.key) or 0
        return {
            "op": operation,
            "spec": cell.implementation.spec,
            "case": asdict(cell.case),
            "seed": self._plan.seed,
            **more,
        }

    def _take(self, cell: Cell, number: int, slot: int, answer: Answer) -> bool:
        """Take in an answer; whether it holds a reading."""
        if not succeeded(answer):
            self._lose(cell, number, slot, WorkerLost(answer["status"], answer.get("reason") or ""))
            return False
        for column, reason in INSTRUMENT_REASONS.items():
            if reason in answer:
                name = cell.implementation.name
                self.missing.setdefault(column, f"{name}: {answer[reason]}")
        self._learn(cell, answer)
        return True

    def _learn(self, cell: Cell, answer: Answer) -> None:
        self._answers[cell.key].append(answer)
        self.checking_s += answer.get("checking_s", 0.0)
        workspace = answer.get("workspace_bytes")
        self.history.learn_reading(cell.key, answer["time_s"], workspace)
        if "workspace_bytes" in answer:
            self.history.workspaces[cell.key] = workspace

    def _lose(self, cell: Cell, number: int, slot: int, lost: WorkerLost) -> None:
        """Write what became of a cell, unless it is not to blame."""
        if isinstance(lost, ImportLost):
            self._lose_kernel(cell.implementation.spec, number, slot, lost)
            return
        if isinstance(lost, WorkerEnded):
            self._endings[cell.key] += 1
            if self._endings[cell.key] < MOST_ENDINGS:
                return  # the next pass visits it again
        if lost.status == "timeout" and self._clock() >= self._deadline:
            return  # it was the sweep that ran out of time: this says nothing of the kernel
        self.history.learn_loss(cell.key, lost.status)
        if lost.status in WRONG:
            self._answers.pop(cell.key, None)
        record = self.records.lost(cell, number, slot, lost.status, str(lost))
        self._journal.append([record], finishes=False)
        self.history.note(record)

    def _lose_kernel(self, spec: str, number: int, slot: int, lost: ImportLost) -> None:
        """Write what became of all cells of a kernel that this process could not import.

        Another process may have imported it: nothing is learned of the cells.
        """
        if (slot, spec) in self._not_imported:
            return
        self._not_imported.add((slot, spec))
        own = [one for one in self.admitted() if one.implementation.spec == spec]
        records = [self.records.lost(one, number, slot, lost.status, str(lost)) for one in own]
        self._journal.append(records, finishes=False)
        for record in records:
            self.history.note(record)

    def _write(self, number: int, slot: int, used: Usage | None) -> None:
        """Write a record for every cell that was read in this round."""
        records = []
        for cell in self.cells:
            answers = self._answers.pop(cell.key, None)
            if answers:
                record = self.records.read(cell, number, slot, answers, used)
                if record.status in WRONG:
                    self.history.learn_loss(cell.key, record.status)
                records.append(record)
        self._journal.append(records)
        for record in records:
            self.history.note(record)

    def _objection(self, cell: Cell) -> str | None:
        return self.history.forecast.objection(
            cell.implementation,
            cell.case,
            call_limit_s=self._plan.call_limit_s,
            available_bytes=self._available_bytes(cell.case),
        )

    def _limit_s(self, cells: Sequence[Cell]) -> float:
        """How long to wait for an answer of any of the cells, as far as the sweep's time allows."""
        left_s = max(SHORTEST_LAST_LIMIT_S, self._deadline - self._clock())
        compiling = max(compiling_s([cell.implementation]) for cell in cells)
        return min(visit_limit_s(self._plan) + compiling, left_s)

    def _usage(self, worker: Worker) -> Usage | None:
        answer = self._ask_quietly(worker, "usage")
        if answer is None or not succeeded(answer):
            return None
        return Usage(**{name: value for name, value in answer.items() if name != "status"})

    def _ask_quietly(self, worker: Worker, operation: str, **request: Any) -> Answer | None:
        """The answer to what is not needed; None if there is none."""
        try:
            return worker.ask(operation, limit_s=USAGE_LIMIT_S, **request)
        except WorkerLost:
            return None
