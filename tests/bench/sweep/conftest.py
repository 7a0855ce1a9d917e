"""Small sweeps in this process, and a simulated machine whose clock only requests move."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.checks import gate
from bench.checks.gate import Admission, Gate
from bench.checks.situations import check_cases
from bench.machine import environment
from bench.plan.plan import Plan, Series
from bench.process.supervisor import WorkerLost
from bench.records import Record, read_run
from bench.sweep import sweep
from bench.sweep.preparations import Preparations
from bench.sweep.sweep import Sweep
from implementations.case import Case
from tests.bench.sweep.making import PLAN, Making

CHECKED = ("plain", "more_keys", "causal", "boolean_mask")


class Watching:
    """An observer that remembers; Ctrl-C comes when it is told for the `interrupt_at`th time."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.phases: list[str] = []
        self.told: list[tuple[int, float, float]] = []
        self._interrupt_at = interrupt_at

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def counting(self, what: str, done: int, total: int) -> None: ...

    def measuring(self, number: int, spent_s: float, at_most_s: float) -> None:
        self.told.append((number, spent_s, at_most_s))
        if len(self.told) == self._interrupt_at:
            raise KeyboardInterrupt


def law_value(law: str, case: Case) -> float:
    return float(case.seq_len**2 * case.d_model)


def once_a_round(records: Sequence[Record]) -> bool:
    """Whether no cell has two records of a round; those without a time count as well."""
    keys = [(r.implementation, r.seq_len, r.d_model, r.is_causal, r.round) for r in records]
    return len(keys) == len(set(keys))


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """Makes plans of tiny cells and runs them, a pass a round, with workers in this process."""

    workers: Any
    series: Series = field(
        default=Series(
            implementations=("matmul", "sdpa"), seq_lens=(5, 7, 11), d_models=(22, 33), head_dim=11
        )
    )
    cells: int = 2 * 3 * 2
    checked: Sequence[str] = CHECKED

    once_a_round = staticmethod(once_a_round)

    def plan(self, *series: Series, **changes: Any) -> Plan:
        fixed = {"rounds": 3, "turn_s": 1e-9, "threads": 1}
        return Plan(series=series or (self.series,), **{**fixed, **changes})

    def run(
        self, plan: Plan, folder: Path, *, resume: bool = False, interrupt_at: int | None = None
    ) -> Watching:
        shown = Watching(interrupt_at)
        Sweep(plan=plan, folder=folder, law_value=law_value, observer=shown, preset="tiny").run(
            resume=resume
        )
        return shown


@pytest.fixture
def sweeps(direct_workers: Any, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    """Workers in this process, and a gate of four situations: these tests are not about it."""

    def few(*dtypes: Any, **options: Any) -> list[Any]:
        return [one for one in check_cases(*dtypes, **options) if one.name in CHECKED]

    monkeypatch.setattr(gate, "check_cases", few)
    return Sweeps(workers=direct_workers)


class Machine:
    """A clock that each request advances by what it would take.

    A call takes 5 µs + law·n²·d; each reading of a cell is told a little longer than the last, so
    that they can be told apart. `fault` may raise in place of an answer, or give one; `slowed`
    makes a call so many times as long, for ever if it is inf.
    """

    START_S, COUNT_S, CEILING_S, CHECK_S = 3.0, 0.2, 1.0, 1.0

    def __init__(self, law: float = 1e-12) -> None:
        self.now = 1000.0
        self.law = law
        self.check_s = self.CHECK_S
        self.reading_s = 3e-3  # the least that a reading takes
        self.besides_s = 0.0  # what a check of a reading takes
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.readings: Counter[str] = Counter()
        self.workers: list[MachineWorker] = []
        self.fault: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda *_: None
        self.slowed: Callable[[str, dict[str, Any]], float] = lambda *_: 1.0
        self.interrupted_at = math.inf

    def __call__(self, *, threads: int = 1, allocator: str = "pinned") -> MachineWorker:
        self.workers.append(MachineWorker(self))
        return self.workers[-1]

    def clock(self) -> float:
        return self.now

    def operations(self, *names: str) -> list[dict[str, Any]]:
        return [request for operation, request in self.asked if operation in names]

    def call_s(self, case: Mapping[str, Any]) -> float:
        return 5e-6 + self.law * case["seq_len"] ** 2 * case["num_heads"] * case["head_dim"]


class MachineWorker:
    def __init__(self, machine: Machine) -> None:
        self.started = 0
        self.limits: list[float] = []
        self._machine = machine
        self._ready_at: float | None = None

    def __enter__(self) -> MachineWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def begin(self) -> None:
        if self._ready_at is None:
            self.started += 1
            self._ready_at = self._machine.now + self._machine.START_S

    def stop(self) -> None:
        self._ready_at = None

    def ask(
        self, operation: str, *, limit_s: float, patience: float = 1.0, **request: Any
    ) -> dict[str, Any]:
        (answer,) = self.answers([{"op": operation, **request}], limit_s=limit_s)
        return answer

    def answers(
        self, requests: Sequence[Mapping[str, Any]], *, limit_s: float
    ) -> Iterator[dict[str, Any]]:
        machine = self._machine
        self.begin()
        self.limits.append(limit_s)
        for one in requests:
            request = dict(one)
            operation = request.pop("op")
            machine.asked.append((operation, request))
            if machine.now >= machine.interrupted_at:
                machine.interrupted_at = math.inf
                raise KeyboardInterrupt
            try:
                answer = machine.fault(operation, request)
            except WorkerLost:
                self.stop()
                raise
            seconds, usual = getattr(self, operation)(**request)
            seconds += max(0.0, (self._ready_at or machine.now) - machine.now)
            machine.now += min(seconds, limit_s)
            if seconds > limit_s:
                self.stop()
                raise WorkerLost("timeout", f"no answer within {limit_s:.3g} s")
            yield answer or usual

    def describe(self) -> tuple[float, dict[str, Any]]:
        known = dict.fromkeys(("gpu", "gpu_free_bytes", "gpu_caches_bytes", "large_block_faults"))
        return 0.3, {"status": "done", "threads": 1, "harness": {}, "instruments": {}, **known}

    def count(self, spec: str, cases: Sequence[Any]) -> tuple[float, dict[str, Any]]:
        counted = [{"flops_executed": 17 * 2**40} for _ in cases]
        return self._machine.COUNT_S, {"status": "done", "counts": counted}

    def workspace_law(self, spec: str, case: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        return self._machine.COUNT_S, {"status": "done", "law": None}

    def ceiling(self, **_: Any) -> tuple[float, dict[str, Any]]:
        return self._machine.CEILING_S, {"status": "done", "matmul_flops_per_s": 1e18}

    def rest(self, device: str) -> tuple[float, dict[str, Any]]:
        return 1e-4, {"status": "done"}

    def usage(self) -> tuple[float, dict[str, Any]]:
        used = {"wall_s": self._machine.now, "cpu_time_s": 0.0, "minor_faults": 0}
        return 1e-4, {"status": "done", "waiting_s": 0.0, **used}

    def trial(
        self, spec: str, case: dict[str, Any], seed: int, with_energy: bool
    ) -> tuple[float, dict[str, Any]]:
        seconds, answer = self.visit(spec, case, seed, check=True)
        more = {"workspace_bytes": 8 * case["seq_len"]}
        if with_energy:
            more["energy_j"] = 2.5
        return 2e-2 + 3.0 * seconds - 2.0 * answer["checking_s"], answer | more

    def visit(
        self,
        spec: str,
        case: dict[str, Any],
        seed: int,
        workspace_bytes: int = 0,
        check: bool = False,
    ) -> tuple[float, dict[str, Any]]:
        machine = self._machine
        call_s = machine.call_s(case) * machine.slowed(spec, case)
        cell = f"{spec} {case}"
        told_s = call_s * (1.0 + 1e-4 * machine.readings[cell])
        machine.readings[cell] += 1
        warm_s = call_s if call_s < 1e-2 else 0.0
        answer = {"calls": 1, "cpu_time_s": told_s, "minor_faults": 0.0, "time_s": told_s}
        besides_s = machine.besides_s if check else 0.0
        took_s = max(call_s, machine.reading_s) + warm_s + 1e-4 + besides_s
        return took_s, {"status": "measured", "checking_s": besides_s, **answer}


@pytest.fixture
def machine() -> Callable[..., Machine]:
    """Make a machine: `cheap` calls of microseconds, `dear` ones of up to 0.7 s, or any law."""
    laws = {"cheap": 1e-12, "dear": 5e-9}
    return lambda law="cheap": Machine(laws.get(law, law))


@dataclass(frozen=True, kw_only=True)
class Done:
    """A sweep that has ended."""

    seconds: float
    records: tuple[Record, ...]
    told: Sequence[tuple[int, float, float]]
    schedule: Mapping[str, Any]

    @property
    def measured(self) -> list[Record]:
        return [record for record in self.records if record.status == "measured"]

    @property
    def once_a_round(self) -> bool:
        return once_a_round(self.records)

    @property
    def readings(self) -> Counter[tuple[object, ...]]:
        """How often each cell was read."""
        found: Counter[tuple[object, ...]] = Counter()
        for one in self.measured:
            found[one.implementation, one.seq_len, one.d_model] += len(one.samples_s or ())
        return found


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Done]:
    """Run a plan on a machine; checks pass and take their time."""

    def run(plan: Plan, machine: Machine, *, resume: bool = False, **options: Any) -> Done:
        def check(self: Preparations, cells: object, worker: object) -> Gate:
            machine.now += machine.check_s
            return Gate([])

        monkeypatch.setattr(sweep, "Worker", machine)
        monkeypatch.setattr(Preparations, "check", check)
        monkeypatch.setattr(sweep, "admission", lambda gate, cell: Admission(status="pass"))
        monkeypatch.setattr(environment, "git_state", lambda folder: None)
        monkeypatch.setattr(environment, "available_bytes", lambda: 2**40)
        watching, began = Watching(), machine.now
        Sweep(
            plan=plan,
            folder=tmp_path / "run",
            law_value=law_value,
            observer=watching,
            clock=machine.clock,
            **options,
        ).run(resume=resume)
        made = read_run(tmp_path / "run")
        return Done(
            seconds=machine.now - began,
            records=made.records,
            told=watching.told,
            schedule=made.info["schedule"],
        )

    return run


@pytest.fixture
def cheap(machine):
    return machine("cheap")


@pytest.fixture
def making(tmp_path, cheap):
    made = []

    def make(plan=PLAN, own=cheap, **options):
        for one in made:
            one.journal.close()  # as the end of a process does
        made.append(Making(tmp_path, own, plan, **options))
        return made[-1]

    yield make
    for one in made:
        one.journal.close()
