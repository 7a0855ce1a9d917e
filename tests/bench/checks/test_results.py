"""A check's result: where it belongs, how near it came, which failure to look at first."""

import json
import re
from dataclasses import asdict, replace

import pytest

from bench.checks.results import LOST, STATE_CHECKS, UNCHECKED, CheckResult, Status, summary
from bench.checks.situations import check_cases

CASES = {one.name: one for one in check_cases(["float32"])}


def result(
    check: str = "output", name: str = "plain", status: Status = "fail", **values: object
) -> CheckResult:
    return CheckResult(
        implementation="mine",
        case=CASES[name],
        check=check,
        status=status,
        **values,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", ["plain", "large_scores", "causal", "float_mask", "packed"])
def test_an_output_belongs_to_the_area_of_its_situation(name):
    assert result("output", name).area == CASES[name].area


@pytest.mark.parametrize("check", ["grad_query", "grad_key", "grad_value"])
@pytest.mark.parametrize("name", ["plain", "causal", "nan_beyond"])
def test_a_gradient_belongs_to_the_gradients_wherever_it_was_taken(check, name):
    assert result(check, name).area == "gradients"


def test_a_gradient_under_dropout_belongs_to_dropout():
    assert result("grad_value", "dropout").area == "dropout"


def test_a_gradient_asked_for_alone_belongs_to_the_gradients():
    assert result("grad_key", "asked_one_by_one").area == "gradients"


@pytest.mark.parametrize("check", STATE_CHECKS)
@pytest.mark.parametrize("name", ["plain", "boolean_mask", "dropout", "properties"])
def test_what_a_kernel_leaves_behind_belongs_to_state_wherever_it_shows(check, name):
    assert result(check, name).area == "state"


@pytest.mark.parametrize(
    ("error", "allowed", "ratio"),
    [
        (1.0, 4.0, 0.25),
        (3.0, 1.5, 2.0),
        (0.0, 0.0, 0.0),
        (1e-30, 0.0, float("inf")),
        (None, 1.0, None),
        (1.0, None, None),
    ],
)
def test_the_ratio_is_the_share_of_the_allowance_that_was_used(error, allowed, ratio):
    assert result(error=error, allowed=allowed).ratio == ratio


@pytest.mark.parametrize(
    ("status", "bad"), [("pass", False), ("unsupported", False), ("fail", True), ("error", True)]
)
def test_only_failures_and_exceptions_are_bad(status, bad):
    assert result(status=status).bad is bad


def test_the_failure_to_look_at_first_is_one_with_numbers_in_a_small_usual_situation():
    found = [
        result(UNCHECKED, "single_pair", "error"),
        result(LOST, "single_pair", "error"),
        result("output", "zero_keys"),
        result("output", "two_dimensions"),
        result("output", "long_keys"),
        result("output", "plain"),
    ]

    assert sorted(found, key=lambda one: one.telling) == found[::-1]


def test_a_line_says_who_where_what_and_by_how_much():
    line = str(result(error=1.0, allowed=2.5e-7, reason="it drifts"))

    assert re.fullmatch(
        r"mine: output in case plain \(n=7 d=33 \(3x11\) batch=2 float32 forward_backward\): "
        r"error 1, allowed 2\.5e-07: it drifts",
        line,
    )


def test_a_line_without_numbers_has_the_reason_only():
    line = str(result("inputs_unmodified", reason="changed its key in place"))

    assert line.endswith("forward_backward): changed its key in place")
    assert "error" not in line


def test_a_line_without_anything_to_add_ends_with_the_case():
    assert str(result(status="pass")).endswith("forward_backward)")


@pytest.mark.parametrize("name", ["plain", "two_dimensions", "nan_beyond", "scale"])
def test_a_result_survives_the_way_between_processes(name):
    one = result("grad_key", name, error=0.5, allowed=0.25, reason="wrong")

    assert CheckResult.from_plain(json.loads(json.dumps(asdict(one)))) == one


def test_the_data_of_a_result_is_what_the_command_promises():
    row = result(error=0.5, allowed=0.25, reason="wrong").to_dict()

    assert list(row) == [
        "implementation",
        "case",
        "check",
        "status",
        "error",
        "allowed",
        "reason",
    ]
    assert {"name", "area", "seq_len", "key_len", "pass", "dtype", "mask"} <= set(row["case"])
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_results_are_counted_by_status_and_no_status_is_left_out():
    found = [result(status="pass"), result(status="fail"), result(status="fail")]

    assert summary(found) == {"pass": 1, "fail": 2, "unsupported": 0, "error": 0}
    assert list(summary([])) == ["pass", "fail", "unsupported", "error"]
    assert summary([replace(found[0], status="error")])["error"] == 1
