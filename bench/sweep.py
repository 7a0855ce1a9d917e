"""Runs a plan: gate, counts, pilot, then rounds in fresh random order, each by its own worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from bench.records import RECORDS_FILE, Record, read_records, write_info
from bench.rounds import FEWEST_WORKERS, Rounds
from bench.run_directory import check_sources, prepare
from bench.supervisor import Worker
from bench.visits import NO_TIME, Visits
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

    def __post_init__(self) -> None:
        self.threads = self.plan.threads or environment.usable_cores()

    def run(self, *, resume: bool = False) -> Gate:
        """Measure everything that is not yet in the directory; the gate's results come back.

        KeyboardInterrupt passes through; everything measured by then is in the journal.
        """
        started = self.clock() - self.head_start_s
        cells = cells_of(self.plan)
        info = prepare(self.plan, self.folder, resume=resume, preset=self.preset)
        ground = Groundwork(plan=self.plan, folder=self.folder, observer=self.observer)
        with Journal(self.folder) as journal:
            earlier = list(read_records(self.folder / RECORDS_FILE))
            with self._worker() as worker:
                check_sources(info, sources_of(cells), self.folder)
                info = ground.describe(info, worker)
                gate = ground.check(cells, worker)
                info = {**info, **gate_info(gate), **implementation_info(cells)}
                write_info(self.folder, info)
                forecast = Forecast(self.law_value)
                fields = RecordFields(
                    plan=self.plan, worker=self._resident_worker, clock=self.clock
                )
                visits = Visits(
                    plan=self.plan,
                    cells=cells,
                    threads=self.threads,
                    journal=journal,
                    forecast=forecast,
                    admissions={cell.key: admission(gate, cell) for cell in cells},
                    available_bytes=lambda case: available_bytes(case, info),
                    fields=fields,
                    clock=self.clock,
                )
                for record in earlier:
                    visits.learn(record)
                rounds = Rounds(
                    plan=self.plan,
                    cells=cells,
                    visits=visits,
                    deadline=self._deadline(started, info, visits),
                    clock=self.clock,
                    besides_s=fields.left_s,
                )
                fields.series = len(by_series(cells)) if fields.affordable(rounds) else 0
                if not self._finished(rounds):
                    admitted = visits.admitted(cells)
                    fields.counts = ground.count(admitted, worker)
                    ground.pilot(admitted, worker, forecast, info)
            if not self._finished(rounds):
                info = self._measure(rounds, ground, fields, started, info)
            for cell in visits.unseen():
                visits.write(_left_out(visits.blank(cell, 0)))
        return gate

    def _measure(
        self,
        rounds: Rounds,
        ground: Groundwork,
        fields: RecordFields,
        started: float,
        info: dict[str, Any],
    ) -> dict[str, Any]:
        """Make the rounds that are missing; `run.json` as it is then."""
        visits, cells = rounds.visits, rounds.cells
        before_s = float((info.get("schedule") or {}).get("spent_s") or 0.0)
        total = None if rounds.planned is None else len(cells) * rounds.planned
        number = visits.newest_round + 1 if rounds.planned is None else 0
        self.observer.visits(visits.done, total, rounds.left_s(number, cells))
        with Workers(self._worker, ground, self.clock) as workers:
            while (order := rounds.order(number)) is not None:
                if visits.complete(number, order):
                    number += 1
                    continue
                fields.choose(number, visits)
                shifts = rounds.shifts(order)
                for part, shift in enumerate(shifts):
                    worker = workers.next(rounds, number)
                    if not part and number < FEWEST_WORKERS:
                        began = self.clock()
                        info = {**info, "ceilings": ground.ceilings(cells, worker, info)}
                        rounds.ceilings_s = self.clock() - began
                    visits.run_round(
                        number,
                        shift,
                        worker,
                        worker_number=workers.number,
                        deadline=rounds.deadline,
                        on_visit=partial(self._show, rounds, number, order, len(shifts) - part - 1),
                    )
                number += 1
                spent_s = before_s + self.clock() - started
                instruments = {**info.get("instruments", {}), **visits.missing}
                schedule = self._schedule(number, spent_s, ended=None)
                info = {**info, "instruments": instruments, "schedule": schedule}
                write_info(self.folder, info)
        spent_s = before_s + self.clock() - started
        if rounds.planned is None:
            ended = "the time budget was spent"
        elif all(visits.complete(one, cells) for one in range(rounds.planned)):
            ended = "all rounds were made"
        else:
            ended = "the time limit was reached"
        info = {**info, "schedule": self._schedule(number, spent_s, ended=ended)}
        write_info(self.folder, info)
        return info

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

    def _deadline(self, started: float, info: Mapping[str, Any], visits: Visits) -> float | None:
        """When the time ends; what an earlier process spent of it is gone."""
        seconds = self.plan.time_budget_s or self.plan.time_limit_s
        if seconds is None:
            return None
        noted_s = (info.get("schedule") or {}).get("spent_s") or 0.0
        return started + seconds - max(noted_s, visits.spent_s)

    def _finished(self, rounds: Rounds) -> bool:
        if rounds.deadline is not None and self.clock() >= rounds.deadline:
            return True
        numbers = range(rounds.planned or 0)
        return bool(numbers) and all(rounds.visits.complete(n, rounds.cells) for n in numbers)

    def _schedule(self, rounds: int, spent_s: float, *, ended: str | None) -> dict[str, Any]:
        return {
            "time_budget_s": self.plan.time_budget_s,
            "time_limit_s": self.plan.time_limit_s,
            "spent_s": spent_s,
            "rounds": rounds,
            "ended": ended,
        }


def _left_out(blank: Record) -> Record:
    reason = f"{NO_TIME}: other cells tell more of the exponents; give the sweep more time"
    return replace(blank, status="skipped", reason=reason)
