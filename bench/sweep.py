"""Runs a plan: gate, counts, pilot, then rounds in fresh random order, each by its own worker."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench import environment
from bench.cases import Plan
from bench.cells import Cell, by_series, cells_of
from bench.forecast import Forecast, LawValue
from bench.gate import Gate
from bench.groundwork import (
    Groundwork,
    admission,
    available_bytes,
    gate_info,
    implementation_info,
    sources_of,
)
from bench.journal import Journal
from bench.observer import Observer
from bench.record_fields import RecordFields
from bench.records import RECORDS_FILE, Record, RunError, read_records, write_info
from bench.rounds import Rounds
from bench.run_directory import check_sources, prepare
from bench.supervisor import Worker
from bench.visits import Visits
from bench.workers import Workers


@dataclass(kw_only=True)
class Sweep:
    """A sweep in progress in one directory.

    `head_start_s` is what the command took before the sweep began: a time budget includes it.

    Raises (from `run`):
        PlanError: the plan differs from that of the run to be resumed, or the machine does.
        RunError: the directory cannot be used, or not any more.

    """

    plan: Plan
    folder: Path
    law_value: LawValue
    observer: Observer
    preset: str | None = None
    head_start_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    threads: int = field(init=False)
    _info: dict[str, Any] = field(init=False)
    _began: float = field(init=False)
    _spent_before_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.threads = self.plan.threads or environment.usable_cores()

    def run(self, *, resume: bool = False) -> Gate:
        """Measure everything that is not yet in the directory; the gate's results come back.

        KeyboardInterrupt passes through; everything measured by then is in the journal.
        """
        self._began = self.clock() - self.head_start_s
        cells = cells_of(self.plan)
        self._info = prepare(self.plan, self.folder, resume=resume, preset=self.preset)
        self._spent_before_s = float((self._info.get("schedule") or {}).get("spent_s") or 0.0)
        with Journal(self.folder) as journal:
            return self._run(cells, journal)

    def _run(self, cells: Sequence[Cell], journal: Journal) -> Gate:
        earlier = list(read_records(self.folder / RECORDS_FILE))
        ground = Groundwork(
            plan=self.plan,
            folder=self.folder,
            observer=self.observer,
            time_left_s=lambda: (self._deadline(0.0) or math.inf) - self.clock(),
        )
        with self._worker() as worker:
            check_sources(self._info, sources_of(cells), self.folder)
            self._info = ground.describe(self._info, worker)
            gate = ground.check(cells, worker)
            self._note(**gate_info(gate), **implementation_info(cells))
            forecast = Forecast(self.law_value)
            fields = RecordFields(plan=self.plan, worker=self._resident_worker, clock=self.clock)
            visits = Visits(
                plan=self.plan,
                cells=cells,
                threads=self.threads,
                journal=journal,
                forecast=forecast,
                admissions={cell.key: admission(gate, cell) for cell in cells},
                available_bytes=lambda case: available_bytes(case, self._info),
                fields=fields,
                clock=self.clock,
            )
            for record in earlier:
                visits.learn(record)
            rounds = Rounds(
                plan=self.plan,
                cells=cells,
                visits=visits,
                deadline=self._deadline(visits.spent_s),
                clock=self.clock,
                besides_s=fields.left_s,
            )
            fields.series = len(by_series(cells)) if fields.affordable(rounds) else 0
            if not self._finished(rounds):
                admitted = visits.admitted(cells)
                fields.counts = ground.count(admitted, worker)
                ground.pilot(admitted, worker, forecast, self._info)
        if not self._finished(rounds):
            self._measure(rounds, ground, fields)
        elif visits.spent_s:
            self.observer.phase(self._why_nothing_is_left(rounds))
        unseen = visits.unseen()
        reason = "other cells tell more of the exponents; give the sweep more time"
        if len(unseen) == len(cells):
            spent_s = self._spent_before_s + self.clock() - self._began
            reason = f"checks and preparations took {spent_s:.0f} s; give the sweep more time"
        for cell in unseen:
            visits.leave_out(cell, reason)
        return gate

    def _measure(self, rounds: Rounds, ground: Groundwork, fields: RecordFields) -> None:
        """Make the rounds that are missing."""
        visits, cells = rounds.visits, rounds.cells
        total = None if rounds.planned is None else max(len(cells) * rounds.planned, visits.done)
        number = visits.newest_round + 1 if rounds.planned is None else 0
        left_s = rounds.left_s(number, cells)
        if rounds.planned is not None:
            left_s += rounds.start_s(number)
        self.observer.visits(visits.done, total, left_s)
        try:
            with Workers(self._worker, ground, self.clock) as workers:
                while (order := rounds.order(number)) is not None:
                    if not visits.complete(number, order):
                        if rounds.planned is not None and number >= rounds.planned:
                            done, left_s = visits.done, rounds.left_s(number, order, processes=1)
                            self.observer.phase("measuring again what was noisy")
                            self.observer.visits(done, done + len(order), left_s)
                        fields.choose(number, visits, order)
                        self._make(number, order, rounds, ground, workers)
                        self._note_schedule(number + 1, visits)
                    number += 1
        except BaseException:
            with contextlib.suppress(RunError):  # what ended the sweep is to be told, not this
                self._note_schedule(number, visits)
            raise
        self._note_schedule(number, visits, ended=self._how_it_ended(rounds, number))

    def _make(
        self,
        number: int,
        order: Sequence[Cell],
        rounds: Rounds,
        ground: Groundwork,
        workers: Workers,
    ) -> None:
        """Make one round, each part of it with a process of its own."""
        shifts = rounds.shifts(order)
        for part, shift in enumerate(shifts):
            worker = workers.next(rounds, number)
            if not part and rounds.wants_ceilings(number):
                began = self.clock()
                self._note(ceilings=ground.ceilings(rounds.cells, worker, self._info))
                rounds.ceilings_s = self.clock() - began
            rounds.visits.run_round(
                number,
                shift,
                worker,
                worker_number=workers.number,
                deadline=rounds.deadline,
                on_visit=partial(self._show, rounds, number, order, len(shifts) - part - 1),
            )

    def _why_nothing_is_left(self, rounds: Rounds) -> str:
        if self.plan.time_budget_s is not None:
            return "the time for this run is spent; more --time-budget continues it"
        ended = self._how_it_ended(rounds, rounds.visits.newest_round + 1)
        return f"nothing is left to measure: {ended}"

    def _how_it_ended(self, rounds: Rounds, number: int) -> str:
        visits, cells = rounds.visits, rounds.cells
        if not any(visits.costs_time(cell) for cell in cells):
            return "no cell could be timed"
        if rounds.planned is None:
            return "the time budget was spent"
        complete = all(visits.complete(one, cells) for one in range(rounds.planned))
        if complete and not rounds.lacks_quiet(number):
            return "all rounds were made"
        return "the time limit was reached"

    def _note(self, **changes: Any) -> None:
        """Change `run.json`."""
        self._info = {**self._info, **changes}
        write_info(self.folder, self._info)

    def _note_schedule(self, rounds: int, visits: Visits, *, ended: str | None = None) -> None:
        self._note(
            instruments={**self._info.get("instruments", {}), **visits.missing},
            schedule={
                "time_budget_s": self.plan.time_budget_s,
                "time_limit_s": self.plan.time_limit_s,
                "spent_s": self._spent_before_s + self.clock() - self._began,
                "rounds": rounds,
                "ended": ended,
            },
        )

    def _show(
        self,
        rounds: Rounds,
        number: int,
        order: Sequence[Cell],
        processes: int,
        cell: str,
        record: Record,
    ) -> None:
        self.observer.visit(cell, record, rounds.left_s(number, order, processes=processes))

    def _worker(self) -> Worker:
        return Worker(threads=self.threads, allocator=self.plan.allocator)

    def _resident_worker(self) -> Worker:
        """A heap that keeps its memory has more holes, which the resident set counts."""
        return Worker(threads=self.threads, allocator="default")

    def _deadline(self, visits_s: float) -> float | None:
        """When the time ends; what an earlier process spent of it, on visits at least, is gone."""
        seconds = self.plan.time_budget_s or self.plan.time_limit_s
        if seconds is None:
            return None
        return self._began + seconds - max(self._spent_before_s, visits_s)

    def _finished(self, rounds: Rounds) -> bool:
        if rounds.deadline is not None and self.clock() >= rounds.deadline:
            return True
        if rounds.planned is None:
            return False
        visits, planned = rounds.visits, rounds.planned
        if not all(visits.complete(number, rounds.cells) for number in range(planned)):
            return False
        further = range(max(planned, visits.newest_round), planned + self.plan.retakes)
        orders = {number: rounds.order(number) for number in further}
        return all(not one or visits.complete(number, one) for number, one in orders.items())
