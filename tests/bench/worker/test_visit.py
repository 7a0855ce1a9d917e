"""The first call of a cell and the visits after it, asked in this process."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.machine import os_counters
from bench.machine.nvml import Unavailable
from bench.machine.os_counters import Usage
from bench.machine.workspace import CallProfile
from bench.timing import prepared_call
from bench.timing.cuda import Captured
from bench.worker import visit as visiting
from implementations.case import Case
from tests.bench.worker.asking import SMALL, ToldStopwatch, ask, trial, visit


def test_a_trial_is_a_visit_that_measures_the_workspace_too():
    case = Case(seq_len=61, head_dim=17)

    tried, visited = trial("matmul", case), visit("matmul", case)

    assert tried["status"] == visited["status"] == "measured"
    assert tried.pop("workspace_bytes") == pytest.approx(2 * 4 * 61**2, rel=0.01)
    assert tried.pop("attention_kernel") is None  # plain operators
    assert tried.keys() == visited.keys()
    for found in (tried, visited):
        assert found["time_s"] > 0
        assert found["calls"] >= 1
        assert found["cpu_time_s"] > 0
        assert "minor_faults" in found


MATH, FLASH = "_scaled_dot_product_attention_math", "_scaled_dot_product_flash_attention_for_cpu"


@pytest.mark.parametrize(
    ("name", "changes", "kernel"),
    [
        ("sdpa", {}, FLASH),
        ("sdpa", {"mask": "boolean"}, FLASH),
        ("sdpa", {"dtype": "float64", "pass_": "forward_backward"}, FLASH),
        ("sdpa", {"value_dim": 3}, MATH),  # torch falls back without a word
        ("sdpa", {"value_dim": 3, "pass_": "forward_backward"}, MATH),
        ("sdpa_math", {}, MATH),
        ("sdpa_flash", {}, FLASH),
    ],
)
def test_a_trial_names_the_attention_kernel_that_torch_chose(name, changes, kernel):
    assert trial(name, replace(SMALL, **changes))["attention_kernel"] == kernel


def test_a_kernel_that_gives_torch_three_dimensions_is_found_to_run_the_math_formula(write):
    path = write(
        "squeezed.py",
        """
        import torch.nn.functional as F
        def squeezed(query, key, value):
            given = (one.flatten(0, -3) for one in (query, key, value))
            return F.scaled_dot_product_attention(*given).view_as(query)
        """,
    )
    assert trial(f"{path}:squeezed")["attention_kernel"] == MATH


def test_a_workspace_that_cannot_be_seen_is_null():
    assert trial("loop")["workspace_bytes"] is None


@pytest.mark.parametrize(
    ("grown", "is_seen"),
    [((2**20, 2**30), True), ((2**30, 2**20), True), ((2**30, 2**29), False), ((None,), True)],
)
def test_a_workspace_that_torch_does_not_see_is_null_and_says_so(monkeypatch, grown, is_seen):
    told = iter(grown)  # what libraries take once for good is not there a second time
    monkeypatch.setattr(
        visiting, "ResidentGrowth", lambda: SimpleNamespace(bytes=lambda: next(told))
    )

    found = trial("matmul", Case(seq_len=61, head_dim=17))

    assert found["status"] == "measured"
    assert (found["workspace_bytes"] is not None) is is_seen
    if not is_seen:
        assert "matmul takes memory that torch does not see: " in found["workspace_reason"]
        assert "grew by 512 MiB" in found["workspace_reason"]


def test_a_cell_warms_up_at_its_first_visit_and_is_read_by_its_quickest_call_so_far(monkeypatch):
    watch = ToldStopwatch(9.0, 0.0011)  # the first compiles
    monkeypatch.setattr(visiting, "stopwatch", lambda device: watch)
    monkeypatch.setattr(os_counters, "waited_s", lambda: None)  # of a machine that is not idle

    found = [visit("matmul") for _ in range(3)]

    assert watch.readings == [1, 1, 3, 3]
    assert [(one["calls"], one["time_s"]) for one in found] == [
        (1, 0.0011),
        (3, pytest.approx(0.0011)),
        (3, pytest.approx(0.0011)),
    ]


def test_energy_is_read_where_it_is_asked_for_after_idling_before_all_work(monkeypatch):
    log: list[str] = []
    monkeypatch.setattr(visiting, "watch_idle", lambda device: log.append(f"idle {device}"))

    def energy(ready: object, device: str) -> dict[str, Any]:
        log.append(f"energy {device}")
        return {"energy_j": 3.0}

    monkeypatch.setattr(visiting, "energy", energy)

    assert trial("matmul", with_energy=True)["energy_j"] == 3.0
    assert log == ["idle cpu", "energy cpu"]
    assert "energy_j" not in trial("matmul")
    assert len(log) == 2


FAILURES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 256 MiB"),
    RuntimeError("CUDA error: misaligned address"),
    SystemExit(3),
]


@pytest.mark.parametrize("problem", FAILURES)
def test_a_reading_is_not_lost_for_an_energy_that_fails(monkeypatch, problem):
    def fail(ready: object, device: str) -> Any:
        raise problem

    monkeypatch.setattr(visiting, "energy", fail)
    monkeypatch.setattr(visiting, "watch_idle", lambda device: None)

    found = trial("matmul", with_energy=True)

    assert found["status"] == "measured"
    assert found["time_s"] > 0
    assert found["energy_reason"] == f"{type(problem).__name__}: {problem}"


ON_GPU = Case(seq_len=7, head_dim=5, device="cuda:1")


class Gpu:
    """Stands in for a GPU: a call takes 0.5 s, a replay 0.2 s at first and 0.001 s then."""

    def __init__(self) -> None:
        self.replays = ToldStopwatch(0.2, 0.001)
        self.captures = 0
        self.graph: Captured | Unavailable = Captured(
            graph=SimpleNamespace(replay=lambda: None), cuda=None, device="cuda:1"
        )

    def capture(self, call: Any, device: str) -> Captured | Unavailable:
        self.captures += 1
        return self.graph


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, borrowed_gpu: list[str]) -> Gpu:
    found = Gpu()
    monkeypatch.setattr(visiting, "stopwatch", lambda device: ToldStopwatch(0.5))
    monkeypatch.setattr(visiting, "replay_stopwatch", lambda device: found.replays)
    monkeypatch.setattr(visiting, "gpu_state", lambda device: {"clock_hz": 7.0, "of": device})
    monkeypatch.setattr(visiting, "held_limit_bytes", lambda device: 2.0**40)
    monkeypatch.setattr(prepared_call, "capture", found.capture)
    return found


def test_a_visit_on_a_gpu_reads_a_call_the_state_of_the_gpu_and_a_replay(gpu):
    first, second = visit("matmul", ON_GPU), visit("matmul", ON_GPU)

    for found in (first, second):
        assert (found["status"], found["time_s"], found["graph_time_s"]) == ("measured", 0.5, 0.001)
        assert found["gpu_state"] == {"clock_hz": 7.0, "of": "cuda:1"}
        assert "graph_reason" not in found
    assert gpu.captures == 1
    assert gpu.replays.readings == [1, 1, 3]


def test_the_processor_has_no_replays_and_no_state_of_a_gpu():
    assert not visit("matmul").keys() & {"gpu_state", "graph_time_s", "graph_reason"}


def test_a_call_that_cannot_be_captured_is_read_and_says_why_each_time(gpu):
    gpu.graph = Unavailable("cannot be captured in a graph: it waits")

    for _ in range(2):
        found = visit("matmul", ON_GPU)
        assert (found["time_s"], found["graph_reason"]) == (0.5, gpu.graph.reason)
    assert gpu.captures == 1


@pytest.mark.parametrize("problem", FAILURES)
@pytest.mark.parametrize("where", ["capture", "replay"])
def test_a_reading_is_not_lost_for_a_replay_that_fails(gpu, monkeypatch, where, problem):
    def fail(*_: object) -> Any:
        raise problem

    if where == "capture":
        monkeypatch.setattr(prepared_call, "capture", fail)
    else:
        gpu.replays.measure = fail

    found = visit("matmul", ON_GPU)

    assert (found["status"], found["time_s"]) == ("measured", 0.5)
    assert found["graph_reason"] == f"{type(problem).__name__}: {problem}"


def test_a_graph_holds_the_workspace_that_a_trial_found_or_that_is_told(gpu, monkeypatch):
    held: list[int] = []

    def captured(cells: object, cell: object, case: Case, workspace_bytes: int) -> None:
        held.append(workspace_bytes)

    def profiled(call: Any, device: str) -> CallProfile:
        return CallProfile(workspace_bytes=len(call()) * 13, attention_kernel=None)

    monkeypatch.setattr(visiting, "profile_call", profiled)
    monkeypatch.setattr(visiting.ReadyCells, "captured", captured)

    trial("matmul", ON_GPU)
    visit("matmul", ON_GPU, workspace_bytes=17)

    assert held == [13, 17]


def test_before_it_rests_a_process_gives_unused_memory_of_its_gpu_back(monkeypatch):
    log: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append(f"wait {device}"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: log.append("empty"))

    assert ask("rest", device="cuda:1") == {"status": "done"}
    assert log == ["wait cuda:1", "empty"]


def test_what_the_system_has_counted_is_told_as_usage():
    found = ask("usage")

    assert found.pop("status") == "done"
    assert Usage(**found).since(Usage(**found)).wall_s == 0.0
