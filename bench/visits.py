"""The rounds of a sweep: decides, measures and journals one visit after another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from bench import noise
from bench.cases import Plan
from bench.cells import Cell, case_of, unmeasured_record
from bench.forecast import Forecast, Observation
from bench.gate import Admission
from bench.records import Journal, Record
from bench.supervisor import Worker, WorkerLost, succeeded
from implementations.case import Case

# A visit is given up after this many times what its calls were allowed to take.
PATIENCE = 40.0
SHORTEST_LIMIT_S = 30.0
# What larger cells will run into as well; a crash may be a matter of one size.
LOSSES = ("timeout", "out_of_memory")


def visit_limit_s(plan: Plan) -> float:
    """When a visit counts as hanging."""
    calls_s = plan.call_limit_s * (plan.min_samples + 2)
    return max(SHORTEST_LIMIT_S, PATIENCE * (calls_s + plan.visit_s))


class Visits:
    """What is known of a run while it grows; one visit adds one record.

    `available_bytes` tells the free memory of a case's device; `on_visit` is told the cell and its
    record once it stands in the journal.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        threads: int,
        journal: Journal,
        forecast: Forecast,
        admissions: Mapping[tuple[str, Case], Admission],
        available_bytes: Callable[[Case], float],
        on_visit: Callable[[str, Record], None],
    ) -> None:
        self._plan = plan
        self._threads = threads
        self._journal = journal
        self._forecast = forecast
        self._admissions = admissions
        self._available_bytes = available_bytes
        self._on_visit = on_visit
        self._visited: set[tuple[str, Case, int]] = set()
        self._given_up: dict[tuple[str, Case], Record] = {}
        self._measured: set[tuple[str, Case]] = set()
        self._has_workspace: set[tuple[str, Case]] = set()
        self._canaries: dict[str, list[float]] = defaultdict(list)

    @property
    def done(self) -> int:
        """How many visits stand in the journal."""
        return len(self._visited)

    def admitted(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells that may be timed."""
        return [cell for cell in cells if self._admissions[cell.key].status == "pass"]

    def complete(self, number: int, cells: Sequence[Cell]) -> bool:
        """Whether every cell has been visited in this round."""
        return all((*cell.key, number) in self._visited for cell in cells)

    def run_round(self, number: int, cells: Sequence[Cell], worker: Worker) -> None:
        """Visit every cell that has not been visited in this round."""
        for cell in cells:
            if (*cell.key, number) in self._visited:
                continue
            record = self._visit(cell, number, worker)
            self._journal.append(record)
            self.learn(record)
            self._on_visit(f"{cell.implementation.name} {cell.case}", record)

    def _visit(self, cell: Cell, number: int, worker: Worker) -> Record:
        admission = self._admissions[cell.key]
        blank = replace(
            unmeasured_record(cell),
            round=number,
            threads=self._threads,
            max_error=admission.max_error,
            allowed_error=admission.allowed_error,
        )
        if admission.status != "pass":
            return replace(blank, status=admission.status, reason=admission.reason)
        before = self._given_up.get(cell.key)
        if before is not None:
            return replace(blank, status=before.status, reason=before.reason)
        if cell.key in self._measured:
            # It ran, and will again, whatever one disturbed reading says of a neighbour since.
            return self._measure(cell, blank, worker)
        objection = self._forecast.objection(
            cell.implementation,
            cell.case,
            call_limit_s=self._plan.call_limit_s,
            available_bytes=self._available_bytes(cell.case),
        )
        if objection is not None:
            return replace(blank, status="skipped", reason=objection)
        return self._measure(cell, blank, worker)

    def _measure(self, cell: Cell, blank: Record, worker: Worker) -> Record:
        plan = self._plan
        budget = {
            "visit_s": plan.visit_s,
            "min_samples": plan.min_samples,
            "precision": plan.precision,
        }
        try:
            answer = worker.ask(
                "measure",
                limit_s=visit_limit_s(plan),
                spec=cell.implementation.spec,
                case=asdict(cell.case),
                budget=budget,
                seed=plan.seed,
                with_workspace=cell.key not in self._has_workspace,
            )
        except WorkerLost as lost:
            return replace(
                blank, status=lost.status, reason=str(lost), worker=_worker_number(blank, worker)
            )
        number = _worker_number(blank, worker)
        if not succeeded(answer):
            return replace(
                blank, status=answer["status"], reason=answer.get("reason"), worker=number
            )
        earlier = self._canaries[cell.case.device]
        reasons = noise.reasons(
            answer["samples_s"], noise.Usage(**answer["usage"]), answer["canary_s"], earlier
        )
        return replace(
            blank,
            status="measured",
            worker=number,
            time_s=answer["time_s"],
            time_min_s=min(answer["samples_s"]),
            samples_s=tuple(answer["samples_s"]),
            cpu_time_s=answer["cpu_time_s"],
            workspace_bytes=answer["workspace_bytes"],
            minor_faults=answer["minor_faults"],
            canary_s=answer["canary_s"],
            noisy=bool(reasons),
            noise_reasons=reasons,
            reason=cell.implementation.unmeasured_workspace,
        )

    def learn(self, record: Record) -> None:
        """Take in a record that stands in the journal, of this process or of an earlier one."""
        case = case_of(record)
        key = (record.implementation, case)
        self._visited.add((*key, record.round or 0))
        if record.status in ("incorrect", "unsupported"):
            return  # the gate has been asked again
        if record.status == "measured" and record.time_s is not None:
            self._measured.add(key)
            if record.workspace_bytes is not None or record.reason is not None:
                self._has_workspace.add(key)
            if record.canary_s is not None:
                self._canaries[case.device].append(record.canary_s)
            observed = Observation(
                case=case, time_s=record.time_s, workspace_bytes=record.workspace_bytes
            )
            self._forecast.observe(record.implementation, observed)
            return
        self._given_up.setdefault(key, record)
        if record.status in LOSSES:
            self._forecast.observe_loss(record.implementation, case, record.status)


def _worker_number(record: Record, worker: Worker) -> int:
    """Every round has a worker of its own; within it, a replacement has a number of its own."""
    return (record.round or 0) * 100 + worker.started
