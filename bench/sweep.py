"""Runs a plan: gate, ceilings, pilot, then rounds in fresh random order."""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench import environment
from bench.cases import Plan, PlanError
from bench.cells import Cell, by_implementation, cells_of, pilot_cells
from bench.checking import run_agreement, run_checks
from bench.forecast import Forecast, LawValue, Observation
from bench.gate import Admission, Gate, cases_for
from bench.records import RECORDS_FILE, Journal, Record, RunError, read_records, write_info
from bench.results import CheckResult, matrix_rows, summary
from bench.run_directory import check_machine, check_sources, prepare
from bench.supervisor import START_LIMIT_S, Worker, WorkerLost, succeeded
from bench.visits import LOSSES, Visits, visit_limit_s
from implementations.case import Case


class Observer(Protocol):
    """Who wants to know how a sweep goes on."""

    def phase(self, text: str) -> None:
        """Something other than a visit has begun."""
        ...

    def visits(self, done: int, total: int, rounds: int) -> None:
        """Visits begin: so many are done, of so many in all."""
        ...

    def visit(self, cell: str, record: Record) -> None:
        """One visit has ended and stands in the journal."""
        ...


@dataclass(kw_only=True)
class Sweep:
    """A sweep in progress in one directory.

    Raises (from `prepare`):
        PlanError: the plan differs from that of the run to be resumed.
        RunError: the directory cannot be used.

    """

    plan: Plan
    folder: Path
    law_value: LawValue
    observer: Observer
    preset: str | None = None
    threads: int = field(init=False)

    def __post_init__(self) -> None:
        self.threads = self.plan.threads or environment.usable_cores()

    def run(self, *, resume: bool = False) -> Gate:
        """Measure everything that is not yet in the directory; the gate's results come back.

        KeyboardInterrupt passes through; everything measured by then is in the journal.
        """
        cells = cells_of(self.plan)
        info = prepare(self.plan, self.folder, resume=resume, preset=self.preset)
        with Journal(self.folder) as journal:
            earlier = list(read_records(self.folder / RECORDS_FILE))
            with self._worker() as worker:
                check_sources(info, _sources(cells), self.folder)
                info = self._describe(info, worker)
                gate = self._check(cells, worker)
                info = {**info, **_gate_info(gate), **_implementation_info(cells)}
                write_info(self.folder, info)
                forecast = Forecast(self.law_value)
                visits = Visits(
                    plan=self.plan,
                    threads=self.threads,
                    journal=journal,
                    forecast=forecast,
                    admissions={cell.key: _admission(gate, cell) for cell in cells},
                    available_bytes=lambda case: _available_bytes(case, info),
                    on_visit=self.observer.visit,
                )
                for record in earlier:
                    visits.learn(record)
                unfinished = [n for n in range(self.plan.rounds) if not visits.complete(n, cells)]
                if unfinished:
                    self._pilot(visits.admitted(cells), worker, forecast, info)
            self.observer.visits(visits.done, len(cells) * self.plan.rounds, len(unfinished))
            for number in unfinished:
                order = cells.copy()
                random.Random(f"{self.plan.seed}/{number}").shuffle(order)
                with self._worker() as worker:
                    info = {**info, "ceilings": self._ceilings(cells, worker, info)}
                    write_info(self.folder, info)
                    visits.run_round(number, order, worker)
        return gate

    def _worker(self) -> Worker:
        return Worker(threads=self.threads, allocator=self.plan.allocator)

    def _describe(self, info: Mapping[str, Any], worker: Worker) -> dict[str, Any]:
        self.observer.phase("starting a measuring process")
        try:
            answer = worker.ask("describe", limit_s=START_LIMIT_S)
        except WorkerLost as lost:
            raise RunError(f"the measuring process did not start: {lost}") from None
        gpu = answer["gpu"]
        if gpu is None and any(s.device.startswith("cuda") for s in self.plan.series):
            raise PlanError("--device cuda: torch sees no CUDA device here; use --device cpu")
        machine = {**info["machine"], "gpu": gpu, "gpu_free_bytes": answer["gpu_free_bytes"]}
        if "threads" in info:  # an earlier process measured here
            check_machine(info, gpu=gpu, threads=answer["threads"], folder=self.folder)
        caveats = environment.allocator_caveats(self.plan.allocator, answer["large_block_faults"])
        return {**info, "machine": machine, "threads": answer["threads"], "caveats": caveats}

    def _check(self, cells: Sequence[Cell], worker: Worker) -> Gate:
        results: list[CheckResult] = []
        for implementation, own in by_implementation(cells):
            cases = cases_for([cell.case for cell in own])
            results += run_checks(
                [implementation],
                cases,
                worker,
                seed=self.plan.seed,
                on_progress=lambda name: self.observer.phase(f"verifying {name}"),
            )
        chosen = [implementation for implementation, _ in by_implementation(cells)]
        for device in sorted({cell.case.device for cell in cells}):
            dtypes = sorted({cell.case.dtype for cell in cells if cell.case.device == device})
            results += run_agreement(
                chosen, results, worker, dtypes=dtypes, device=device, seed=self.plan.seed
            )
        return Gate(results)

    def _ceilings(
        self, cells: Sequence[Cell], worker: Worker, info: Mapping[str, Any]
    ) -> dict[str, dict[str, float]]:
        """The best rates of this and earlier rounds: a disturbed reading is no ceiling."""
        found: dict[str, dict[str, float]] = dict(info.get("ceilings", {}))
        for device, dtype in sorted({(c.case.device, c.case.dtype) for c in cells}):
            self.observer.phase(f"measuring the matmul peak of {device} in {dtype}")
            try:
                answer = worker.ask("ceiling", limit_s=120.0, device=device, dtype=dtype)
            except WorkerLost as lost:
                answer = {"status": lost.status}
            if succeeded(answer):
                del answer["status"]
                best = found.get(f"{device}/{dtype}", {})
                found[f"{device}/{dtype}"] = {
                    name: max(rate, best.get(name, 0.0)) for name, rate in answer.items()
                }
        return found

    def _pilot(
        self,
        cells: Sequence[Cell],
        worker: Worker,
        forecast: Forecast,
        info: Mapping[str, Any],
    ) -> None:
        """Try the diagonal of every series, smallest cells first, until the limit is near."""
        for cell in pilot_cells(cells):
            self.observer.phase(f"trying {cell.implementation.name}: {cell.case}")
            objection = forecast.objection(
                cell.implementation,
                cell.case,
                call_limit_s=self.plan.call_limit_s,
                available_bytes=_available_bytes(cell.case, info),
            )
            if objection is not None:
                continue
            request = {"spec": cell.implementation.spec, "case": asdict(cell.case)}
            try:
                answer = worker.ask(
                    "pilot", limit_s=visit_limit_s(self.plan), seed=self.plan.seed, **request
                )
            except WorkerLost as lost:
                answer = {"status": lost.status}
            if answer["status"] in LOSSES:
                forecast.observe_loss(*cell.key, answer["status"])
            if succeeded(answer):
                observed = Observation(
                    case=cell.case,
                    time_s=answer["time_s"],
                    workspace_bytes=answer["workspace_bytes"],
                )
                forecast.observe(cell.implementation.name, observed)


def _available_bytes(case: Case, info: Mapping[str, Any]) -> float:
    """Memory of the case's device: the host's now, the GPU's when the sweep began."""
    if case.device_type == "cuda":
        return float(info["machine"]["gpu_free_bytes"])
    return environment.available_bytes()


def _gate_info(gate: Gate) -> dict[str, Any]:
    failures = [str(r) for r in gate.results if r.status in ("fail", "error")]
    counts = summary(gate.results)
    matrix = matrix_rows(gate.results)
    return {"verification": {**counts, "failures": failures, "matrix": matrix}}


def _admission(gate: Gate, cell: Cell) -> Admission:
    reason = cell.implementation.unsupported(cell.case)
    if reason is not None:
        return Admission(status="unsupported", reason=reason)
    return gate.admits(cell.implementation.name, cell.case)


def _sources(cells: Sequence[Cell]) -> dict[str, str]:
    """SHA-256 of the file of every kernel that is not of the suite."""
    found = {}
    for implementation, _ in by_implementation(cells):
        if ":" not in implementation.spec:
            continue
        try:
            file = inspect.getsourcefile(inspect.unwrap(implementation.fn))
            found[implementation.name] = hashlib.sha256(Path(file or "").read_bytes()).hexdigest()
        except (TypeError, OSError):
            continue  # a compiled function or an object has no file to compare
    return found


def _implementation_info(cells: Sequence[Cell]) -> dict[str, Any]:
    found = {}
    sources = _sources(cells)
    for implementation, _ in by_implementation(cells):
        found[implementation.name] = {
            "source_sha256": sources.get(implementation.name),
            "title": implementation.title,
            "source": implementation.source,
            "kind": implementation.kind,
            "layout": implementation.layout,
            "time_law": implementation.time_law,
            "workspace_law": implementation.workspace_law,
        }
    return {"implementations": found}
