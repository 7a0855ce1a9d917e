"""The checks in a worker: what it costs a kernel to take its process down, and what it does not."""

from dataclasses import replace
from typing import Any

import pytest

from bench.checks import run_in_worker
from bench.checks.results import LOST, UNCHECKED
from bench.checks.run_in_worker import Checker
from bench.process.supervisor import WorkerLost
from implementations.catalogue import load, load_all
from implementations.specs import from_function
from tests.bench.checks.asked_checks import LOSS, MINE, Clock, a_pass, cases, checked, losing


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
            load_all(["sdpa", "matmul"]), cases("plain", "causal"), lambda *told: names.append(told)
        )
    )

    assert names == [
        (name, done, 2) for name in ("sdpa (1 of 2)", "matmul (2 of 2)") for done in (0, 1)
    ]
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
