"""What a worker answers, asked in this process."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch

from bench import operations
from bench.counters import Usage
from bench.operations import OPERATIONS
from bench.results import CheckResult
from bench.situations import agreement_cases, check_cases
from bench.supervisor import Worker
from bench.verify import verify_case
from bench.worker import MOST_PRINTED, _answer
from implementations.case import Case
from implementations.catalogue import load

CASES = {one.name: one for one in check_cases(["float32"])}
BUDGET = {"visit_s": 1e-4, "min_samples": 3, "precision": 0.5}


@pytest.fixture(autouse=True)
def small_operands(direct_workers):
    """The canary and the ceilings at sizes that cost nothing."""


def measured(spec: str, case: Case, with_workspace: bool = True):
    request = {"spec": spec, "case": asdict(case), "seed": 0}
    return _answer(
        OPERATIONS["measure"], {**request, "budget": BUDGET, "with_workspace": with_workspace}
    )


def raising(write, problem: str) -> str:
    path = write(
        "raising.py", f"import torch\ndef raising(query, key, value):\n    raise {problem}\n"
    )
    return f"{path}:raising"


def test_a_measurement_has_all_that_a_record_needs():
    found = measured("matmul", Case(seq_len=64, head_dim=16))

    assert found["status"] == "measured"
    assert len(found["samples_s"]) >= 3
    assert min(found["samples_s"]) <= found["time_s"] <= max(found["samples_s"])
    assert found["workspace_bytes"] == pytest.approx(2 * 4 * 64**2, rel=0.01)
    assert all(seconds > 0 for canary in found["canaries"] for seconds in canary)
    assert len(found["canaries"]) == len(found["samples_s"]) + 1
    assert set(found["undisturbed_s"]) <= set(found["samples_s"])
    assert found["calls_per_sample"] >= 1
    assert Usage(**found["usage"]).wall_s > 0
    json.dumps(found, allow_nan=False)


def test_a_workspace_that_outgrows_the_core_s_own_cache_has_a_canary_of_memory(monkeypatch):
    monkeypatch.setattr(operations, "own_cache_bytes", lambda: 3 * 4 * 64**2)
    case, larger = Case(seq_len=64, head_dim=16), Case(seq_len=128, head_dim=16)

    found = [measured("matmul", one) for one in (case, larger)]
    unseen = measured("matmul", larger, with_workspace=False)

    assert [one["beyond_cache"] for one in (*found, unseen)] == [False, True, False]
    assert [len(one["canaries"][0]) for one in (*found, unseen)] == [1, 2, 1]


def test_workspace_is_measured_only_where_it_is_asked_for_and_can_be_seen():
    case = Case(seq_len=8, head_dim=4)

    assert measured("matmul", case, with_workspace=False)["workspace_bytes"] is None
    assert measured("loop", case)["workspace_bytes"] is None


def test_a_pilot_gives_seconds_and_workspace():
    request = {"spec": "matmul", "case": asdict(Case(seq_len=64, head_dim=16)), "seed": 0}

    found = _answer(OPERATIONS["pilot"], request)

    assert found["status"] == "measured"
    assert found["time_s"] > 0
    assert found["workspace_bytes"] == pytest.approx(2 * 4 * 64**2, rel=0.01)


def test_a_ceiling_is_a_rate_of_operations_and_of_bytes():
    found = _answer(OPERATIONS["ceiling"], {"device": "cpu", "dtype": "float32"})

    assert found["status"] == "done"
    assert found["matmul_flops_per_s"] > 0
    assert found["copy_bytes_per_s"] > 0
    json.dumps(found, allow_nan=False)


def test_a_worker_describes_the_harness_that_it_measures_with():
    found = ask("describe")

    assert found["harness"]["clock_resolution_s"] > 0
    assert found["harness"]["loop_cost_s"] >= 0
    assert found["threads"] == torch.get_num_threads()


def test_a_gpu_whose_memory_others_hold_does_not_keep_a_worker_from_describing(monkeypatch):
    def full() -> dict[str, float]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(operations, "gpu_harness_costs", full)

    assert operations._gpu_costs() == {"gpu_empty_call_s": None, "gpu_empty_replay_s": None}


@pytest.mark.parametrize(
    "problem",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_a_gpu_that_cannot_be_used_keeps_nobody_from_measuring_on_the_processor(
    monkeypatch, problem
):
    def fail(*_: object, **__: object) -> Any:
        raise problem

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_device_name", "mem_get_info", "get_device_properties"):
        monkeypatch.setattr(torch.cuda, name, fail)
    monkeypatch.setattr(operations, "gpu_harness_costs", fail)

    found = ask("describe")

    assert found["status"] == "done"
    assert (found["gpu"], found["gpu_free_bytes"], found["gpu_caches_bytes"]) == (None, None, None)
    assert found["harness"]["gpu_empty_call_s"] is None


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 256 MiB"),
        RuntimeError("CUDA error: misaligned address"),
        SystemExit(3),
    ],
)
def test_samples_are_not_lost_for_a_replay_or_an_energy_that_fails(monkeypatch, problem):
    def fail(ready: object, device: str) -> Any:
        raise problem

    monkeypatch.setattr(operations, "replayed", fail)
    monkeypatch.setattr(operations, "energy", fail)
    monkeypatch.setattr(operations, "watch_idle", lambda device: None)
    request = {"spec": "matmul", "case": asdict(Case(seq_len=8, head_dim=4)), "seed": 0}

    found = ask("measure", **request, budget=BUDGET, with_workspace=True, with_energy=True)

    assert found["status"] == "measured"
    assert found["time_s"] > 0
    assert found["graph_reason"] == found["energy_reason"] == f"{type(problem).__name__}: {problem}"


@pytest.mark.parametrize(
    "problem", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"]
)
def test_a_gpu_s_own_words_for_want_of_memory_are_known(write, problem):
    path = raising(write, f"RuntimeError({problem!r})")
    case = Case(seq_len=8, head_dim=4)

    assert measured(path, case)["status"] == "out_of_memory"


@pytest.mark.parametrize(
    ("problem", "status", "reason"),
    [
        ("MemoryError('no more')", "out_of_memory", "no more"),
        ("torch.OutOfMemoryError('CUDA out of memory')", "out_of_memory", "CUDA out of memory"),
        (
            'RuntimeError("DefaultCPUAllocator: can\'t allocate memory: tried 9 bytes")',
            "out_of_memory",
            "DefaultCPUAllocator: can't allocate memory: tried 9 bytes",
        ),
        ("ValueError('first\\nsecond')", "crashed", "ValueError: first"),
    ],
)
def test_what_a_kernel_raises_becomes_a_status_and_one_line(write, problem, status, reason):
    found = measured(raising(write, problem), Case(seq_len=8, head_dim=4))

    assert found == {"status": status, "reason": reason}


def test_what_a_kernel_declines_is_unsupported():
    found = measured("sdpa_flash", Case(seq_len=8, head_dim=4, value_dim=5))

    assert found["status"] == "unsupported"
    assert "FLASH_ATTENTION cannot run this" in found["reason"]


def test_an_allocation_beyond_all_memory_is_out_of_memory():
    found = measured("matmul", Case(seq_len=2**30, head_dim=2**16))

    assert found["status"] == "out_of_memory"


def ask(operation: str, **request: Any) -> dict[str, Any]:
    sent = json.loads(json.dumps(request))
    return json.loads(json.dumps(_answer(OPERATIONS[operation], sent), allow_nan=False))


def results(answer: dict[str, Any]) -> list[CheckResult]:
    assert answer["status"] == "done", answer
    return [CheckResult.from_plain(row) for row in answer["results"]]


def test_a_check_answers_with_the_results_of_one_case():
    case = CASES["masked_rows_float"]

    found = results(ask("check", spec="matmul", case=asdict(case), seed=3))

    assert found == verify_case(load("matmul"), case, seed=3)
    assert len(found) > 1


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


COUNTING = """
    import torch
    from implementations.attention.matmul import matmul
    seen = []
    def counting(query, key, value):
        seen.append(torch.get_num_threads())
        assert query.shape[-2] != 1, "not for one query"
        return matmul(query, key, value)
"""


@pytest.mark.parametrize(("case", "status"), [("more_keys", "pass"), ("single_query", "error")])
def test_a_check_runs_on_one_thread_and_leaves_as_many_as_there_were(
    write, three_threads, case, status
):
    spec = f"{write(f'counting_{case}.py', COUNTING)}:counting"

    found = results(ask("check", spec=spec, case=asdict(CASES[case]), seed=0))

    assert {one.status for one in found} == {status}
    assert set(sys.modules[f"attnscale_user_counting_{case}"].seen) == {1}
    assert torch.get_num_threads() == 3


def test_threads_are_put_back_even_where_the_kernel_cannot_be_loaded(three_threads):
    found = ask("check", spec="nosuch.py:f", case=asdict(CASES["plain"]), seed=0)

    assert found["status"] == "crashed"
    assert "there is no file nosuch.py" in found["reason"]
    assert torch.get_num_threads() == 3


def test_comparing_answers_for_each_implementation_and_every_ordered_pair():
    (case, _) = agreement_cases(["float32"])

    found = results(
        ask("compare", specs=["matmul", "sdpa", "query_chunked"], case=asdict(case), seed=0)
    )

    assert [one.check for one in found].count("output") == 3
    assert len(found) == 3 + 3 * 2
    assert {(one.implementation, one.check) for one in found} >= {
        ("matmul", "output"),
        ("matmul", "agrees_with_sdpa"),
        ("query_chunked", "agrees_with_matmul"),
    }
    assert {one.status for one in found} == {"pass"}


def test_reducing_answers_with_a_failure_in_a_smaller_case(write):
    path = write("zeros.py", "def zeros(query, key, value): return 0 * query @ key.mT @ value")
    case = CASES["many_features"]
    request = {"spec": f"{path}:zeros", "case": asdict(case), "seed": 0}

    found = ask("reduce", **request, check="output")

    assert found["status"] == "done"
    reduced = CheckResult.from_plain(found["result"])
    assert (reduced.check, reduced.status) == ("output", "fail")
    assert reduced.case.size < case.size


def test_reducing_what_does_not_fail_answers_with_nothing():
    found = ask("reduce", spec="matmul", case=asdict(CASES["plain"]), check="output", seed=0)

    assert found == {"status": "done", "result": None}


def test_loading_answers_with_the_name(write):
    path = write("loaded.py", "def mine(query, key, value): return value")

    assert ask("load", spec="matmul") == {"status": "done", "name": "matmul"}
    assert ask("load", spec=f"{path}:mine") == {"status": "done", "name": "mine"}
    assert ask("load", spec=f"other={path}:mine")["name"] == "other"
    assert ask("load", spec=f"{path}:yours")["status"] == "crashed"


SAYING = """
    import os
    from implementations.attention.matmul import matmul

    print("while it is imported")
    calls = []

    def once(text):
        if not calls:
            print(text, end="")
        calls.append(text)

    def talking(query, key, value):
        once("first\\nline two")
        return matmul(query, key, value)

    def endless(query, key, value):
        print("x" * 1000)
        return matmul(query, key, value)

    def raw(query, key, value):
        os.write(1, b'{"status": "done"}' + bytes([10, 255]))
        raise ValueError("no more")
"""


@pytest.fixture(scope="module")
def real() -> Iterator[Worker]:
    with Worker(threads=1) as worker:
        yield worker


def test_what_is_printed_comes_with_the_answer_and_only_once(real, write):
    path = write("saying.py", SAYING)

    def check(name: str) -> dict[str, Any]:
        case = asdict(CASES["plain"])
        spec = name if name == "matmul" else f"{path}:{name}"
        return real.ask("check", limit_s=60.0, spec=spec, case=case, seed=0)

    first, again, silent = check("talking"), check("talking"), check("matmul")
    assert first["printed"] == "first\nline two"
    assert "printed" not in again
    assert "printed" not in silent

    assert check("endless")["printed"] == "x" * MOST_PRINTED

    raw = check("raw")
    assert raw["printed"].startswith('{"status": "done"}\n\N{REPLACEMENT CHARACTER}')
    assert raw["results"][0]["reason"] == "raised ValueError: no more"
    assert "printed" not in check("matmul")
    assert real.started == 1
