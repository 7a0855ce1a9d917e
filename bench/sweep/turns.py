"""One process's turn: passes over the cells until its time is over, then a record for each cell."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.checks.run_in_worker import compiling_s
from bench.machine.os_counters import Usage
from bench.plan.cells import Cell
from bench.plan.plan import Plan
from bench.process.supervisor import ImportLost, Worker, WorkerLost, succeeded, try_ask
from bench.records import RunError
from bench.sweep.ledger import Answer, Ledger
from bench.sweep.passes import Passes, visit_s
from implementations.case import Case

# A visit is given up after this many times what its call was allowed to take.
PATIENCE = 100.0
SHORTEST_LIMIT_S = 30.0
SHORTEST_LAST_LIMIT_S = 2.0
BATCH_S = 2.0
# How many readings are checked beside those of the last pass of a turn, of which all are.
CHECKED = 0.1
# A first visit warms up, measures the workspace, and looks at the outputs.
FIRST_VISITS = 3
USAGE_LIMIT_S = 30.0
# How the reason begins of a cell that was left out for want of time.
NO_TIME = "no time was left for it"


@dataclass(kw_only=True)
class Turns:
    """Makes the turns of a run, one after another, each with the process that it is given.

    `available_bytes` says how much memory of its device a case may take. `deadline` is a time of
    the clock. `on_pass` is told the number of the round after each pass, and `on_trial` how many
    of so many cells were looked at before each first call.
    """

    plan: Plan
    ledger: Ledger
    available_bytes: Callable[[Case], float]
    deadline: float
    clock: Callable[[], float]
    on_pass: Callable[[int], None]
    on_trial: Callable[[int, int], None] = lambda done, total: None

    def __post_init__(self) -> None:
        self._history = self.ledger.history
        self._chance = random.Random(self.plan.seed)

    def ready(self) -> list[Cell]:
        """The cells that have had their first call."""
        return [cell for cell in self.ledger.admitted() if self._history.was_tried(cell)]

    def _untried(self) -> list[Cell]:
        return [cell for cell in self.ledger.admitted() if not self._history.was_tried(cell)]

    def fewest_readings(self) -> int:
        """How often the cell was read that was read least."""
        return min((self._history.readings[cell.key] for cell in self.ready()), default=0)

    def may_still_be_tried(self) -> bool:
        """Whether a cell has not had its first call and nothing speaks against it."""
        return any(self._objection(cell) is None for cell in self._untried())

    def fits(self, left_s: float) -> bool:
        """Whether so many seconds are enough for a visit to any of the ready cells."""
        return any(visit_s(self._history.call_s(cell)) <= left_s for cell in self.ready())

    def make(self, number: int, worker: Worker, turn_s: float) -> None:
        """Make one turn of about so many seconds, one pass at least, and write its records.

        An interrupt passes through once everything that was read stands in the journal.
        """
        before, process = _usage(worker), worker.started
        self.ledger.begin(number)
        try:
            self._try_cells(worker)
            self._make_passes(number, worker, turn_s)
            after = _usage(worker)
        except BaseException:
            with contextlib.suppress(RunError):  # what ended the turn is to be told, not this
                self.ledger.end_round(None)
            raise
        same = worker.started == process  # the counters of a new one begin anew
        self.ledger.end_round(after.since(before) if same and before and after else None)
        for device in {cell.case.device for cell in self.ready()} - {"cpu"}:
            try_ask(worker, "rest", limit_s=USAGE_LIMIT_S, device=device)

    def leave_out(self, reason: str) -> None:
        """Write a record for every cell that has none: refused by the gate, or for this reason."""
        reasons = {}
        for cell in self.ledger.admitted():
            objection = self._objection(cell)
            if not (objection and cell.open_ended):  # no turn was made that would have left it out
                reasons[cell.key] = objection or f"{NO_TIME}: {reason}"
        self.ledger.write_unmeasured(reasons)

    def _make_passes(self, number: int, worker: Worker, turn_s: float) -> None:
        """Make passes, and check the readings of the last: half of the turn is for that at most."""
        began, visit_s = self.clock(), self._history.visit_s
        ends = min(began + turn_s, self.deadline)
        ready, seed = self.ready(), f"{self.plan.seed}/{number}"
        checks_s = sum(visit_s(cell, True) - visit_s(cell, False) for cell in ready)
        kept_s = max(0.0, min(checks_s, (ends - began) / 2))
        share = kept_s / checks_s if kept_s < checks_s else 1.0
        passes = Passes(ready, self._history.call_s, turn_s=turn_s - kept_s, seed=seed)
        while cells := passes.next(self.deadline - self.clock()):
            seconds = sum(visit_s(cell, False) for cell in cells) + CHECKED * checks_s
            is_last = self.clock() + seconds + kept_s >= ends
            self._make_pass(cells, worker, checked=share if is_last else CHECKED)
            self.on_pass(number)
            if is_last:
                return

    def _make_pass(self, cells: Sequence[Cell], worker: Worker, *, checked: float) -> None:
        """Visit the cells in this order, and check such a part of the readings, by chance.

        One that is lost costs nothing but its own visit.
        """
        ahead = [
            (cell, self._chance.random() < checked)
            for cell in cells
            if cell.key not in self._history.given_up
        ]
        while ahead and self.clock() < self.deadline:
            batch = self._batch(ahead)
            visits = [
                self._request(
                    "visit",
                    cell,
                    check=check,
                    workspace_bytes=self._history.workspaces.get(cell.key) or 0,
                )
                for cell, check in batch
            ]
            ahead = ahead[self._ask(worker, [cell for cell, _ in batch], visits) :]

    def _batch(self, visits: Sequence[tuple[Cell, bool]]) -> Sequence[tuple[Cell, bool]]:
        """As many as take the few seconds that are asked for, and kept, at once.

        A check is left out for which no time is left. What a visit takes beside its reading is not
        known before the first in a command, nor what a check takes before the first check.
        """
        batch: list[tuple[Cell, bool]] = []
        seconds, left_s, known = 0.0, self.deadline - self.clock(), self._history.besides_s
        for cell, wanted in visits:
            check = wanted and seconds + self._history.visit_s(cell, True) <= left_s
            is_known = (cell.key, True) in known or (not check and (cell.key, False) in known)
            seconds += self._history.visit_s(cell, check) if is_known else BATCH_S
            batch.append((cell, check))
            if seconds > min(BATCH_S, left_s):
                break
        return batch

    def _try_cells(self, worker: Worker) -> None:
        """Call cells for the first time, those that do least work first, as far as they fit.

        What was left out before is looked at again: a disturbed reading must not cost larger cells.
        """
        self.ledger.left_out.clear()
        untried = sorted(self._untried(), key=self._history.forecast.work)
        for done, cell in enumerate(untried):
            objection = self._objection(cell)
            if objection is not None:
                if cell.open_ended:
                    self.ledger.left_out[cell.key] = objection
                continue
            first_s = FIRST_VISITS * visit_s(self._history.call_s(cell))
            if self.clock() + first_s <= self.deadline:
                self.on_trial(done, len(untried))
                request = self._request("trial", cell, with_energy=self.plan.energy)
                self._ask(worker, [cell], [request])

    def _ask(
        self, worker: Worker, cells: Sequence[Cell], requests: Sequence[Mapping[str, Any]]
    ) -> int:
        """Take in the answers, one a cell, as far as they come; how many cells are done with."""
        done = 0
        read: list[tuple[Cell, Answer]] = []
        try:
            for answer in worker.answers(requests, limit_s=self._limit_s(cells)):
                cell = cells[done]
                done += 1
                if not succeeded(answer):
                    self._lose(cell, WorkerLost(answer["status"], answer.get("reason") or ""))
                    if answer["status"] == "out_of_memory":
                        worker.stop()  # what is left of its heap is nobody's measure
                        break
                    continue
                counted = self.ledger.counted.get(cell.key, {})
                if "workspace_bytes" in answer and "workspace_reason" in counted:
                    answer = {**answer, "workspace_bytes": None}
                self.ledger.take(cell, answer)
                checked = requests[done - 1].get("check", True)  # a first call always is
                self._history.besides_s[cell.key, checked] = answer.get("checking_s", 0.0)
                read.append((cell, answer))
        except WorkerLost as lost:
            self._lose(cells[done], lost)
            done += 1
        finally:
            if read:
                self.ledger.keep_readings(read)
        return done

    def _request(self, operation: str, cell: Cell, **more: Any) -> dict[str, Any]:
        return {
            "op": operation,
            "spec": cell.implementation.spec,
            "case": asdict(cell.case),
            "seed": self.plan.seed,
            **more,
        }

    def _lose(self, cell: Cell, lost: WorkerLost) -> None:
        """Take in a loss, unless the sweep ran out of time: this says nothing of the kernel."""
        ran_out = lost.status == "timeout" and self.clock() >= self.deadline
        if isinstance(lost, ImportLost) or not ran_out:
            self.ledger.lose(cell, lost)

    def _objection(self, cell: Cell) -> str | None:
        return self._history.forecast.objection(
            cell.implementation,
            cell.case,
            call_limit_s=self.plan.call_limit_s,
            available_bytes=self.available_bytes(cell.case),
        )

    def _limit_s(self, cells: Sequence[Cell]) -> float:
        """How long to wait for an answer of any of the cells, as far as the sweep's time allows."""
        left_s = max(SHORTEST_LAST_LIMIT_S, self.deadline - self.clock())
        hanging_s = max(SHORTEST_LIMIT_S, PATIENCE * self.plan.call_limit_s)
        compiling = max(compiling_s([cell.implementation]) for cell in cells)
        return min(hanging_s + compiling, left_s)


def _usage(worker: Worker) -> Usage | None:
    answer = try_ask(worker, "usage", limit_s=USAGE_LIMIT_S) or {}
    known = {name: value for name, value in answer.items() if name != "status"}
    return Usage(**known) if known else None
