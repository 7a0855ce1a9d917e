"""What a worker answers, asked in this process."""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch

from bench.checks.results import CheckResult
from bench.checks.run_situation import verify_case
from bench.checks.situations import agreement_cases, check_cases
from bench.process.described import Described, from_description, source_sha256
from bench.process.global_state import state_at_start
from bench.process.measuring_process import MOST_PRINTED_BYTES
from bench.timing.stopwatch import CpuStopwatch
from bench.worker import operations
from bench.worker.__main__ import _answer
from implementations.case import Case
from implementations.catalogue import load
from tests.bench.worker.asking import SMALL, ask, trial

CASES = {one.name: one for one in check_cases(["float32"])}


def test_ceilings_are_measured_with_the_stopwatch_of_the_device(monkeypatch):
    def measure(dtype: str, device: str, watch: object) -> dict[str, float]:
        assert (dtype, device) == ("float64", "cpu")
        assert isinstance(watch, CpuStopwatch)
        return {"launch_s": 7.0}

    monkeypatch.setattr(operations, "measure_ceilings", measure)

    assert ask("ceiling", device="cpu", dtype="float64") == {"status": "done", "launch_s": 7.0}


def test_a_worker_describes_the_harness_that_it_measures_with():
    found = ask("describe")

    assert found["harness"]["clock_resolution_s"] > 0
    assert found["harness"]["loop_cost_s"] >= 0
    assert found["threads"] == torch.get_num_threads()


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
    costs = {name: found["harness"][name] for name in ("gpu_empty_call_s", "gpu_empty_replay_s")}
    assert set(costs.values()) == {None}


def raising(write, problem: str) -> str:
    path = write(
        "raising.py", f"import torch\ndef raising(query, key, value):\n    raise {problem}\n"
    )
    return f"{path}:raising"


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
        *(
            (f"RuntimeError({words!r})", "out_of_memory", words)
            for words in ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED at")
        ),
        ("ValueError('first\\nsecond')", "crashed", "ValueError: first"),
        ("SystemExit(4)", "crashed", "SystemExit: 4"),
    ],
)
def test_what_a_kernel_raises_becomes_a_status_and_one_line(write, problem, status, reason):
    spec = raising(write, problem)

    assert trial(spec) == {"status": status, "reason": reason}


def test_what_a_kernel_declines_is_unsupported():
    found = trial("sdpa_flash", Case(seq_len=8, head_dim=4, value_dim=5))

    assert found["status"] == "unsupported"
    assert "FLASH_ATTENTION cannot run this" in found["reason"]


def test_an_allocation_beyond_all_memory_is_out_of_memory():
    assert trial("matmul", Case(seq_len=2**30, head_dim=2**16))["status"] == "out_of_memory"


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
    state_at_start.cache_clear()
    yield
    torch.set_num_threads(before)
    state_at_start.cache_clear()


@pytest.mark.parametrize("status", ["measured", "crashed"])
def test_what_a_call_leaves_changed_is_put_back_and_is_no_reading(three_threads, status):
    def operation() -> dict[str, Any]:
        torch.set_num_threads(2)
        return {"status": status, "reason": "as told"}

    found = _answer(operation, {})

    assert torch.get_num_threads() == 3
    if status == "measured":
        reason = "a timed call changed the number of threads"
        assert found == {"status": "incorrect", "reason": reason}
    else:
        assert found == {"status": "crashed", "reason": "as told"}


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


def test_loading_answers_with_what_is_known_of_the_kernel(write):
    path = write("loaded.py", "def mine(query, key, value): return value")

    def loaded(spec: str) -> Described:
        answer = ask("load", spec=spec)
        assert answer["status"] == "done", answer
        return from_description(answer["kernel"])

    assert loaded("matmul").time_law == load("matmul").time_law
    found, here = loaded(f"{path}:mine"), load(f"{path}:mine")
    for name in ("name", "title", "source", "supports", "dtypes", "devices", "layout", "spec"):
        assert getattr(found, name) == getattr(here, name)
    assert found.source_sha256 == source_sha256(here)
    assert loaded(f"other={path}:mine").name == "other"
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


def test_what_is_printed_comes_with_the_answer_and_only_once(real, write):
    path = write("saying.py", SAYING)
    real.begin()
    started = real.started

    def check(name: str) -> dict[str, Any]:
        case = asdict(CASES["plain"])
        spec = name if name == "matmul" else f"{path}:{name}"
        return real.ask("check", limit_s=60.0, spec=spec, case=case, seed=0)

    first, again, silent = check("talking"), check("talking"), check("matmul")
    assert first["printed"] == "first\nline two"
    assert "printed" not in again
    assert "printed" not in silent

    assert check("endless")["printed"] == "x" * MOST_PRINTED_BYTES

    raw = check("raw")
    assert raw["printed"].startswith('{"status": "done"}\n\N{REPLACEMENT CHARACTER}')
    assert raw["results"][0]["reason"] == "raised ValueError: no more"
    assert "printed" not in check("matmul")
    assert real.started == started


FORKING = """
    import os
    from implementations.attention.matmul import matmul

    children = []

    def forking(query, key, value):
        if not children:
            children.append(os.fork())
            if children[0]:
                os.waitpid(children[0], 0)
        return matmul(query, key, value)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_kernel_whose_forked_child_comes_back_shifts_no_answer(real, write):
    path = write("forking_kernel.py", FORKING)
    cell = {"spec": f"{path}:forking", "case": asdict(SMALL), "seed": 0}
    names = ["matmul", "sdpa", "query_chunked", "online_softmax"]
    loads = [{"op": "load", "spec": name} for name in names]
    real.begin()
    started = real.started

    batches = [[loads[0], {"op": "visit", **cell}, loads[1]], loads[2:]]
    found = [one for batch in batches for one in real.answers(batch, limit_s=60.0)]

    visited = found.pop(1)
    assert (visited["status"], visited["calls"] >= 1) == ("measured", True)
    assert [one["kernel"]["name"] for one in found] == names
    assert real.started == started
