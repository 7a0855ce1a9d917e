"""Runs a plan: gate, counts, then passes over all cells by three processes in turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.checks.gate import Gate
from bench.machine import environment
from bench.plan.cells import Cell, cells_of
from bench.plan.plan import Plan
from bench.plan.run_directory import check_sources, prepare
from bench.process.checkout import Checkout
from bench.process.kernels import Kernels
from bench.process.side_by_side import SideBySide, worker_for
from bench.process.supervisor import Worker
from bench.records import RECORDS_FILE, RunError, read_records, write_info
from bench.sweep.forecast import Forecast, LawValue
from bench.sweep.history import History
from bench.sweep.journal import Journal
from bench.sweep.ledger import PROCESSES, Ledger
from bench.sweep.preparations import (
    Preparations,
    admission,
    available_bytes,
    gate_info,
    implementation_info,
)
from bench.sweep.progress import Observer
from bench.sweep.turns import Turns

# However little time there is, each process has two turns if it can; and nothing is known before
# that, nor before every cell has so many readings of each process.
FEWEST_TURNS = 2
READINGS_TO_KNOW = 3

TIME_SPENT = "the time was spent"
"""Why a sweep ends that more time would continue, as `schedule` in run.json says it."""
MORE_TIME = "; a larger --time-budget measures on"

IsKnown = Callable[[Path, float], bool]
"""Whether the exponents of a run are known to within a precision: by widths, never by verdicts."""


@dataclass(kw_only=True)
class Sweep:
    """A sweep in progress in one directory.

    `kernels` holds what was loaded before, so that nothing is imported twice to be described.
    With a `checkout` its kernels are measured in turn with those of the working tree. `is_known` is
    asked whether the plan's precision is reached; `head_start_s` is what the command
    took before the sweep began: a time budget includes it.

    Raises (from `run`):
        PlanError: the plan differs from that of the run to be resumed, or the machine does.
        RunError: the directory cannot be used, or not any more.

    """

    plan: Plan
    folder: Path
    law_value: LawValue
    observer: Observer
    kernels: Kernels | None = None
    checkout: Checkout | None = None
    is_known: IsKnown = lambda folder, precision: False
    preset: str | None = None
    head_start_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    _info: dict[str, Any] = field(init=False)
    _began: float = field(init=False)  # as if an earlier process had spent its time just before
    _cut_short: int = field(init=False, default=0)  # rounds, by an interrupt or a kill

    def __post_init__(self) -> None:
        self._threads = self.plan.threads or environment.usable_cores()

    def run(self, *, resume: bool = False) -> Gate:
        """Measure what is not yet in the directory; the gate's results come back.

        KeyboardInterrupt passes through; everything measured by then is in the journal.
        """
        self._began = self.clock() - self.head_start_s
        with self._worker() as checking:
            kernels = self.kernels or Kernels(checking, keep_lost=True, tell=self.observer.phase)
            cells = cells_of(self.plan, kernels.load)
            kernels.hand_over(checking)
            self._info = prepare(
                self.plan,
                self.folder,
                resume=resume,
                preset=self.preset,
                against=self.checkout.told if self.checkout else None,
            )
            self._began -= float(self._schedule.get("spent_s") or 0.0)
            with Journal(self.folder) as journal, contextlib.ExitStack() as stack:
                workers = [stack.enter_context(self._worker()) for _ in range(PROCESSES)]
                return self._run(cells, journal, checking, workers)

    def _run(
        self, cells: Sequence[Cell], journal: Journal, checking: Worker, workers: Sequence[Worker]
    ) -> Gate:
        """Check and count in one process, which then ends, and measure in the others."""
        ground = Preparations(
            plan=self.plan,
            folder=self.folder,
            observer=self.observer,
            time_left_s=lambda: self._deadline - self.clock(),
        )
        with checking as worker:
            implementations = implementation_info(cells)
            check_sources(self._info, implementations, self.folder)
            self._info = ground.describe(self._info, worker)
            gate = ground.check(cells, worker)
            self._note(verification=gate_info(gate), implementations=implementations)
            ledger = Ledger(
                cells=cells,
                threads=self._threads,
                admissions={cell.key: admission(gate, cell) for cell in cells},
                journal=journal,
                history=History(Forecast(self.law_value)),
            )
            turns = Turns(
                plan=self.plan,
                ledger=ledger,
                available_bytes=lambda case: available_bytes(case, self._info) / self._processes,
                deadline=self._deadline,
                clock=self.clock,
                on_pass=self._show,
                on_trial=partial(self.observer.counting, "first calls"),
            )
            for record in read_records(self.folder / RECORDS_FILE):
                ledger.history.learn(record)
            ledger.ceilings = self._info.get("ceilings") or {}
            ledger.checking_s = float(self._schedule.get("checking_s") or 0.0)
            ledger.recover()
            number = ledger.history.newest_round + 1
            self._cut_short = number - int(self._schedule.get("rounds") or 0)
            ended = self._why_it_ends(number, turns)
            if ended is None:
                for one in workers:
                    one.begin()  # they import torch while this one counts
                ledger.take_counts(ground.count(ledger.admitted(), worker))
                laws = ground.workspace_laws(
                    ledger.admitted(), worker, self._info.get("workspace_laws") or ()
                )
                self._note(workspace_laws=laws)
        if ended is None:
            self._measure(number, turns, ground, workers)
        elif number:
            more = MORE_TIME if ended == TIME_SPENT else ""
            self.observer.phase(f"nothing is left to measure: {ended}{more}")
        else:
            self._note_schedule(number, turns, ended=ended)
        turns.leave_out(f"the sweep took {self._spent_s:.0f} s; a larger --time-budget measures it")
        return gate

    def _measure(
        self, number: int, turns: Turns, ground: Preparations, workers: Sequence[Worker]
    ) -> None:
        """Make turn after turn until the sweep ends."""
        ended: str | None = None
        first = number
        try:
            while (ended := self._why_it_ends(number, turns)) is None:
                slot = number % PROCESSES
                if number - first < PROCESSES:
                    cells = turns.ledger.cells
                    turns.ledger.ceilings = ground.ceilings(cells, workers[slot], self._info)
                    self._note(ceilings=turns.ledger.ceilings)
                self._show(number)
                owed = max(1, PROCESSES * FEWEST_TURNS - (number - first))
                turn_s = min(self.plan.turn_s, (self._deadline - self.clock()) / owed)
                turns.make(number, workers[slot], turn_s)
                number += 1
                self._note_schedule(number, turns)
        except BaseException:
            with contextlib.suppress(RunError):  # what ended the sweep is to be told, not this
                self._note_schedule(number, turns)
            raise
        self._note_schedule(number, turns, ended=ended)
        if number == first and ended == TIME_SPENT:
            self.observer.phase(
                f"nothing was measured: the checks took what time was left{MORE_TIME}"
            )

    def _why_it_ends(self, number: int, turns: Turns) -> str | None:
        """Why there is no further turn; None if there is one."""
        plan, made = self.plan, number - self._cut_short
        hopeless = number > 0 and not turns.ready() and not turns.may_still_be_tried()
        if hopeless or not turns.ledger.admitted():
            return "no cell could be timed"
        if plan.rounds is not None and made >= plan.rounds:
            return "all rounds were made"
        left_s = self._deadline - self.clock()
        if left_s <= 0.0 or (turns.ready() and not turns.fits(left_s)):
            return TIME_SPENT
        cycles, rest = divmod(made, PROCESSES)
        if plan.precision is None or rest or cycles < FEWEST_TURNS:
            return None
        if turns.fewest_readings() < PROCESSES * READINGS_TO_KNOW:
            return None
        self.observer.phase("looking at how wide the intervals are")
        if self.is_known(self.folder, plan.precision):
            return f"the exponents are known to ± {plan.precision:g}, or no better with more time"
        return TIME_SPENT if self.clock() >= self._deadline else None

    def _note(self, **changes: Any) -> None:
        """Change `run.json`."""
        self._info = {**self._info, **changes}
        write_info(self.folder, self._info)

    def _note_schedule(self, number: int, turns: Turns, *, ended: str | None = None) -> None:
        self._note(
            instruments={**self._info.get("instruments", {}), **turns.ledger.missing},
            schedule={
                "time_budget_s": self.plan.time_budget_s,
                "precision": self.plan.precision,
                "spent_s": self._spent_s,
                "rounds": number - self._cut_short,
                "processes": PROCESSES,
                "fewest_readings": turns.fewest_readings(),
                "checking_s": turns.ledger.checking_s,
                "cells_left_out": len(turns.ledger.left_out),
                "ended": ended,
            },
        )

    @property
    def _schedule(self) -> dict[str, Any]:
        """What `run.json` says of the turns so far."""
        return self._info.get("schedule") or {}

    @property
    def _spent_s(self) -> float:
        return self.clock() - self._began

    @property
    def _deadline(self) -> float:
        return self._began + self.plan.time_budget_s

    def _show(self, number: int) -> None:
        self.observer.measuring(number, self._spent_s, self.plan.time_budget_s)

    def _worker(self) -> Worker:
        make = partial(Worker, threads=self._threads, allocator=self.plan.allocator)
        return worker_for(self.checkout, make)

    @property
    def _processes(self) -> int:
        """How many processes are alive at a time, each with what its calls have taken."""
        return PROCESSES * (1 if self.checkout is None else SideBySide.PROCESSES)
