"""The checks in a worker: what it costs a kernel to take its process down, and what it does not."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from bench.checks import run_in_worker
from bench.checks.results import LOST, UNCHECKED, CheckResult
from bench.checks.run_in_worker import Checker
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.process.supervisor import WorkerLost
from implementations.attention.matmul import matmul
from implementations.catalogue import load, load_all
from implementations.specs import from_function

CASES = {one.name: one for one in check_cases(["float32"])}
MINE = from_function(matmul, name="mine", spec="mine.py:mine")
LOSS = "the worker exited with 3"
Fault = Callable[[str, dict[str, Any]], dict[str, Any] | None]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def cases(*names: str, dtype: str = "float32") -> list[CheckCase]:
    found = [CASES[name] for name in names]
    return [replace(one, case=replace(one.case, dtype=dtype)) for one in found]


def a_pass(case: dict[str, Any]) -> dict[str, Any]:
    """What a worker answers for a right kernel, without calling one."""
    situation = CheckCase.from_plain(json.loads(json.dumps(case)))
    passed = CheckResult(
        implementation="mine", case=situation, check="output", status="pass", error=0.0, allowed=1.0
    )
    return {"status": "done", "results": [asdict(passed)]}


def losing(
    *names: str, status: str = "crashed", takes_s: float = 0.0, clock: Clock | None = None
) -> Fault:
    """Takes the worker down in the named cases, and passes in all others."""

    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation != "check":
            return {"status": "done"}
        if request["case"]["name"] in names or not names:
            if clock is not None:
                clock.now += takes_s
            raise WorkerLost(status, LOSS)
        return a_pass(request["case"])

    return fault


def checked(workers: Any, tried: list[CheckCase], fault: Fault, **options: Any) -> dict[str, Any]:
    """By case: the check and the reason of what is an error, `pass` otherwise."""
    workers.fault = fault
    results = list(Checker(worker=workers(threads=1), **options).check([MINE], tried))
    assert len(results) == len(tried)
    return {
        f"{one.case.name} {one.case.case.dtype}" if dtypes(tried) else one.case.name: (
            "pass" if one.status == "pass" else (one.check, one.reason)
        )
        for one in results
    }


def dtypes(tried: list[CheckCase]) -> bool:
    return len({one.case.dtype for one in tried}) > 1


def asked(workers: Any) -> list[str]:
    return [request["case"]["name"] for request in workers.operations("check")]


def test_results_from_a_worker_equal_those_of_this_process(direct_workers):
    from bench.checks.run_situation import verify

    tried = cases("more_keys", "masked_rows_float", "calls_in_turn")
    near = list(verify(load("matmul"), tried, seed=3))

    far = list(Checker(worker=direct_workers(threads=1), seed=3).check([load("matmul")], tried))

    assert far == near


def test_a_case_that_loses_the_worker_is_one_error_and_the_others_go_on(direct_workers):
    found = checked(direct_workers, cases("plain", "more_keys", "scale"), losing("more_keys"))

    assert found == {"plain": "pass", "more_keys": (LOST, LOSS), "scale": "pass"}


def test_the_next_implementation_is_checked_after_one_that_never_answered(direct_workers):
    names: list[str] = []

    def fault(operation: str, request: dict[str, Any]) -> None:
        if request["spec"] == "sdpa":
            raise WorkerLost("crashed", LOSS)

    direct_workers.fault = fault
    results = list(
        Checker(worker=direct_workers(threads=1)).check(
            load_all(["sdpa", "matmul"]), cases("plain", "causal"), names.append
        )
    )

    assert names == ["sdpa", "matmul"]
    assert [(r.check, r.status) for r in results if r.implementation == "sdpa"] == [
        (LOST, "error"),
        (LOST, "error"),
    ]
    rest = [r for r in results if r.implementation == "matmul"]
    assert {r.status for r in rest} == {"pass"}
    assert {r.case.name for r in rest} == {"plain", "causal"}


def test_two_losses_before_anything_was_answered_end_it(direct_workers):
    tried = cases("plain", "causal", "boolean_mask", "scale")

    found = checked(direct_workers, tried, losing())

    assert asked(direct_workers) == ["plain", "causal"]
    reason = "not checked: 2 processes were lost"
    assert found["boolean_mask"] == found["scale"] == (UNCHECKED, reason)


def test_two_losses_after_an_answer_do_not_end_it(direct_workers):
    tried = cases("plain", "scale", "causal", "boolean_mask", "packed")

    found = checked(direct_workers, tried, losing("scale", "causal"))

    assert [name for name, outcome in found.items() if outcome == "pass"] == [
        "plain",
        "boolean_mask",
        "packed",
    ]


def test_an_area_that_crashed_twice_is_left_alone_in_that_dtype_only(direct_workers):
    names = ("plain", "scale", "scale_zero", "large_scores", "packed")
    tried = [*cases(*names), *cases("plain", "large_scores", dtype="float64")]

    found = checked(direct_workers, tried, losing("scale", "scale_zero"))

    reason = "not checked: 2 processes were lost in scores, not causal, mask none, float32"
    assert found["large_scores float32"] == (UNCHECKED, reason)
    assert found["large_scores float64"] == found["packed float32"] == "pass"


def test_an_area_that_hung_twice_is_left_alone_in_every_dtype(direct_workers):
    names = ("plain", "scale", "scale_zero", "large_scores", "packed")
    tried = [*cases(*names), *cases("plain", "large_scores", dtype="float64")]

    found = checked(direct_workers, tried, losing("scale", "scale_zero", status="timeout"))

    reason = "not checked: 2 processes were lost in scores, not causal, mask none"
    assert found["large_scores float32"] == (UNCHECKED, reason)
    assert found["large_scores float64"] == (UNCHECKED, reason)
    assert found["plain float64"] == "pass"


def test_an_area_is_left_alone_under_the_conditions_in_which_it_was_lost_only(direct_workers):
    names = ("plain", "causal", "boolean_mask", "nan_beyond", "packed")
    tried = cases(*names, "offset", "nan_beyond_causal", "mask_columns_first")

    found = checked(direct_workers, tried, losing("nan_beyond", "packed"))

    assert found["offset"][0] == UNCHECKED
    assert found["nan_beyond_causal"] == found["mask_columns_first"] == "pass"


def test_a_kernel_that_hangs_is_told_of_the_time_limit_and_one_that_crashes_is_not(direct_workers):
    hung = checked(direct_workers, cases("plain", "scale"), losing("scale", status="timeout"))
    crashed = checked(direct_workers, cases("plain", "scale"), losing("scale"))

    assert hung["scale"] == (LOST, f"{LOSS} (--time-limit)")
    assert crashed["scale"] == (LOST, LOSS)


def test_a_condition_that_never_answered_is_left_alone_in_every_area(direct_workers):
    tried = cases(
        "plain", "causal", "causal_more_keys", "nan_beyond_causal", "boolean_mask", "nan_beyond"
    )

    found = checked(direct_workers, tried, losing("causal", "causal_more_keys"))

    check, reason = found["nan_beyond_causal"]
    assert check == UNCHECKED
    assert reason == "not checked: 2 processes were lost under these conditions"
    assert found["boolean_mask"] == found["nan_beyond"] == "pass"


def test_a_kind_of_mask_that_never_answered_does_not_speak_for_the_other_kind(direct_workers):
    tried = cases(
        "plain", "boolean_mask", "banded_mask", "mask_columns_first", "mask_nan_beyond", "causal"
    )

    found = checked(direct_workers, tried, losing("boolean_mask", "banded_mask"))

    reason = "not checked: 2 processes were lost under these conditions"
    assert found["mask_columns_first"] == (UNCHECKED, reason)
    assert found["mask_nan_beyond"] == found["causal"] == "pass"


def test_a_condition_that_answered_once_is_not_given_up_elsewhere(direct_workers):
    tried = cases("plain", "causal", "causal_more_keys", "causal_scale", "nan_beyond_causal")

    found = checked(direct_workers, tried, losing("causal_more_keys", "causal_scale"))

    assert found["nan_beyond_causal"] == "pass"


@pytest.mark.parametrize(
    ("takes_s", "outcome"),
    [
        (
            run_in_worker.PATIENCE_S / 2 + 1,
            (UNCHECKED, "not checked: 2 processes were lost before"),
        ),
        (run_in_worker.PATIENCE_S / 2 - 1, "pass"),
    ],
)
def test_what_is_left_after_patience_is_used_up_is_not_checked(direct_workers, takes_s, outcome):
    clock = Clock()
    tried = cases("plain", "boolean_mask", "banded_mask", "scale", "packed", "calls_in_turn")
    fault = losing("scale", "packed", takes_s=takes_s, clock=clock)

    found = checked(direct_workers, tried, fault, clock=clock)

    assert found["calls_in_turn"] == outcome
    assert found["banded_mask"] == "pass"


def test_every_implementation_has_patience_of_its_own(direct_workers):
    clock = Clock()
    other = replace(MINE, name="other")
    direct_workers.fault = losing("plain", takes_s=run_in_worker.PATIENCE_S + 1, clock=clock)

    results = list(
        Checker(worker=direct_workers(threads=1), clock=clock).check(
            [MINE, other], cases("plain", "scale")
        )
    )

    assert [one.check for one in results] == [LOST, UNCHECKED] * 2


def test_cases_that_are_unsupported_are_never_sent(direct_workers):
    few = from_function(lambda query, key, value: value, name="mine", spec="mine.py:mine")
    direct_workers.fault = losing("none of them")

    results = list(
        Checker(worker=direct_workers(threads=1)).check([few], cases("causal", "plain", "scale"))
    )

    assert asked(direct_workers) == ["plain"]
    assert [one.status for one in results] == ["unsupported", "pass", "unsupported"]
    assert results[0].reason == "mine does not support causal"


def test_loading_comes_first_and_again_after_a_loss(direct_workers):
    checked(direct_workers, cases("plain", "more_keys", "scale", "causal"), losing("more_keys"))

    operations = [operation for operation, _ in direct_workers.asked]
    assert operations == ["load", "check", "check", "load", "check", "check"]
    assert direct_workers.operations("load") == [{"spec": MINE.spec}] * 2


def test_an_import_has_longer_than_a_case(direct_workers):
    direct_workers.fault = losing("none of them")
    worker = direct_workers(threads=1)
    limits: list[tuple[str, float]] = []
    ask = worker.ask

    def timed(operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        limits.append((operation, limit_s))
        return ask(operation, limit_s=limit_s, **request)

    worker.ask = timed
    list(Checker(worker=worker, case_limit_s=0.7).check([MINE], cases("plain", "scale")))

    assert limits == [("load", run_in_worker.IMPORT_LIMIT_S), ("check", 0.7), ("check", 0.7)]


def test_a_loss_while_loading_is_a_loss_of_the_case(direct_workers):
    def fault(operation: str, request: dict[str, Any]) -> None:
        raise WorkerLost("crashed", LOSS)

    found = checked(direct_workers, cases("plain", "causal", "scale"), fault)

    assert [outcome[0] for outcome in found.values()] == [LOST, LOST, UNCHECKED]
    assert direct_workers.operations("check") == []


def test_an_operation_that_fails_is_an_error_and_costs_nothing_else(direct_workers):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return {"status": "crashed", "reason": "CatalogueError: there is no file mine.py"}

    found = checked(direct_workers, cases("plain", "causal", "scale"), fault)

    reason = "crashed: CatalogueError: there is no file mine.py"
    assert set(found.values()) == {(LOST, reason)}


def test_what_was_printed_is_reported_once_with_its_first_line(direct_workers):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation != "check":
            return {"status": "done", "printed": "while loading"}
        return {**a_pass(request["case"]), "printed": "hello\nand more"}

    direct_workers.fault = fault
    results = list(
        Checker(worker=direct_workers(threads=1)).check([MINE], cases("plain", "causal"))
    )

    assert [(one.check, one.status) for one in results] == [
        ("output", "pass"),
        ("stdout", "pass"),
        ("output", "pass"),
    ]
    assert results[1].reason == "mine printed to stdout: hello"
    assert results[1].area == "state"


def test_what_an_undeclared_kernel_refuses_throughout_comes_back_as_unsupported(
    direct_workers, write
):
    path = write(
        "four_only.py",
        """
        from implementations.attention.matmul import matmul
        def four_only(query, key, value):
            assert query.dim() == 4, "four dimensions"
            return matmul(query, key, value)
        """,
    )
    tried = cases("plain", "more_keys", "two_dimensions", "three_dimensions")

    results = list(
        Checker(worker=direct_workers(threads=1)).check([load(f"{path}:four_only")], tried)
    )

    refused = [one for one in results if one.status == "unsupported"]
    assert [one.case.name for one in refused] == ["two_dimensions", "three_dimensions"]
    assert {one.status for one in results if one not in refused} == {"pass"}
    said = "raised AssertionError: four dimensions"
    assert [one.reason for one in refused] == [
        f"four_only refuses 2 dimensions: {said}",
        f"four_only refuses 3 dimensions: {said}",
    ]


def test_a_kernel_that_raises_throughout_is_asked_in_other_dtypes_and_these_are_not_reported(
    direct_workers, write
):
    path = write(
        "half_only.py",
        """
        from implementations.attention.matmul import matmul
        def half_only(query, key, value):
            if query.element_size() > 2:
                raise RuntimeError("only half precision")
            return matmul(query, key, value)
        def broken(query, key, value):
            raise RuntimeError("a bug")
        """,
    )
    tried = cases("plain", "more_keys", "plain_64")
    kernels = [load(f"{path}:half_only"), load(f"{path}:broken")]

    results = list(Checker(worker=direct_workers(threads=1)).check(kernels, tried))

    assert {(one.implementation, one.status, one.reason) for one in results} == {
        (
            "half_only",
            "unsupported",
            "half_only refuses float32: raised RuntimeError: only half precision",
        ),
        ("broken", "error", "raised RuntimeError: a bug"),
    }
    assert [one.case for one in results] == [*tried, *tried]


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
