"""What checks cost a process whose GPU is lost."""

from typing import Any

import pytest

from bench.checks import run_in_worker
from bench.checks.run_in_worker import Checker
from implementations.catalogue import load
from tests.bench.checks.asked_checks import a_pass, cases, checked, losing


def test_a_process_that_a_failed_call_left_useless_is_replaced(direct_workers):
    poisoned = f"raised RuntimeError: {run_in_worker.POISONED}: an illegal memory access"

    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation != "check" or request["case"]["name"] != "more_keys":
            return losing("none of them")(operation, request)
        answer = a_pass(request["case"])
        answer["results"][0] |= {"status": "error", "reason": poisoned}
        return answer

    found = checked(direct_workers, cases("plain", "more_keys", "scale", "causal"), fault)

    assert found["more_keys"] == ("output", poisoned)
    assert found["plain"] == found["scale"] == found["causal"] == "pass"
    operations = [operation for operation, _ in direct_workers.asked]
    assert operations == ["load", "check", "check", "load", "check", "check"]


@pytest.mark.parametrize("check", ["output", "grad_value"])
def test_a_cuda_error_of_any_check_ends_the_process_and_another_error_does_not(
    direct_workers, write, check
):
    path = write(
        f"poisoning_{check}.py",
        f"""
        import torch
        from implementations.attention.matmul import matmul

        def fault(message):
            raise RuntimeError(message + "\\nCompile with `TORCH_USE_CUDA_DSA`")

        def kernel(query, key, value):
            said = {{1: "CUDA error: an illegal memory access", 13: "an error of ours"}}
            message = said.get(key.shape[-2])
            output = matmul(query, key, value)
            if message and {check == "output"}:
                fault(message)
            if message and output.requires_grad:
                output.register_hook(lambda gradient: fault(message))
            return output
        """,
    )
    worker = direct_workers(threads=1)
    tried = cases("plain", "single_query", "more_queries", "single_key", "value_dim")

    results = list(Checker(worker=worker).check([load(f"{path}:kernel")], tried))

    assert {one.case.name for one in results if one.bad} == {"single_query", "single_key"}
    assert any(run_in_worker.POISONED in str(one.reason) for one in results)
    operations = [operation for operation, _ in direct_workers.asked]
    assert operations == ["load", *["check"] * 4, "load", "check"]
    assert worker.started == 2


def test_cuda_errors_do_not_count_as_lost_processes(direct_workers):
    poisoned = f"raised RuntimeError: {run_in_worker.POISONED}: unspecified launch failure"

    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        answer = losing("none of them")(operation, request)
        if operation == "check":
            answer["results"][0] |= {"status": "error", "reason": poisoned}
        return answer

    found = checked(direct_workers, cases("plain", "more_keys", "scale", "causal"), fault)

    assert set(found.values()) == {("output", poisoned)}
