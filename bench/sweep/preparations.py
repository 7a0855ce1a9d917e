"""What a sweep asks of a measuring process before its turns: checks, counts, ceilings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.checks.gate import Admission, Gate, cases_for
from bench.checks.results import CheckResult, matrix_rows, summary
from bench.checks.run_in_worker import Checker
from bench.machine import environment
from bench.plan.cells import Cell, Key, by_implementation
from bench.plan.plan import Plan, PlanError
from bench.plan.run_directory import check_machine
from bench.process.described import Described, source_sha256
from bench.process.supervisor import START_LIMIT_S, Worker, WorkerLost, succeeded, try_ask
from bench.records import RunError
from bench.sweep.progress import Observer, verifying
from implementations.case import Case
from implementations.interface import Implementation

COUNTING_LIMIT_S = 20.0
CEILING_LIMIT_S = 120.0
SHORTEST_WAIT_S = 1.0
# Of the time that a sweep has left: what each implementation's counting may take.
COUNTING_SHARE = 0.1
# All but the sizes of a case.
CONDITIONS = ("pass_", "device", "dtype", "is_causal", "mask", "window")


@dataclass(frozen=True, kw_only=True)
class Preparations:
    """The questions of one plan."""

    plan: Plan
    folder: Path
    observer: Observer
    time_left_s: Callable[[], float] = lambda: math.inf
    """Seconds until the sweep has to end."""

    def _limit_s(self, seconds: float, share: float = 1.0) -> float:
        """How long to wait for an answer: a share of the time left at most."""
        return max(SHORTEST_WAIT_S, min(seconds, share * self.time_left_s()))

    def describe(self, info: Mapping[str, Any], worker: Worker) -> dict[str, Any]:
        """`run.json` with what the measuring process knows of the machine and of itself.

        Raises:
            RunError: the process did not start.
            PlanError: there is no GPU although the plan asks for one, or the run to be resumed was
                made on another machine.

        """
        self.observer.phase("starting a measuring process")
        try:
            answer = worker.ask("describe", limit_s=START_LIMIT_S)
        except WorkerLost as lost:
            raise RunError(f"the measuring process did not start: {lost}") from None
        if not succeeded(answer):
            raise RunError(f"the measuring process cannot look at the machine: {answer['reason']}")
        gpu = answer["gpu"]
        if gpu is None and any(s.device.startswith("cuda") for s in self.plan.series):
            raise PlanError("--device cuda: torch sees no CUDA device here; use --device cpu")
        told = ("gpu", "gpu_free_bytes", "gpu_caches_bytes")
        machine = {**info["machine"], **{name: answer[name] for name in told}}
        if "threads" in info:  # an earlier process measured here
            check_machine(info, gpu=gpu, threads=answer["threads"], folder=self.folder)
        caveats = environment.allocator_caveats(self.plan.allocator, answer["large_block_faults"])
        return {
            **info,
            "machine": machine,
            "threads": answer["threads"],
            "harness": answer["harness"],
            "instruments": {**info.get("instruments", {}), **answer["instruments"]},
            "caveats": caveats,
        }

    def check(self, cells: Sequence[Cell], worker: Worker) -> Gate:
        """The correctness gate over all that the cells need."""
        checker = Checker(worker=worker, seed=self.plan.seed)
        results: list[CheckResult] = []
        chosen = [implementation for implementation, _ in by_implementation(cells)]
        for place, (implementation, own) in enumerate(by_implementation(cells), start=1):
            cases = cases_for([cell.case for cell in own], implementation.kind)
            tell = verifying(self.observer, f" ({place} of {len(chosen)})")
            results += checker.check([implementation], cases, tell)
        for device in sorted({cell.case.device for cell in cells}):
            dtypes = sorted({cell.case.dtype for cell in cells if cell.case.device == device})
            results += checker.compare(chosen, results, dtypes=dtypes, device=device)
        return Gate(results)

    def count(self, cells: Sequence[Cell], worker: Worker) -> dict[Key, dict[str, Any]]:
        """The counted fields of the records of each cell; cells that cannot be counted lack."""
        counted: dict[Key, dict[str, Any]] = {}
        countable = list(_countable(cells))
        for done, (implementation, own) in enumerate(countable):
            self.observer.counting(
                f"counting the operations of {implementation.name}", done, len(countable)
            )
            cases = [asdict(cell.case) for cell in own]
            answer = self._count(worker, "count", spec=implementation.spec, cases=cases)
            if answer is not None:
                keys = (cell.key for cell in own)
                counted |= zip(keys, answer["counts"], strict=True)
        return counted

    def workspace_laws(
        self,
        cells: Sequence[Cell],
        worker: Worker,
        earlier: Sequence[Mapping[str, Any]] = (),
    ) -> list[Mapping[str, Any]]:
        """The workspace of each implementation as a polynomial, wherever its sizes may lie.

        What was counted `earlier` stays where no time is left to count it again.
        """
        names = ("implementation", *(name.rstrip("_") for name in CONDITIONS))
        laws = {tuple(law.get(name) for name in names): law for law in earlier}
        for implementation, own in _countable(cells):
            # A polynomial is for as many keys, and heads of keys, as there are queries'.
            plain = (c.case for c in own if not (c.has_fixed_queries or c.case.is_grouped))
            cases = {tuple(getattr(case, name) for name in CONDITIONS): case for case in plain}
            for values, case in cases.items():
                spec, row = implementation.spec, asdict(case)
                answer = self._count(worker, "workspace_law", spec=spec, case=row)
                if answer is not None and answer["law"] is not None:
                    key = (implementation.name, *values)
                    laws[key] = {**dict(zip(names, key, strict=True)), **answer["law"]}
        return [*laws.values()]

    def _count(self, worker: Worker, operation: str, **request: Any) -> dict[str, Any] | None:
        limit_s = self._limit_s(COUNTING_LIMIT_S, COUNTING_SHARE)
        return try_ask(worker, operation, limit_s=limit_s, **request)

    def ceilings(
        self, cells: Sequence[Cell], worker: Worker, info: Mapping[str, Any]
    ) -> dict[str, dict[str, float]]:
        """The best of this and earlier rounds: a disturbed reading is no ceiling."""
        found: dict[str, dict[str, float]] = dict(info.get("ceilings", {}))
        for device, dtype in sorted({(c.case.device, c.case.dtype) for c in cells}):
            self.observer.phase(f"measuring the ceilings of {device} in {dtype}")
            limit_s = self._limit_s(CEILING_LIMIT_S)
            answer = try_ask(worker, "ceiling", limit_s=limit_s, device=device, dtype=dtype)
            if answer is not None:
                rates = {name: rate for name, rate in answer.items() if rate and name != "status"}
                name = f"{device}/{dtype}"
                found[name] = _best(rates, found.get(name, {}))
        return found


def _countable(cells: Sequence[Cell]) -> Iterator[tuple[Implementation, list[Cell]]]:
    """Those that launch operators, and are not compiled to something else."""
    return ((one, own) for one, own in by_implementation(cells) if not one.compiles)


def available_bytes(case: Case, info: Mapping[str, Any]) -> float:
    """Memory of the case's device: the host's now, the GPU's when the sweep began."""
    if case.device_type == "cuda":
        return float(info["machine"]["gpu_free_bytes"])
    return environment.available_bytes()


def gate_info(gate: Gate) -> dict[str, Any]:
    """What `run.json` says of the checks."""
    failures = [str(result) for result in gate.results if result.bad]
    return {**summary(gate.results), "failures": failures, "matrix": matrix_rows(gate.results)}


def admission(gate: Gate, cell: Cell) -> Admission:
    """Whether a cell may be timed: by what its implementation declares, and by the gate."""
    if isinstance(cell.implementation, Described) and cell.implementation.loss is not None:
        status, why = cell.implementation.loss
        return Admission(status=status, reason=why)
    reason = cell.implementation.unsupported(cell.case)
    if reason is not None:
        return Admission(status="unsupported", reason=reason)
    return gate.admits(cell.implementation.name, cell.case)


def implementation_info(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """What `run.json` says of the implementations by name, the SHA-256 of their files first."""
    told = (
        *("title", "source", "kind", "layout", "time_law", "workspace_law"),
        *("needs_memory", "takes_window_as_mask"),
    )
    return {
        implementation.name: {
            "source_sha256": source_sha256(implementation),
            **{name: getattr(implementation, name) for name in told},
        }
        for implementation, _ in by_implementation(cells)
    }


def _best(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Of rates the highest, of costs (seconds) the lowest."""
    found = dict(before)
    for name, value in now.items():
        better = min if name.endswith("_s") and "_per_" not in name else max
        found[name] = better(value, before.get(name, value))
    return found
