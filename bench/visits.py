"""The visits of a sweep: decides, measures and journals one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from bench.cases import Plan
from bench.cells import Cell, Key, case_of, unmeasured_record
from bench.costs import VisitCosts
from bench.environment import spare_cores
from bench.forecast import Forecast
from bench.gate import Admission
from bench.journal import Journal
from bench.knowledge import ENOUGH_QUIET, Knowledge, visit_limit_s
from bench.records import Record
from bench.supervisor import Worker, WorkerLost, succeeded
from bench.visit_record import better_record, lost_a_retake, measured_record
from implementations.case import Case

SHORTEST_LAST_LIMIT_S = 2.0
# Where everything is noisy, measuring again is a waste: at most this share of the time.
RETAKEN_SHARE = 0.25
RETAKEN_FREELY_S = 2.0
MOST_AT_ONCE = 2
# How long a visit waits for the usual pace; one that can be made up for goes on.
PATIENT, HASTY = 3, 1
FRESH_S = 0.2

INSTRUMENT_REASONS = {"energy_j": "energy_reason", "graph_time_s": "graph_reason"}
# How the reason begins of a cell that a time budget left out.
NO_TIME = "no time was left for it"

Fields = Callable[[Cell, int], Mapping[str, Any]]
"""What a record says of a cell in a round without timing it."""


def makes_up(plan: Plan) -> bool:
    """Whether noisy visits are made up for in rounds of their own at the end.

    A minute later is better than at once, when the same disturbance still lasts; but a plan of few
    rounds needs each of them, and with a time budget nobody knows which cells come again.
    """
    return plan.time_budget_s is None and plan.rounds > ENOUGH_QUIET


class Visits:
    """What is known of a run while it grows; one visit adds one record.

    `available_bytes` tells the free memory of a case's device; `fields` what a record says besides
    the timing.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        cells: Sequence[Cell],
        threads: int,
        journal: Journal,
        forecast: Forecast,
        admissions: Mapping[Key, Admission],
        available_bytes: Callable[[Case], float],
        fields: Fields = lambda cell, number: {},
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.costs = VisitCosts(plan, forecast)
        self.missing: dict[str, str] = {}
        """Columns that an instrument left null, and why it did so first."""
        self._plan = plan
        self._cells = {cell.key: cell for cell in cells}
        self._threads = threads
        self._journal = journal
        self._known = Knowledge(plan, self._cells, forecast)
        self._admissions = admissions
        self._available_bytes = available_bytes
        self._fields = fields
        self._clock = clock
        self._visited: set[tuple[str, Case, int]] = set()
        self._newest_worker: dict[int, int] = {}
        self._free: dict[str, tuple[float, float]] = {}
        self._spent_s = self._retaken_s = 0.0

    @property
    def cells(self) -> Sequence[Cell]:
        """All cells of the plan."""
        return list(self._cells.values())

    @property
    def done(self) -> int:
        """How many visits stand in the journal."""
        return len(self._visited)

    @property
    def spent_s(self) -> float:
        """Seconds of wall time that visits took, those of earlier processes included."""
        return self._spent_s

    def admitted(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells that may be timed."""
        return [cell for cell in cells if self._admissions[cell.key].status == "pass"]

    def complete(self, number: int, cells: Sequence[Cell]) -> bool:
        """Whether every one of the cells has been visited in this round."""
        return all((*cell.key, number) in self._visited for cell in cells)

    def measured(self, cell: Cell) -> list[Record]:
        """The records of a cell that have a time."""
        return self._known.measured(cell)

    def lacks_quiet(self, cell: Cell) -> bool:
        """Whether a cell was measured, but not often enough without noise and at today's pace."""
        return self._known.lacks_quiet(cell)

    def call_s(self, cell: Cell) -> float | None:
        """Seconds of a call, measured or else predicted."""
        return self._known.forecast.time_s(cell.implementation, cell.case)

    @property
    def newest_round(self) -> int:
        """The last round of which a visit stands in the journal; -1 before the first."""
        return max((number for *_, number in self._visited), default=-1)

    def newest_worker(self, number: int) -> int:
        """The number of the last process that measured in a round; they start at 100 a round."""
        return self._newest_worker.get(number, number * 100)

    def unseen(self) -> list[Cell]:
        """The cells without any record."""
        seen = {(name, case) for name, case, _ in self._visited}
        return [cell for cell in self._cells.values() if cell.key not in seen]

    def costs_time(self, cell: Cell) -> bool:
        """Whether a visit would measure, as far as is known, and not only say why it does not."""
        if self._admissions[cell.key].status != "pass" or cell.key in self._known.given_up:
            return False
        return bool(self.measured(cell)) or self._objection(cell) is None

    def left_s(self, number: int, cells: Sequence[Cell]) -> float:
        """What visiting those of the cells will take that this round has not visited yet."""
        return sum(
            self.costs.expected_s(cell)
            for cell in cells
            if (*cell.key, number) not in self._visited and self.costs_time(cell)
        )

    def run_round(
        self,
        number: int,
        cells: Sequence[Cell],
        worker: Worker,
        *,
        worker_number: int | None = None,
        deadline: float | None = None,
        on_visit: Callable[[str, Record], None] = lambda cell, record: None,
    ) -> None:
        """Visit every one of the cells that has not been visited in this round.

        A visit that would end after the deadline, a time of the clock, is left out. The processes
        are numbered from `worker_number` on, by default from the round's last. `on_visit` is told
        the cell and its record once it stands in the journal.
        """
        before = self.newest_worker(number) if worker_number is None else worker_number
        for cell in cells:
            if (*cell.key, number) in self._visited:
                continue
            measures = self.costs_time(cell)
            ends = self._clock() + self.costs.expected_s(cell)
            if measures and deadline is not None and ends > deadline:
                continue
            record = self._visit(cell, number, worker, before, deadline)
            self.write(record)
            on_visit(f"{cell.implementation.name} {cell.case}", record)

    def write(self, record: Record) -> None:
        """Put a record into the journal."""
        self._journal.append(record)
        self.learn(record)

    def leave_out(self, cell: Cell, reason: str) -> None:
        """Journal a cell that no round visited: refused by the gate, or for the reason given."""
        admission = self._admissions[cell.key]
        status, why = admission.status, admission.reason
        if status == "pass":
            status, why = "skipped", f"{NO_TIME}: {reason}"
        self.write(replace(self.blank(cell, 0), status=status, reason=why))

    def blank(self, cell: Cell, number: int) -> Record:
        """The record of a visit that measured nothing."""
        admission = self._admissions[cell.key]
        return replace(
            unmeasured_record(cell),
            round=number,
            threads=self._threads,
            max_error=admission.max_error,
            allowed_error=admission.allowed_error,
            **self._fields(cell, number),
        )

    def _visit(
        self,
        cell: Cell,
        number: int,
        worker: Worker,
        before: int,
        deadline: float | None,
    ) -> Record:
        blank = self.blank(cell, number)
        admission = self._admissions[cell.key]
        if admission.status != "pass":
            return replace(blank, status=admission.status, reason=admission.reason)
        given_up = self._known.given_up.get(cell.key)
        if given_up is not None:
            return replace(blank, status=given_up.status, reason=given_up.reason)
        # What ran will run again, whatever one disturbed reading says of a neighbour since.
        objection = None if self.measured(cell) else self._objection(cell)
        if objection is not None:
            return replace(blank, status="skipped", reason=objection)
        started = self._clock()
        record = self._measure(cell, blank, worker, deadline)
        return replace(record, worker=before + worker.started, visit_s=self._clock() - started)

    def _objection(self, cell: Cell) -> str | None:
        return self._known.forecast.objection(
            cell.implementation,
            cell.case,
            call_limit_s=self._plan.call_limit_s,
            available_bytes=self._free_bytes(cell.case),
        )

    def _free_bytes(self, case: Case) -> float:
        """Free memory of the case's device, looked at again after a moment only."""
        now = self._clock()
        if case.device not in self._free or now - self._free[case.device][0] > FRESH_S:
            self._free[case.device] = (now, self._available_bytes(case))
        return self._free[case.device][1]

    def _measure(
        self,
        cell: Cell,
        blank: Record,
        worker: Worker,
        deadline: float | None,
    ) -> Record:
        """The first quiet measurement of a few; of noisy ones alone the quickest."""
        best: Record | None = None
        most = 0 if makes_up(self._plan) else min(MOST_AT_ONCE, self._plan.retakes)
        for retakes in range(most + 1):
            started = self._clock()
            record = self._attempt(cell, blank, worker, deadline)
            took_s = self._clock() - started
            if retakes:
                self._retaken_s += took_s
            best = record if best is None else better_record(best, record)
            best = replace(best, retakes=retakes)
            if record.status != "measured" or not record.noisy:
                break
            ahead_s = self._retaken_s + took_s
            if ahead_s > RETAKEN_FREELY_S + RETAKEN_SHARE * (self._spent_s + took_s):
                break
            if deadline is not None and self._clock() + took_s > deadline:
                break
        assert best is not None
        return best

    def _attempt(
        self,
        cell: Cell,
        blank: Record,
        worker: Worker,
        deadline: float | None,
    ) -> Record:
        plan = self._plan
        limit_s = visit_limit_s(plan)
        if deadline is not None:
            limit_s = min(limit_s, max(SHORTEST_LAST_LIMIT_S, deadline - self._clock()))
        paces = self._known.paces(cell.case.device)
        try:
            answer = worker.ask(
                "measure",
                limit_s=limit_s,
                spec=cell.implementation.spec,
                case=asdict(cell.case),
                budget={
                    "visit_s": plan.visit_s,
                    "min_samples": plan.min_samples,
                    "precision": plan.precision,
                    "patience": self._patience(blank.round or 0),
                },
                seed=plan.seed,
                **self._known.request(cell),
                paces={kind: pace.bands for kind, pace in paces.items()},
            )
        except WorkerLost as lost:
            if lost.status == "timeout" and limit_s < visit_limit_s(plan):
                # It was the sweep that ran out of time: this says nothing of the kernel.
                return replace(blank, status="skipped", reason=f"{NO_TIME}: {lost}")
            return replace(blank, status=lost.status, reason=str(lost))
        if not succeeded(answer):
            if answer["status"] == "out_of_memory":
                worker.stop()  # what is left of its heap is nobody's measure
            return replace(blank, status=answer["status"], reason=answer.get("reason"))
        for column, reason in INSTRUMENT_REASONS.items():
            if reason in answer:
                name = cell.implementation.name
                self.missing.setdefault(column, f"{name}: {answer[reason]}")
        self._known.learn_at_once(cell, answer)
        return measured_record(
            blank,
            answer,
            paces=paces,
            spare_cores=spare_cores(self._threads),
            reason=cell.implementation.unmeasured_workspace,
        )

    def _patience(self, number: int) -> int:
        return HASTY if makes_up(self._plan) and number < self._plan.rounds else PATIENT

    def learn(self, record: Record) -> None:
        """Take in a record that stands in the journal, of this process or of an earlier one."""
        key, number = (record.implementation, case_of(record)), record.round or 0
        self._visited.add((*key, number))
        if record.status in ("incorrect", "unsupported"):
            return  # the gate has been asked again
        if record.worker is not None:
            self._newest_worker[number] = max(record.worker, self._newest_worker.get(number, 0))
        if record.visit_s is not None:
            self._spent_s += record.visit_s
            if key in self._cells and record.status == "measured" and not lost_a_retake(record):
                self.costs.observe(self._cells[key], record.visit_s)
        self._known.learn(record)
