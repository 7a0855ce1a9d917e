"""What was read and lost of each cell of a run, and the records that are written of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.checks.gate import Admission
from bench.machine.os_counters import Usage
from bench.plan.cells import Cell, Key
from bench.process.supervisor import MOST_ENDINGS, ImportLost, WorkerEnded, WorkerLost
from bench.records import WRONG, Record
from bench.sweep.cell_records import Answer, CellRecords
from bench.sweep.history import History
from bench.sweep.journal import Journal

# What a process does not share with the next, such as the layout of memory, is seen as scatter.
PROCESSES = 3
INSTRUMENT_REASONS = {
    "energy_j": "energy_reason",
    "graph_time_s": "graph_reason",
    "workspace_bytes": "workspace_reason",
}


class Ledger:
    """The cells of a run; `admissions` say which of them may be timed.

    `missing` are the columns that an instrument left null, and why it did so first. `left_out` are
    the cells of open-ended series that this machine is too small or too slow for, and why.
    `checking_s` are the seconds that went into new contents of inputs and into checks of timed
    calls.
    """

    def __init__(
        self,
        *,
        cells: Sequence[Cell],
        threads: int,
        admissions: Mapping[Key, Admission],
        journal: Journal,
        history: History,
    ) -> None:
        self.cells = cells
        self.records = CellRecords(threads=threads, admissions=admissions)
        self.history = history
        self.missing: dict[str, str] = {}
        self.left_out: dict[Key, str] = {}
        self.checking_s = 0.0
        self._admissions = admissions
        self._journal = journal
        self._round, self._slot = 0, 0
        self._places = {cell.key: place for place, cell in enumerate(cells)}
        self._answers: dict[Key, list[Answer]] = defaultdict(list)
        self._endings: Counter[Key] = Counter()
        self._not_imported: dict[str, set[int]] = defaultdict(set)  # by the processes of slots

    def begin(self, number: int) -> None:
        """What follows belongs to this round; the processes take turns."""
        self._round, self._slot = number, number % PROCESSES

    def admitted(self) -> list[Cell]:
        """The cells that may be timed, as far as is known."""
        return [
            cell
            for cell in self.cells
            if self._admissions[cell.key].status == "pass"
            and cell.key not in self.history.given_up
            and cell.key not in self.left_out
            and len(self._not_imported[cell.implementation.spec]) < PROCESSES
        ]

    def take(self, cell: Cell, answer: Answer) -> None:
        """Take in a reading."""
        for column, reason in INSTRUMENT_REASONS.items():
            if reason in answer:
                name = cell.implementation.name
                self.missing.setdefault(column, f"{name}: {answer[reason]}")
        self._answers[cell.key].append(answer)
        self.checking_s += answer.get("checking_s", 0.0)
        workspace = answer.get("workspace_bytes")
        self.history.learn_reading(cell.key, answer["time_s"], workspace)
        if "workspace_bytes" in answer:
            self.history.workspaces[cell.key] = workspace

    def keep_readings(self, read: Sequence[tuple[Cell, Answer]]) -> None:
        """Keep readings on disk until the records of their round are written."""
        answers = [(self._places[cell.key], answer) for cell, answer in read]
        self._journal.keep_readings({"round": self._round, "answers": answers})

    def recover(self) -> None:
        """Write the records of a round that was cut off, from what the journal kept of it."""
        lines = self._journal.kept_readings()
        for line in lines:
            self.begin(line["round"])
            for place, answer in line["answers"]:
                cell = self.cells[place]
                if self.history.measured_in.get(cell.key, -1) < self._round:
                    self.take(cell, answer)
        if lines:
            self.end_round(None)

    def lose(self, cell: Cell, lost: WorkerLost) -> None:
        """Write what became of a cell, unless it is not to blame.

        Of a kernel that this process could not import all cells are lost. Nothing is learned of
        them: another process may have imported it.
        """
        if isinstance(lost, ImportLost):
            spec = cell.implementation.spec
            if self._slot in self._not_imported[spec]:
                return
            self._not_imported[spec].add(self._slot)
            own = [cell for cell in self.admitted() if cell.implementation.spec == spec]
            self._write([self._loss(cell, lost) for cell in own], finishes=False)
            return
        if isinstance(lost, WorkerEnded):
            self._endings[cell.key] += 1
            if self._endings[cell.key] < MOST_ENDINGS:
                return  # the next pass visits it again
        self.history.learn_loss(cell.key, lost.status)
        if lost.status in WRONG:
            self._answers.pop(cell.key, None)
        self._write([self._loss(cell, lost)], finishes=False)

    def _loss(self, cell: Cell, lost: WorkerLost) -> Record:
        return replace(self._blank(cell), status=lost.status, reason=str(lost) or None)

    def _blank(self, cell: Cell) -> Record:
        return replace(self.records.blank(cell, self._round), worker=self._slot)

    def end_round(self, used: Usage | None) -> None:
        """Write a record for every cell that was read in this round."""
        records = []
        for cell in self.cells:
            answers = self._answers.pop(cell.key, None)
            if answers:
                record = self.records.read(self._blank(cell), cell, answers, used)
                if record.status in WRONG:
                    self.history.learn_loss(cell.key, record.status)
                records.append(record)
        self._write(records)

    def write_unmeasured(self, reasons: Mapping[Key, str]) -> None:
        """Write a record for each cell that has none: the gate's refusal, or one of `reasons`."""
        records = []
        for cell in self.cells:
            if cell.key in self.history.recorded:
                continue
            status, why = self._admissions[cell.key].status, self._admissions[cell.key].reason
            if status == "pass":
                if cell.key not in reasons:
                    continue
                status, why = "skipped", reasons[cell.key]
            records.append(replace(self.records.blank(cell, 0), status=status, reason=why))
        self._write(records)

    def _write(self, records: Sequence[Record], *, finishes: bool = True) -> None:
        self._journal.append(records, finishes=finishes)
        for record in records:
            self.history.note(record)
