"""What was read and lost of each cell of a run, and the records that are written of it."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bench.checks.gate import Admission
from bench.checks.timed.plausible import Limits, implausible
from bench.machine.os_counters import Usage
from bench.plan.cells import Cell, Key, unmeasured_record
from bench.process.supervisor import MOST_ENDINGS, ImportLost, WorkerEnded, WorkerLost
from bench.records import WRONG, Record
from bench.sweep.history import History
from bench.sweep.journal import Journal
from implementations.oracle import softmax_attention

Answer: TypeAlias = Mapping[str, Any]
"""What a measuring process answers to a visit; see `bench.worker.visit`."""

# What a process does not share with the next, such as the layout of memory, is seen as scatter.
PROCESSES = 3
# Shorter spans say little: the machine's counters advance by ticks of 10 ms.
SHORTEST_LOAD_S = 0.1
# Readings are kept to so many digits: no clock tells more of a call.
DIGITS = 5
INSTRUMENT_REASONS = {
    "energy_j": "energy_reason",
    "graph_time_s": "graph_reason",
    "workspace_bytes": "workspace_reason",
}


@dataclass(kw_only=True)
class Ledger:
    """The cells of a run; `admissions` say which of them may be timed.

    `counted` are the counted fields of their records, with `workspace_reason` where torch does not
    see what a call needs. `ceilings` are the machine's own rates, by device and dtype, which no
    honest reading can beat. `missing` are the columns that an instrument left null, and why it did
    so first. `left_out` are the cells of open-ended series that this machine is too small or too
    slow for, and why. `checking_s` are the seconds that went into new contents of inputs and into
    checks of timed calls.
    """

    cells: Sequence[Cell]
    threads: int
    admissions: Mapping[Key, Admission]
    journal: Journal
    history: History
    counted: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    ceilings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    left_out: dict[Key, str] = field(default_factory=dict)
    checking_s: float = 0.0

    def __post_init__(self) -> None:
        self._round, self._slot = 0, 0
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
            if self.admissions[cell.key].status == "pass"
            and cell.key not in self.history.given_up
            and cell.key not in self.left_out
            and len(self._not_imported[cell.implementation.spec]) < PROCESSES
        ]

    def take_counts(self, counted: Mapping[Key, dict[str, Any]]) -> None:
        """Take in what was counted of cells: the workspace is for the forecast alone."""
        for key, fields in counted.items():
            self.history.forecast.know_workspace(*key, fields.pop("needs_workspace_bytes", None))
        self.counted = counted

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
        places = {cell.key: place for place, cell in enumerate(self.cells)}
        answers = [(places[cell.key], answer) for cell, answer in read]
        self.journal.keep_readings({"round": self._round, "answers": answers})

    def recover(self) -> None:
        """Write the records of a round that was cut off, from what the journal kept of it."""
        lines = self.journal.kept_readings()
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
        """The record of a cell in a round in which it was not read."""
        admission = self.admissions[cell.key]
        counted = dict(self.counted.get(cell.key, {}))
        outside = counted.pop("workspace_reason", None)
        return replace(
            unmeasured_record(cell),
            round=self._round,
            worker=self._slot,
            threads=self.threads,
            reason=cell.implementation.unmeasured_workspace or outside,
            max_error=admission.max_error,
            allowed_error=admission.allowed_error,
            **counted,
        )

    def _read(self, cell: Cell, answers: Sequence[Answer], used: Usage | None) -> Record:
        """The record of what was read of a cell; it is without a time if it cannot be one."""
        blank = self._blank(cell)
        record = round_record(blank, answers, used)
        rates = self.ceilings.get(f"{cell.case.device}/{cell.case.dtype}", {})
        limits = Limits(
            # The operations of a layer are those that it executes: none of them can be saved.
            exact=cell.implementation.kind == "layer"
            or cell.implementation.oracle is softmax_attention,
            # Of all threads at once, or of each: others may disturb the first.
            peak_flops_per_s=max(
                rates.get("matmul_flops_per_s", 0.0),
                self.threads * rates.get("core_flops_per_s", 0.0),
            ),
        )
        why = implausible(record, answers, limits)
        if why is None:
            return record
        self.history.learn_loss(cell.key, "implausible")
        return replace(blank, status="implausible", reason=why)

    def end_round(self, used: Usage | None) -> None:
        """Write a record for every cell that was read in this round."""
        answers = [(cell, self._answers.pop(cell.key, ())) for cell in self.cells]
        self._write([self._read(cell, read, used) for cell, read in answers if read])

    def write_unmeasured(self, reasons: Mapping[Key, str]) -> None:
        """Write a record for each cell that has none: the gate's refusal, or one of `reasons`."""
        records = []
        for cell in self.cells:
            if cell.key in self.history.recorded:
                continue
            status, why = self.admissions[cell.key].status, self.admissions[cell.key].reason
            if status == "pass":
                if cell.key not in reasons:
                    continue
                status, why = "skipped", reasons[cell.key]
            blank = replace(self._blank(cell), round=0, worker=None)
            records.append(replace(blank, status=status, reason=why))
        self._write(records)

    def _write(self, records: Sequence[Record], *, finishes: bool = True) -> None:
        self.journal.append(records, finishes=finishes)
        for record in records:
            self.history.note(record)


def round_record(blank: Record, answers: Sequence[Answer], usage: Usage | None) -> Record:
    """The blank record of a cell with its readings in a round; `usage` is that of the whole round.

    What was read once, in the first call of a run, stands in the record of its round.
    """
    samples = [_rounded(answer["time_s"]) for answer in answers]
    states = [answer["gpu_state"] for answer in answers if answer.get("gpu_state")]
    throttling = {reason for state in states for reason in state["throttle_reasons"] or ()}
    unseen = [answer["workspace_reason"] for answer in answers if "workspace_reason" in answer]
    load = usage if usage and usage.wall_s >= SHORTEST_LOAD_S else None
    return replace(
        blank,
        status="measured",
        reason=next(iter(unseen), blank.reason),
        time_s=statistics.median(samples),
        time_min_s=min(samples),
        samples_s=tuple(samples),
        calls_per_sample=round(statistics.median(answer["calls"] for answer in answers)),
        cpu_time_s=_of(answers, "cpu_time_s", statistics.median),
        minor_faults=_of(answers, "minor_faults", statistics.median),
        workspace_bytes=_of(answers, "workspace_bytes", max),
        energy_j=_of(answers, "energy_j", max),
        energy_resolution_j=_of(answers, "energy_resolution_j", max),
        graph_time_s=_of(answers, "graph_time_s", min),
        compile_s=_of(answers, "compile_s", max),
        attention_kernel=_of(answers, "attention_kernel", max),
        gpu_clock_hz=_of(states, "clock_hz", statistics.median),
        gpu_temperature_c=_of(states, "temperature_c", max),
        gpu_power_w=_of(states, "power_w", statistics.median),
        throttle_reasons=tuple(sorted(throttling)) if states else None,
        waiting_share=load.waiting_share if load else None,
        other_load=load.other_load if load else None,
        steal_share=load.stolen_cores if load else None,
        frequency_hz=usage.frequency_hz if usage else None,
    )


def _of(answers: Sequence[Answer], name: str, how: Any) -> Any:
    """One value of those that are known, rounded as readings are."""
    known = [answer[name] for answer in answers if answer.get(name) is not None]
    value = how(known) if known else None
    return _rounded(value) if isinstance(value, float) else value


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
