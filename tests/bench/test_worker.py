"""What a worker answers, asked in this process."""

import json
from dataclasses import asdict

import pytest
import torch

from bench.inputs import make_inputs
from bench.worker import OPERATIONS, _answer, prepare
from implementations.case import Case
from implementations.catalogue import catalogue

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
    assert found["canary_s"] > 0
    json.dumps(found, allow_nan=False)


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


def test_a_forward_call_computes_no_gradients_and_a_backward_call_returns_all_three():
    case = Case(seq_len=5, key_len=7, head_dim=11)
    core = catalogue()["matmul"]

    (output,) = prepare(core, make_inputs(case), case)()
    outputs = prepare(
        core, make_inputs(case), Case(**{**asdict(case), "pass_": "forward_backward"})
    )()

    assert not output.requires_grad
    assert [tuple(tensor.shape[-2:]) for tensor in outputs] == [(5, 11), (5, 11), (7, 11), (7, 11)]
    assert torch.equal(outputs[0], output)


def test_a_backward_call_may_be_repeated_and_accumulates_nothing():
    case = Case(seq_len=5, head_dim=11, pass_="forward_backward")
    call = prepare(catalogue()["query_chunked"], make_inputs(case), case)

    first, second = call(), call()

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_masks_are_given_to_the_call_that_is_timed():
    plain = Case(seq_len=7, head_dim=11)
    calls = {
        kind: prepare(catalogue()["matmul"], make_inputs(case), case)
        for kind, case in {
            "none": plain,
            "causal": Case(seq_len=7, head_dim=11, is_causal=True),
            "boolean": Case(seq_len=7, head_dim=11, mask="boolean"),
        }.items()
    }

    outputs = [call()[0] for call in calls.values()]

    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
