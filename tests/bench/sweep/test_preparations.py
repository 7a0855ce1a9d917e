"""What a sweep asks of a measuring process before its turns, answered by a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.checks.gate import Gate
from bench.machine import environment
from bench.plan.cells import cells_of
from bench.plan.plan import Plan, PlanError, Series
from bench.process.supervisor import WorkerLost
from bench.records import RunError
from bench.sweep.preparations import (
    CEILING_LIMIT_S,
    COUNTING_LIMIT_S,
    SHORTEST_WAIT_S,
    Preparations,
    admission,
    available_bytes,
    implementation_info,
)
from implementations.case import Case

SERIES = Series(
    implementations=("matmul", "sdpa"), seq_lens=(5, 7, 11), d_models=(13,), head_dim=13
)
PLAN = Plan(series=(SERIES,))
CELLS = cells_of(PLAN)
INFO = {"machine": {"cpu": "C"}, "versions": {"torch": "T"}}
DESCRIBED = {
    "status": "done",
    "gpu": None,
    "gpu_free_bytes": None,
    "gpu_caches_bytes": {"L2": 7},
    "threads": 3,
    "large_block_faults": 0.0,
    "harness": {"loop_cost_s": 1e-8},
    "instruments": {"energy_j": "no meter"},
}


class Answering:
    """A worker that answers by a function of operation and request, which may raise."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        self._answer = answer
        self.limits: list[float] = []

    def ask(self, operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        self.limits.append(limit_s)
        return self._answer(operation, request)


class Phases(list[str]):
    def phase(self, text: str) -> None:
        self.append(text)

    def counting(self, what: str, done: int, total: int) -> None: ...

    def measuring(self, number: int, spent_s: float, at_most_s: float) -> None: ...


@pytest.fixture
def ground(tmp_path: Path) -> Preparations:
    return Preparations(plan=PLAN, folder=tmp_path, observer=Phases())


def lost(status: str = "timeout") -> Any:
    def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        raise WorkerLost(status, "gone")

    return Answering(answer)


def saying(**answer: Any) -> Answering:
    return Answering(lambda operation, request: {"status": "done", **answer})


def test_run_json_gets_what_only_the_measuring_process_knows(ground):
    info = ground.describe(INFO, saying(**DESCRIBED))

    told = {"gpu": None, "gpu_free_bytes": None, "gpu_caches_bytes": {"L2": 7}}
    assert info["machine"] == {"cpu": "C", **told}
    assert (info["threads"], info["harness"]) == (3, {"loop_cost_s": 1e-8})
    assert info["instruments"] == {"energy_j": "no meter"}
    assert info["caveats"] == []


def test_an_allocator_that_could_not_be_pinned_is_a_caveat(ground):
    faulty = {**DESCRIBED, "large_block_faults": 16384.0}

    assert len(ground.describe(INFO, saying(**faulty))["caveats"]) == 1
    unpinned = replace(ground, plan=replace(PLAN, allocator="default"))
    assert unpinned.describe(INFO, saying(**faulty))["caveats"] == []


def test_a_process_that_cannot_look_at_the_machine_is_one_line(ground):
    full = Answering(lambda *_: {"status": "out_of_memory", "reason": "the GPU is full"})

    with pytest.raises(RunError, match="cannot look at the machine: the GPU is full"):
        ground.describe(INFO, full)


def test_a_process_that_does_not_start_is_one_line(ground):
    with pytest.raises(RunError, match="the measuring process did not start: gone"):
        ground.describe(INFO, lost("crashed"))


def test_counts_belong_to_the_cells_they_were_asked_for(ground):
    def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        counts = [{"operator_launches": case["seq_len"]} for case in request["cases"]]
        return {"status": "done", "counts": counts}

    found = ground.count(CELLS, Answering(answer))

    assert found == {cell.key: {"operator_launches": cell.case.seq_len} for cell in CELLS}


def test_what_cannot_be_counted_leaves_the_others_counted(ground):
    def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if request["spec"] == "matmul":
            raise WorkerLost("timeout", "gone")
        return {"status": "done", "counts": [{} for _ in request["cases"]]}

    found = ground.count(CELLS, Answering(answer))

    assert {name for name, _ in found} == {"sdpa"}
    assert ground.count(CELLS, saying(status="crashed", reason="no")) == {}


def test_ceilings_are_the_best_of_all_processes_rates_high_and_costs_low(ground):
    earlier = {
        "cpu/float32": {"matmul_flops_per_s": 5.0, "copy_bytes_per_s": 5.0, "launch_s": 5.0},
        "cpu/float64": {"matmul_flops_per_s": 7.0},
    }
    now = {"matmul_flops_per_s": 9.0, "copy_bytes_per_s": 1.0, "launch_s": 2.0, "fault_s": None}

    found = ground.ceilings(CELLS, saying(**now), {"ceilings": earlier})

    assert found == {
        "cpu/float32": {"matmul_flops_per_s": 9.0, "copy_bytes_per_s": 5.0, "launch_s": 2.0},
        "cpu/float64": {"matmul_flops_per_s": 7.0},
    }
    assert earlier["cpu/float32"]["launch_s"] == 5.0


def test_ceilings_that_cannot_be_measured_keep_what_was_known(ground):
    info = {"ceilings": {"cpu/float32": {"matmul_flops_per_s": 5.0}}}

    assert ground.ceilings(CELLS, lost(), info) == info["ceilings"]
    assert ground.ceilings(CELLS, saying(status="crashed"), info) == info["ceilings"]


def test_nothing_is_waited_for_longer_than_the_sweep_has_time_for(ground):
    lasting = saying(counts=[{} for _ in CELLS[:3]])
    limits = []
    for left_s in (1e6, 70.0, -3.0):
        lasting.limits.clear()
        own = replace(ground, time_left_s=lambda left_s=left_s: left_s)
        own.count(CELLS, lasting)
        own.ceilings(CELLS, lasting, {})
        limits.append([round(one, 6) for one in lasting.limits])

    long, short, none = limits
    assert long == [COUNTING_LIMIT_S, COUNTING_LIMIT_S, CEILING_LIMIT_S]
    assert short == [7.0, 7.0, 70.0]
    assert none == [SHORTEST_WAIT_S] * 3


def test_the_memory_of_a_case_is_that_of_its_device(monkeypatch):
    monkeypatch.setattr(environment, "available_bytes", lambda: 5)
    info = {"machine": {"gpu_free_bytes": 7}}

    assert available_bytes(Case(seq_len=3), info) == 5
    assert available_bytes(Case(seq_len=3, device="cuda:1"), info) == 7


def test_cells_that_an_implementation_declines_are_not_asked_of_the_gate():
    (cell,) = (one for one in CELLS if one.key == CELLS[0].key)
    declined = replace(cell, implementation=replace(cell.implementation, dtypes=("float64",)))

    found = admission(Gate([]), declined)

    assert (found.status, found.reason) == ("unsupported", "matmul does not take float32")


def test_every_implementation_has_a_source_to_compare(write):
    path = write("hashed_kernel.py", "def mine(query, key, value): return value")
    series = replace(SERIES, implementations=("matmul", "mine"))

    found = implementation_info(cells_of(Plan(series=(series,), specs=(f"{path}:mine",))))

    assert list(found) == ["matmul", "mine"]
    assert len(found["mine"]["source_sha256"]) == 64


def test_cuda_where_the_process_sees_none_is_refused(tmp_path):
    plan = replace(PLAN, series=(replace(SERIES, device="cuda"),))
    ground = Preparations(plan=plan, folder=tmp_path, observer=Phases())

    with pytest.raises(PlanError, match="torch sees no CUDA device here"):
        ground.describe(INFO, saying(**DESCRIBED))


LAW = {"text": "8·n²", "terms": [{"coefficient": 8, "powers": {"n": 2}}], "valid": {"text": "all"}}


def laws(answer: Callable[[str], dict[str, Any]]) -> Answering:
    return Answering(lambda operation, request: answer(request["spec"]))


def test_a_workspace_law_stands_with_the_conditions_it_was_counted_under(ground):
    asked: list[tuple[str, dict[str, Any]]] = []

    def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        asked.append((operation, request))
        return {"status": "done", "law": LAW}

    found = ground.workspace_laws(CELLS, Answering(answer))

    conditions = {"pass": "forward", "device": "cpu", "dtype": "float32"}
    conditions |= {"is_causal": False, "mask": "none", "window": None}
    assert found == [{"implementation": name, **conditions, **LAW} for name in ("matmul", "sdpa")]
    assert [operation for operation, _ in asked] == ["workspace_law"] * 2  # once, not once a cell


def test_every_condition_is_asked_for_its_own_law(ground):
    causal = replace(SERIES, is_causal=True)
    cells = cells_of(Plan(series=(SERIES, causal)))

    found = ground.workspace_laws(cells, saying(law=LAW))

    assert [(one["implementation"], one["is_causal"]) for one in found] == [
        (name, is_causal) for name in ("matmul", "sdpa") for is_causal in (False, True)
    ]


def test_a_lost_worker_or_no_polynomial_loses_that_law_only(ground):
    def gone(spec: str) -> dict[str, Any]:
        if spec == "matmul":
            raise WorkerLost("timeout", "gone")
        return {"status": "done", "law": LAW}

    def none(spec: str) -> dict[str, Any]:
        return {"status": "done", "law": None if spec == "matmul" else LAW}

    def failed(spec: str) -> dict[str, Any]:
        return {"status": "crashed", "reason": "no"} if spec == "matmul" else gone(spec)

    for answer in (gone, none, failed):
        found = ground.workspace_laws(CELLS, laws(answer))
        assert [one["implementation"] for one in found] == ["sdpa"]


def test_a_workspace_law_may_take_its_share_of_the_time_that_is_left(ground):
    hurried, patient = saying(law=None), saying(law=None)

    assert replace(ground, time_left_s=lambda: 30.0).workspace_laws(CELLS, hurried) == []
    ground.workspace_laws(CELLS, patient)

    assert hurried.limits == [pytest.approx(3.0)] * 2
    assert patient.limits == [COUNTING_LIMIT_S] * 2
