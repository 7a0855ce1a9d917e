"""What is written of a cell: nothing yet, a loss, or what was read of it in a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.checks.gate import Admission
from bench.checks.timed.plausible import Limits, implausible
from bench.machine.os_counters import Usage
from bench.plan.cells import Cell, Key, unmeasured_record
from bench.records import Record
from bench.sweep.round_record import Answer, round_record
from implementations.oracle import softmax_attention

Fields = Mapping[Key, Mapping[str, Any]]
"""What the records of each cell say besides what is read: its counts.

`workspace_reason`, where it is there, says why torch does not see what a call needs.
"""


class CellRecords:
    """Makes the records of a run; `admissions` say which cells may be timed.

    `fields` is what they say besides what is read; `ceilings` are the machine's own rates, by
    device and dtype, as `run.json` has them: what no honest reading can beat.
    """

    def __init__(self, *, threads: int, admissions: Mapping[Key, Admission]) -> None:
        self.fields: Fields = {}
        self.ceilings: Mapping[str, Mapping[str, float]] = {}
        self._threads = threads
        self._admissions = admissions

    def blank(self, cell: Cell, number: int) -> Record:
        """The record of a cell in a round in which it was not read."""
        admission = self._admissions[cell.key]
        counted = dict(self.fields.get(cell.key, {}))
        outside = counted.pop("workspace_reason", None)
        return replace(
            unmeasured_record(cell),
            round=number,
            threads=self._threads,
            reason=cell.implementation.unmeasured_workspace or outside,
            max_error=admission.max_error,
            allowed_error=admission.allowed_error,
            **counted,
        )

    def lost(self, cell: Cell, number: int, slot: int, status: str, reason: str) -> Record:
        """The record of a cell that a process lost."""
        blank = self.blank(cell, number)
        return replace(blank, status=status, reason=reason or None, worker=slot)

    def read(
        self, cell: Cell, number: int, slot: int, answers: Sequence[Answer], used: Usage | None
    ) -> Record:
        """The record of what a process read of a cell; it is without a time if it cannot be one."""
        blank = replace(self.blank(cell, number), worker=slot)
        record = round_record(blank, answers, used)
        rates = self.ceilings.get(f"{cell.case.device}/{cell.case.dtype}", {})
        limits = Limits(
            exact=cell.implementation.oracle is softmax_attention,
            peak_flops_per_s=rates.get("matmul_flops_per_s"),
        )
        why = implausible(record, answers, limits)
        return record if why is None else replace(blank, status="implausible", reason=why)
