"""A simulated machine: its clock moves only by what requests take, so that hours pass at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import environment, sweep
from bench.cases import Plan, Series
from bench.gate import Admission, Gate
from bench.records import Record, read_run
from bench.sweep.preparations import Groundwork
from bench.sweep.sweep import Sweep
from implementations.case import Case

GRID = Series(
    implementations=("matmul", "sdpa"), seq_lens=(64, 256, 1024), d_models=(64, 128), head_dim=64
)
START_S, COUNT_S, CEILING_S, RESIDENT_S = 3.0, 0.2, 1.0, 1.0


class Machine:
    """A clock that each request advances by what it would take.

    A call takes 5 µs + law·n²·d, and is scattered by the given factors in turn.
    """

    def __init__(self, law: float, check_s: float = 1.0) -> None:
        self.now = 1000.0
        self.law = law
        self.check_s = check_s
        self.scatter: dict[str, Sequence[float]] = {}
        self.visits: Counter[str] = Counter()
        self.disturbed: Callable[[float], bool] = lambda now: False
        """Whether no sample of a visit that begins at a time is at the usual pace."""
        self.interrupted_at = math.inf

    def __call__(self, *, threads: int, allocator: str = "pinned") -> MachineWorker:
        return MachineWorker(self)

    def clock(self) -> float:
        return self.now

    def call_s(self, spec: str, case: dict[str, Any]) -> float:
        """Seconds of a call; where there is scatter, of the worker's next visit."""
        seconds = 5e-6 + self.law * case["seq_len"] ** 2 * case["num_heads"] * case["head_dim"]
        factors = self.scatter.get(spec, (1.0,))
        return seconds * factors[self.visits[spec] % len(factors)]


class MachineWorker:
    def __init__(self, machine: Machine) -> None:
        self.started = 0
        self._machine = machine

    def __enter__(self) -> MachineWorker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        self.started = 0

    def ask(self, operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        if not self.started:
            self.started, self._machine.now = 1, self._machine.now + START_S
        seconds, answer = getattr(self, operation)(**request)
        self._machine.now += seconds
        return answer

    def describe(self) -> tuple[float, dict[str, Any]]:
        known = dict.fromkeys(("gpu", "gpu_free_bytes", "gpu_caches_bytes", "large_block_faults"))
        return 0.3, {"status": "done", "threads": 1, "harness": {}, "instruments": {}, **known}

    def load(self, spec: str) -> tuple[float, dict[str, Any]]:
        return 0.0, {"status": "done", "name": spec}

    def count(self, spec: str, cases: Sequence[Any]) -> tuple[float, dict[str, Any]]:
        return COUNT_S, {"status": "done", "counts": [{} for _ in cases]}

    def ceiling(self, **_: Any) -> tuple[float, dict[str, Any]]:
        return CEILING_S, {"status": "done", "matmul_flops_per_s": 1e11}

    def resident(self, **_: Any) -> tuple[float, dict[str, Any]]:
        return RESIDENT_S, {"status": "done", "rise_bytes": 4096}

    def pilot(self, spec: str, case: dict[str, Any], seed: int) -> tuple[float, dict[str, Any]]:
        call_s = self._machine.call_s(spec, case)
        answer = {"status": "measured", "time_s": call_s, "workspace_bytes": 8 * case["seq_len"]}
        return 0.02 + 3 * call_s, answer

    def measure(
        self,
        spec: str,
        case: dict[str, Any],
        budget: dict[str, Any],
        with_workspace: bool,
        **_: Any,
    ) -> tuple[float, dict[str, Any]]:
        machine = self._machine
        if machine.now >= machine.interrupted_at:
            machine.interrupted_at = math.inf
            raise KeyboardInterrupt
        call_s = machine.call_s(spec, case)
        machine.visits[spec] += 1
        reading_s, samples = max(call_s, 1e-3), 0
        while samples < budget["min_samples"] or (
            samples < 6 and samples * reading_s < budget["visit_s"]
        ):
            samples += 1
        timed_s = samples * reading_s
        counters = {"minor_faults": 0, "involuntary_switches": 0}
        answer = {
            "status": "measured",
            "samples_s": [call_s] * samples,
            "calls_per_sample": 1,
            "time_s": call_s,
            "cpu_time_s": call_s,
            "minor_faults": 0.0,
            "usage": {"wall_s": timed_s, "cpu_time_s": timed_s, **counters},
            "undisturbed_s": [] if machine.disturbed(machine.now) else [call_s] * samples,
            "is_parallel": False,
            "beyond_cache": False,
            "canaries": [[1e-3]] * (samples + 1),
            "workspace_bytes": 8 * case["seq_len"] if with_workspace else None,
        }
        return 0.025 + 3 * call_s + timed_s, answer


class Watching:
    """An observer that notes when it was told what is left."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.told: list[tuple[float, float]] = []

    def phase(self, text: str) -> None:
        pass

    def visits(self, done: int, total: int | None, left_s: float) -> None:
        self.told.append((self.machine.now, left_s))

    def visit(self, cell: str, record: Record, left_s: float) -> None:
        self.told.append((self.machine.now, left_s))


@dataclass(frozen=True, kw_only=True)
class Done:
    """A sweep that has ended."""

    seconds: float
    records: tuple[Record, ...]
    told: Sequence[tuple[float, float]]
    ended_at: float
    ended: str | None

    @property
    def measured(self) -> list[Record]:
        return [record for record in self.records if record.status == "measured"]

    @property
    def workers(self) -> set[int | None]:
        return {record.worker for record in self.measured}

    def visits_of(self, implementation: str) -> int:
        return sum(record.implementation == implementation for record in self.measured)


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run a plan on a machine; checks pass and take their time."""

    def run(
        plan: Plan, machine: Machine, *, resume: bool = False, head_start_s: float = 0.0
    ) -> Done:
        def check(self: Groundwork, cells: object, worker: object) -> Gate:
            machine.now += machine.check_s
            return Gate([])

        monkeypatch.setattr(sweep, "Worker", machine)
        monkeypatch.setattr(Groundwork, "check", check)
        monkeypatch.setattr(sweep, "admission", lambda gate, cell: Admission(status="pass"))
        monkeypatch.setattr(environment, "git_state", lambda folder: None)
        monkeypatch.setattr(environment, "available_bytes", lambda: 2**40)
        watching = Watching(machine)
        began = machine.now
        Sweep(
            plan=plan,
            folder=tmp_path / "run",
            law_value=law_value,
            observer=watching,
            clock=machine.clock,
            head_start_s=head_start_s,
        ).run(resume=resume)
        made = read_run(tmp_path / "run")
        return Done(
            seconds=machine.now - began,
            records=made.records,
            told=watching.told,
            ended_at=machine.now,
            ended=(made.info.get("schedule") or {}).get("ended"),
        )

    return run


def law_value(law: str, case: Case) -> float:
    return float(case.seq_len**2 * case.d_model)


@pytest.fixture
def machine():
    """Make a machine: `cheap` visits of 30 to 50 ms, `dear` ones of up to 4 s, or any law."""
    laws = {"cheap": 1e-12, "dear": 5e-9}
    return lambda law, **options: Machine(laws.get(law, law), **options)


@pytest.fixture
def plan():
    """Make a plan over twelve cells."""
    fixed = {"series": (GRID,), "call_limit_s": 10.0, "visit_s": 0.04, "threads": 1}
    return lambda **changes: Plan(**{**fixed, **changes})
