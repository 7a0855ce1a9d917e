"""Turns of one plan on a simulated machine."""

import math
from collections import Counter
from dataclasses import replace

from bench.checks.gate import Admission
from bench.plan.cells import cells_of
from bench.plan.plan import Plan, Series
from bench.records import RECORDS_FILE, read_records
from bench.sweep.forecast import Forecast
from bench.sweep.history import History
from bench.sweep.journal import PART_FILE, Journal
from bench.sweep.ledger import Ledger
from bench.sweep.turns import Turns

SERIES = Series(
    implementations=("matmul", "sdpa"), seq_lens=(53, 71, 109), d_models=(13,), head_dim=13
)


LARGEST = replace(SERIES, seq_lens=(109,))


PLAN = Plan(series=(LARGEST, SERIES), seed=3, threads=1, call_limit_s=1.0)


NAMES = SERIES.implementations


PASSED = Admission(status="pass", max_error=0.25, allowed_error=1.0)


ONE_PASS, SOME_PASSES = 1e-9, 0.2


class Making:
    """Turns of one plan in one directory, made one after another by the same process."""

    def __init__(self, folder, machine, plan=PLAN, deadline=math.inf, **admissions) -> None:
        self.journal_file = folder / RECORDS_FILE
        self.part = folder / PART_FILE
        self.journal = Journal(folder)
        self.worker = machine()
        self.passes = 0
        self.interrupt_after = -1
        cells = cells_of(plan)
        self.ledger = Ledger(
            cells=cells,
            threads=1,
            journal=self.journal,
            history=History(Forecast(lambda law, case: float(case.seq_len**2 * case.d_model))),
            admissions={
                cell.key: admissions.get(cell.implementation.name, PASSED) for cell in cells
            },
        )
        self.turns = Turns(
            plan=plan,
            ledger=self.ledger,
            available_bytes=lambda case: 2.0**40,
            deadline=deadline,
            clock=machine.clock,
            on_pass=self._on_pass,
        )

    def _on_pass(self, number: int) -> None:
        self.passes += 1
        if self.passes == self.interrupt_after:
            raise KeyboardInterrupt

    def make(self, number=0, turn_s=SOME_PASSES):
        self.turns.make(number, self.worker, turn_s)
        return [one for one in self.records() if one.round == number]

    def records(self):
        return list(read_records(self.journal_file))

    def kept_lines(self):
        return self.part.read_text().count("\n") if self.part.exists() else 0

    def recover(self):
        """What the next process of a run that was killed does first."""
        for record in self.records():
            self.ledger.history.learn(record)
        self.ledger.recover()

    def statuses(self):
        return {(one.implementation, one.seq_len): one.status for one in self.records()}


def at(operation, spec="matmul", seq_len=71, *, times=math.inf, loss=None, answer=None):
    """A fault at one cell, so many times."""
    left = [times]

    def fault(asked, request):
        case = request.get("case", {})
        if (asked, request.get("spec"), case.get("seq_len")) != (operation, spec, seq_len):
            return None
        left[0] -= 1
        if left[0] < 0:
            return None
        if loss is not None:
            raise loss
        return answer

    return fault


def sizes(requests):
    return [(request["spec"], request["case"]["seq_len"]) for request in requests]


EVERY = Counter((name, n) for name in NAMES for n in SERIES.seq_lens)
