"""Small sweeps in this process, for the tests of what a sweep does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHECKED = ("plain", "more_keys", "causal", "boolean_mask")


class Silent:
    """An observer that remembers; Ctrl-C comes after `interrupt_after` visits."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.phases: list[str] = []
        self.seen: list[Any] = []
        self.left_s: list[float] = []
        self.started: tuple[int, int | None] | None = None
        self._interrupt_after = interrupt_after

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def visits(self, done: int, total: int | None, left_s: float) -> None:
        self.started = (done, total)

    def visit(self, cell: str, record: Any, left_s: float) -> None:
        self.seen.append(record)
        self.left_s.append(left_s)
        if len(self.seen) == self._interrupt_after:
            raise KeyboardInterrupt


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """Makes plans of tiny cells and runs them, with workers in this process.

    `cells` is how many cells the plan of `series` has. Nothing is measured again for noise and no
    resident set is read, unless a test asks for it.
    """

    workers: Any
    series: Any
    cells: int = 2 * 3 * 2
    checked: Sequence[str] = field(default=CHECKED)

    def plan(self, *series: Any, **changes: Any) -> Any:
        from bench.cases import Plan

        quick = {
            "rounds": 3,
            "visit_s": 1e-4,
            "min_samples": 2,
            "precision": 0.5,
            "threads": 1,
            "retakes": 0,
            "resident": False,
        }
        return Plan(series=series or (self.series,), **{**quick, **changes})

    def run(
        self, plan: Any, folder: Path, observer: Silent | None = None, *, resume: bool = False
    ) -> Silent:
        from bench.sweep.sweep import Sweep

        shown = observer or Silent()
        Sweep(plan=plan, folder=folder, law_value=law_value, observer=shown, preset="tiny").run(
            resume=resume
        )
        return shown

    def observer(self, interrupt_after: int | None = None) -> Silent:
        return Silent(interrupt_after)

    def visits(self, records: Sequence[Any]) -> Counter[tuple[Any, ...]]:
        """How often each cell was visited in each round."""
        return Counter(
            (r.implementation, r.seq_len, r.d_model, r.is_causal, r.pass_, r.round) for r in records
        )

    def statuses(self, records: Sequence[Any]) -> dict[tuple[str, int], set[str]]:
        found: dict[tuple[str, int], set[str]] = {}
        for record in records:
            found.setdefault((record.implementation, record.seq_len), set()).add(record.status)
        return found


def law_value(law: str, case: Any) -> float:
    return float(case.seq_len**2 * case.d_model)


@pytest.fixture
def sweeps(direct_workers: Any, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    """Workers in this process, and a gate of four situations: these tests are not about it."""
    from bench import gate
    from bench.cases import Series
    from bench.situations import check_cases

    def few(*dtypes: Any, **options: Any) -> list[Any]:
        return [one for one in check_cases(*dtypes, **options) if one.name in CHECKED]

    monkeypatch.setattr(gate, "check_cases", few)
    series = Series(
        implementations=("matmul", "sdpa"), seq_lens=(5, 7, 11), d_models=(22, 33), head_dim=11
    )
    return Sweeps(workers=direct_workers, series=series)


class Clock:
    """A clock that moves when it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_measurement(
    samples: list[float], *, with_workspace: bool = False, **changes: Any
) -> dict[str, Any]:
    """A worker's answer to `measure`, of an undisturbed second."""
    counters = {"cpu_time_s": 1.0, "minor_faults": 0, "involuntary_switches": 0}
    return {
        "status": "measured",
        "samples_s": samples,
        "calls_per_sample": 3,
        "time_s": sorted(samples)[len(samples) // 2],
        "cpu_time_s": 1.0,
        "minor_faults": 0.0,
        "usage": {"wall_s": 1.0, **counters},
        "undisturbed_s": samples,
        "is_parallel": False,
        "beyond_cache": False,
        "canaries": [[1e-3]] * (len(samples) + 1),
        "workspace_bytes": 800 if with_workspace else None,
        **changes,
    }


class ToldWorker:
    """Gives the samples, answers and failures that it was told to; each takes `attempt_s`."""

    def __init__(self, clock: Clock) -> None:
        self.answers: list[Any] = []
        self.asked: list[Mapping[str, Any]] = []
        self.limits: list[float] = []
        self.started = 1
        self.stopped = 0
        self.attempt_s = 0.1
        self._clock = clock

    def ask(self, operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        assert operation == "measure"
        self.asked.append(request)
        self.limits.append(limit_s)
        self._clock.now += self.attempt_s
        answer = self.answers.pop(0) if self.answers else [1.0] * 4
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):
            return answer
        return a_measurement(answer, with_workspace=request["with_workspace"])

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(clock: Clock) -> ToldWorker:
    return ToldWorker(clock)


@pytest.fixture
def measured() -> Callable[..., dict[str, Any]]:
    return a_measurement


@pytest.fixture
def make_visits(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Any]]:
    """Visits of a plan, into a new journal or into that of the visits before."""
    from bench.cells import cells_of
    from bench.gate import Admission
    from bench.records import RECORDS_FILE, read_records
    from bench.sweep.forecast import Forecast
    from bench.sweep.journal import Journal
    from bench.sweep.turns import Visits

    journals = []

    def make(plan: Any, *, resumed: bool = False) -> Visits:
        for journal in journals:
            journal.close()
        earlier = list(read_records(tmp_path / RECORDS_FILE)) if resumed else []
        journals.append(Journal(tmp_path))
        cells = cells_of(plan)
        passed = Admission(status="pass", max_error=0.0, allowed_error=1.0)
        found = Visits(
            plan=plan,
            cells=cells,
            threads=3,
            journal=journals[-1],
            forecast=Forecast(law_value),
            admissions={cell.key: passed for cell in cells},
            available_bytes=lambda case: 2.0**40,
            clock=clock,
        )
        for record in earlier:
            found.learn(record)
        return found

    yield make
    for journal in journals:
        journal.close()


@pytest.fixture
def visit() -> Callable[..., Any]:
    """Make one visit, in a round of its own; its record."""

    def one(visits: Any, worker: ToldWorker, cell: Any = None, **options: Any) -> Any:
        seen: list[Any] = []
        visits.run_round(
            visits.newest_round + 1,
            [cell or visits.cells[0]],
            worker,
            on_visit=lambda name, record: seen.append(record),
            **options,
        )
        (record,) = seen
        return record

    return one


@pytest.fixture
def borrowed_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lends the processor's memory to who asks for that of a GPU; the devices asked for."""
    import torch
    from torch.overrides import TorchFunctionMode

    asked: list[str] = []

    def lent(device: object) -> str:
        asked.append(str(device))
        return "cpu"

    class Lending(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = dict(kwargs or {})
            if str(kwargs.get("device", "cpu")).startswith("cuda"):
                kwargs["device"] = lent(kwargs["device"])
            return func(*args, **kwargs)

    generator = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device: generator(lent(device)))
    with Lending():
        yield asked
