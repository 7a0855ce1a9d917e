"""Which cells may be timed, from what the checks said."""

from dataclasses import replace
from typing import Any

import pytest

from bench.checks.gate import Gate, cases_for
from bench.checks.results import LOST, UNCHECKED, CheckResult
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from implementations.case import Case

CASES = {one.name: one for one in check_cases(["float32"], passes=["forward"])}
CELL = Case(seq_len=512)
BACKWARD = Case(seq_len=512, pass_="forward_backward")


def situation(name: str, **condition: Any) -> CheckCase:
    found = CASES[name]
    return replace(found, case=replace(found.case, **condition))


def result(status: str, name: str = "plain", check: str = "output", **values: Any) -> CheckResult:
    condition = {
        key: values.pop(key)
        for key in ("pass_", "dtype", "device", "is_causal", "mask")
        if key in values
    }
    errors = {"error": 1e-7, "allowed": 1e-6} if status == "pass" else {}
    return CheckResult(
        implementation="matmul",
        case=situation(name, **condition),
        check=check,
        status=status,
        **{**errors, **values},
    )


def backward(status: str, check: str = "output", **values: Any) -> CheckResult:
    return result(status, check=check, pass_="forward_backward", **values)


def test_a_cell_is_admitted_with_the_error_that_came_nearest_to_what_is_allowed():
    gate = Gate([result("pass"), result("pass", error=5e-7), result("pass", error=3e-7)])

    found = gate.admits("matmul", CELL)

    assert (found.status, found.max_error, found.allowed_error) == ("pass", 5e-7, 1e-6)


@pytest.mark.parametrize("status", ["fail", "error"])
def test_one_failed_check_of_many_bars_the_cell_and_is_its_reason(status):
    failed = result(status, error=1.0, allowed=1e-6, reason="wrong")

    found = Gate([result("pass"), failed, result("pass")]).admits("matmul", CELL)

    assert found.status == "incorrect"
    assert found.reason == str(failed)
    assert (found.max_error, found.allowed_error) == (1.0, 1e-6)


@pytest.mark.parametrize(
    "cell",
    [
        replace(CELL, dtype="float64"),
        replace(CELL, device="cuda"),
        replace(CELL, is_causal=True),
        replace(CELL, mask="boolean"),
    ],
)
def test_checks_under_other_conditions_neither_admit_nor_bar(cell):
    found = Gate([result("pass"), result("fail")]).admits("matmul", cell)

    assert (found.status, found.reason) == ("unsupported", "nothing was checked")


def test_checks_of_another_implementation_say_nothing():
    assert Gate([result("pass")]).admits("sdpa", CELL).status == "unsupported"


def test_a_wrong_gradient_bars_the_backward_pass_only():
    gate = Gate(
        [
            result("pass"),
            backward("pass"),
            backward("fail", check="grad_key", error=1.0, allowed=0.1),
        ]
    )

    assert gate.admits("matmul", CELL).status == "pass"
    assert gate.admits("matmul", BACKWARD).status == "incorrect"


def test_a_backward_pass_is_not_admitted_by_forward_checks():
    assert Gate([result("pass")]).admits("matmul", BACKWARD).status == "unsupported"


def test_a_backward_pass_is_admitted_by_a_passed_gradient_and_not_by_outputs_alone():
    outputs = [backward("pass"), backward("pass")]
    refused = backward("unsupported", check="grad_query", reason="matmul has no backward pass")
    gradient = backward("pass", check="grad_key", error=2e-7)

    without = Gate([*outputs, refused]).admits("matmul", BACKWARD)
    admitted = Gate([*outputs, gradient]).admits("matmul", BACKWARD)

    assert (without.status, without.reason) == ("unsupported", "matmul has no backward pass")
    assert (admitted.status, admitted.max_error) == ("pass", 2e-7)


def test_a_backward_pass_that_raises_leaves_the_forward_pass_alone():
    raised = backward("error", reason="raised RuntimeError: no graph")
    gate = Gate([result("pass"), raised])

    assert gate.admits("matmul", CELL).status == "pass"
    assert gate.admits("matmul", BACKWARD).status == "incorrect"


def test_an_unsupported_cell_says_why():
    gate = Gate([result("unsupported", reason="no mask on this device")])

    found = gate.admits("matmul", CELL)

    assert (found.status, found.reason) == ("unsupported", "no mask on this device")


def test_a_situation_that_is_unsupported_does_not_bar_the_others():
    gate = Gate([result("unsupported", "five_dimensions", reason="four only"), result("pass")])

    assert gate.admits("matmul", CELL).status == "pass"


@pytest.mark.parametrize("check", [LOST, UNCHECKED])
def test_a_case_that_took_the_worker_down_or_was_left_out_bars_the_cells_it_covers(check):
    lost = result("error", check=check, reason="the worker exited with 3")
    gate = Gate([result("pass"), lost, result("pass", "causal")])

    found = gate.admits("matmul", CELL)

    assert found.status == "incorrect"
    assert "exited with 3" in str(found.reason)
    assert gate.admits("matmul", replace(CELL, is_causal=True)).status == "pass"


def test_half_precision_is_barred_by_what_float32_shows_and_not_the_other_way_round():
    coarse = replace(CELL, dtype="bfloat16")
    shown = Gate([result("pass", dtype="bfloat16"), result("fail", error=1.0, allowed=0.1)])
    hidden = Gate([result("fail", dtype="bfloat16", error=1.0, allowed=0.1), result("pass")])

    assert shown.admits("matmul", coarse).status == "incorrect"
    assert hidden.admits("matmul", CELL).status == "pass"
    assert hidden.admits("matmul", coarse).status == "incorrect"


def test_half_precision_is_not_admitted_by_float32_alone():
    coarse = replace(CELL, dtype="float16")

    assert Gate([result("pass")]).admits("matmul", coarse).status == "unsupported"


def test_a_check_without_numbers_admits_nothing():
    silent = result("pass", check="repeatable", error=None, allowed=None)

    assert Gate([silent]).admits("matmul", CELL).status == "unsupported"


def test_cells_are_checked_in_their_own_passes_and_masks_and_half_precision_in_float32_too():
    cells = [
        Case(seq_len=512),
        Case(seq_len=1024),
        Case(seq_len=512, dtype="bfloat16", is_causal=True, pass_="forward_backward"),
    ]

    found = cases_for(cells)

    kinds = {(one.case.dtype, one.case.pass_) for one in found}
    assert kinds == {
        ("float32", "forward"),
        ("bfloat16", "forward_backward"),
        ("float32", "forward_backward"),
    }
    assert {(one.case.mask, one.case.is_causal) for one in found} == {
        ("none", False),
        ("none", True),
    }
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("cell", [CELL, BACKWARD, replace(BACKWARD, is_causal=True)])
def test_dropout_is_never_asked_for_and_so_never_bars_a_cell(cell):
    areas = {one.area for one in cases_for([cell])}

    assert "dropout" not in areas
    assert {"shapes", "state", "properties"} <= areas or cell.is_causal
    assert any(one.area == "dropout" for one in CASES.values())
