"""Implementations and check results as people and programs read them."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table

from bench.checks.results import LOST, UNCHECKED, CheckResult
from bench.checks.situation import CheckCase
from bench.checks.situations import agreement_cases, check_cases
from bench.checks.tables import (
    MOST_CAUSES,
    agreement_table,
    checks_table,
    failure_lines,
    listing,
    listing_table,
    remarks,
    unsupported_reasons,
)
from implementations.catalogue import suite

CASES = {one.name: one for one in check_cases(["float32"])}
HEADS = [
    "shapes",
    "scores",
    "causal",
    "masks",
    "windows",
    "memory",
    "grads",
    "state",
    "dropout",
    "properties",
]


def result(name: str, status: str, case: str = "plain", **values: Any) -> CheckResult:
    situation = values.pop("situation", CASES[case])
    dtype = values.pop("dtype", situation.case.dtype)
    situation = replace(situation, case=replace(situation.case, dtype=dtype))
    given = {"check": "output", **values}
    return CheckResult(implementation=name, case=situation, status=status, **given)


def agreeing(first: str, second: str, error: float, **values: Any) -> CheckResult:
    (plain, causal) = agreement_cases(["float32"])
    situation = causal if values.pop("is_causal", False) else plain
    check = f"agrees_with_{second}"
    return result(
        first, "pass", situation=situation, check=check, error=error, allowed=1.0, **values
    )


def shown(table: Table, width: int = 160) -> str:
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    return output.getvalue()


def rows(table: Table) -> dict[str, dict[str, str]]:
    """The cells of a table by the first one of their row and the head of their column."""
    heads, *columns = [str(one.header) for one in table.columns], *(c.cells for c in table.columns)
    found = zip(*columns, strict=True)
    return {str(row[0]): dict(zip(heads[1:], map(str, row[1:]), strict=True)) for row in found}


def test_an_entry_has_exactly_the_keys_of_the_contract():
    assert list(listing(suite()["matmul"])) == [
        "name",
        "kind",
        "title",
        "source",
        "time_law",
        "workspace_law",
        "supports",
        "available",
        "reason",
    ]


def test_what_needs_a_device_that_is_missing_says_which(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cudnn = listing(suite()["sdpa_cudnn"])
    assert (cudnn["available"], cudnn["reason"]) == (False, "needs cuda")
    matmul = listing(suite()["matmul"])
    assert (matmul["available"], matmul["reason"]) == (True, None)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert listing(suite()["sdpa_cudnn"])["available"]
    monkeypatch.setenv("CXX", "no_such_compiler")
    compiled = listing(suite()["matmul_compiled"])
    assert not compiled["available"]
    assert "CXX" in compiled["reason"]


def test_the_table_of_implementations_names_every_one_with_its_laws():
    text = shown(listing_table([listing(one) for one in suite().values()]), width=80)

    for name, one in suite().items():
        assert re.search(rf"^{name} +{re.escape(one.time_law)} ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


def test_the_table_of_implementations_says_why_one_is_not_available():
    row = {**listing(suite()["sdpa"]), "available": False, "reason": "needs [cuda]"}

    assert "(not available: needs [cuda])" in shown(listing_table([row]))


def test_the_matrix_has_a_column_for_every_area_and_says_how_each_came_out():
    results = [
        result("matmul", "pass", error=1.0, allowed=4.0),
        result("matmul", "pass", "scale", error=3.0, allowed=4.0),
        result("matmul", "unsupported", "scale_zero", reason="no"),
        result("matmul", "fail", "causal", error=None, allowed=4.0),
        result("matmul", "error", "causal", check="grad_key", reason="raised"),
        result("matmul", "error", "causal_more_keys", check=LOST, reason="the worker exited"),
        result("matmul", "pass", "causal", error=0.0, allowed=4.0),
        result("loop", "unsupported", reason="no"),
    ]

    found = rows(checks_table(results))

    assert list(found["matmul"]) == [*HEADS, "nearest"]
    assert found["matmul"]["shapes"] == "pass"
    assert found["matmul"]["scores"] == "pass 1/2"
    assert found["matmul"]["causal"] == "FAIL 2"
    assert found["matmul"]["grads"] == "FAIL 1"
    assert found["matmul"]["masks"] == "–"
    assert found["matmul"]["nearest"] == "0.75"
    assert set(found["loop"].values()) == {"–"}


def test_gradients_and_state_have_columns_of_their_own_wherever_they_were_checked():
    results = [
        result("matmul", "pass", "boolean_mask", check="grad_value", error=0.0, allowed=1.0),
        result("matmul", "fail", "boolean_mask", check="inputs_unmodified", reason="changed"),
        result("matmul", "fail", "dropout", check="grad_value", error=2.0, allowed=1.0),
    ]

    (found,) = rows(checks_table(results)).values()

    cells = {head: text for head, text in found.items() if text != "–"}
    assert cells == {"grads": "pass", "state": "FAIL 1", "dropout": "FAIL 1", "nearest": "2"}


def test_the_matrix_fits_into_eighty_columns_where_all_is_well():
    results = [
        result("online_softmax", "pass", name, error=1.0, allowed=3.0)
        for name in ("plain", "scale", "causal", "boolean_mask", "packed", "dropout", "properties")
    ]
    output = io.StringIO()

    Console(file=output, width=100).print(checks_table(results))

    assert len(output.getvalue().splitlines()) == 2


def test_the_table_of_differences_shows_the_largest_of_each_pair_in_one_dtype():
    results = [
        agreeing("loop", "matmul", 1e-7),
        agreeing("loop", "matmul", 3e-7, is_causal=True),
        agreeing("loop", "sdpa", 2e-7),
        agreeing("loop", "sdpa", 5e-3, dtype="bfloat16"),
        result("loop", "pass", error=1.0, allowed=2.0),
    ]

    table = agreement_table(results, "float32")

    assert table is not None
    assert rows(table) == {
        "matmul": {"loop": "3.0e-07", "matmul": ""},
        "sdpa": {"loop": "2.0e-07", "matmul": "–"},
    }
    assert agreement_table(results, "float64") is None


def test_how_each_compares_with_the_reference_is_no_difference_of_two_implementations():
    (situation, _) = agreement_cases(["float32"])
    own = [
        result(name, "pass", situation=situation, error=1e-6, allowed=1.0)
        for name in ("loop", "matmul")
    ]

    table = agreement_table([*own, agreeing("loop", "matmul", 1e-7)], "float32")

    assert table is not None
    assert rows(table) == {"matmul": {"loop": "1.0e-07"}}
    assert agreement_table(own, "float32") is None


def test_nothing_to_compare_gives_no_table_of_differences():
    assert agreement_table([], "float32") is None


def test_failures_of_one_kind_are_one_line_with_their_count_dtypes_and_smallest_case():
    results = [
        result("matmul", "fail", "beyond_blocks", error=1.0, allowed=0.5),
        result("matmul", "fail", "more_keys", error=2.0, allowed=0.5, dtype="float16"),
        result("matmul", "fail", "zero_keys", error=2.0, allowed=0.5),
        result("matmul", "fail", "causal", error=1.0, allowed=0.5),
        result("matmul", "error", "more_keys", check="grad_key", reason="raised"),
        result("sdpa", "pass", error=0.0, allowed=0.5),
    ]

    found = failure_lines(results)

    assert found == [
        f"fail: shapes: {results[1]} (and 2 more such; float32, float16)",
        f"fail: causal: {results[3]}",
        f"error: gradients: {results[4]}",
    ]


def patterns(results: list[CheckResult]) -> list[str]:
    """What the only line says that failing cases share."""
    (line,) = failure_lines(results)
    return [text for text in line.split("; ") if text.startswith("always")]


def outcomes(
    names: list[str], wrong: Callable[[CheckCase], object], **values: Any
) -> list[CheckResult]:
    return [
        result("matmul", "fail", name, error=2.0, allowed=1.0, **values)
        if wrong(CASES[name])
        else result("matmul", "pass", name, error=0.0, allowed=1.0, **values)
        for name in names
    ]


SHAPES = [
    *("plain", "plain_64", "more_keys", "more_queries", "value_dim", "two_dimensions"),
    *("five_dimensions", "many_features", "block_64x64", "block_65x63", "block_128x128"),
    *("block_127x129", "zero_keys", "long_keys"),
]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda one: one.case.key_len > one.case.seq_len, ["more keys than queries"]),
        (lambda one: one.case.seq_len != one.case.key_len, ["a key_len other than query_len"]),
        (lambda one: one.case.key_len % 64, ["a length that is no multiple of 64"]),
        (lambda one: one.case.value_dim % 8, ["a head_dim that is no multiple of 8"]),
    ],
)
def test_what_all_failing_cases_share_and_no_passing_one_has_is_said(wrong, words):
    # Without a keyword, so that only the kind in question divides failing from passing.
    said = patterns(outcomes([name for name in SHAPES if name != "zero_keys"], wrong))

    assert {f"always with {one}, never without" for one in words} <= set(said)


def test_a_kind_that_some_passing_case_is_of_too_is_not_said():
    names = ["plain", "more_keys", "two_dimensions", "value_dim"]
    said = patterns(outcomes(names, lambda one: one.name in ("more_keys", "two_dimensions")))

    assert said == []  # value_dim has more keys as well


def test_a_kind_that_some_failing_case_is_not_of_is_not_said():
    names = ["plain", "plain_64", "more_keys", "two_dimensions", "more_queries"]
    said = patterns(outcomes(names, lambda one: one.name != "plain_64"))

    assert "always with more keys than queries, never without" not in said
    assert "always with a head_dim below 16, never without" in said


def test_a_single_failing_case_has_nothing_in_common_with_others():
    assert patterns(outcomes(["plain", "more_keys"], lambda one: one.name == "more_keys")) == []


def test_a_kind_is_told_from_passing_cases_of_its_own_check_and_area_only():
    wrong = outcomes(["causal", "causal_more_keys"], lambda one: True)

    own = outcomes(["causal_65x65"], lambda one: False)
    elsewhere = outcomes(["plain", "more_keys"], lambda one: False)
    other_check = outcomes(["causal_64x64"], lambda one: False, check="inputs_unmodified")

    causal = "always with is_causal, never without"
    assert patterns([*wrong, *elsewhere, *other_check]) == [causal]
    said = patterns([*wrong, *own, *elsewhere, *other_check])
    assert causal not in said
    assert "always with a head_dim below 16, never without" in said
    assert patterns([*wrong, *other_check]) == []


def test_a_dtype_in_which_alone_it_fails_is_said_as_a_pattern():
    names = ["plain", "more_keys", "value_dim"]
    half = outcomes(names, lambda one: True, dtype="bfloat16")
    single = outcomes(names, lambda one: False)

    assert patterns([*single, *half]) == ["always with bfloat16, never without"]


def test_each_implementation_has_lines_of_its_own():
    results = [
        result("matmul", "fail", error=1.0, allowed=0.5),
        result("loop", "fail", error=1.0, allowed=0.5),
    ]

    assert [line.split(": ")[2] for line in failure_lines(results)] == ["matmul", "loop"]


def test_what_was_not_checked_is_counted_and_not_listed():
    results = [
        result("matmul", "error", check=LOST, reason="the worker exited with 3"),
        *[
            result("matmul", "error", name, check=UNCHECKED, reason="not checked: 2 lost")
            for name in ("scale", "causal", "boolean_mask")
        ],
    ]

    assert failure_lines(results) == [
        f"error: shapes: {results[0]}",
        "matmul: 3 cases were not checked",
    ]


def test_many_kinds_of_failures_of_one_implementation_leave_room_for_those_of_others():
    many = [
        result("matmul", "fail", check=f"check_{number}", reason="wrong")
        for number in range(MOST_CAUSES + 7)
    ]

    lines = failure_lines([*many, result("sdpa", "fail", error=1.0, allowed=0.5)])

    assert lines[MOST_CAUSES] == "matmul: 7 more kinds (--json)"
    assert lines[-1].startswith("fail: shapes: sdpa: output in case plain")
    assert len(lines) == MOST_CAUSES + 2


def test_reasons_of_what_is_unsupported_come_once_and_in_order():
    results = [
        result("sdpa", "unsupported", reason="sdpa does not take scale"),
        result("loop", "unsupported", reason="no gradients"),
        result("loop", "unsupported", check="grad_key", reason="no gradients"),
        result("loop", "error", reason="raised"),
    ]

    assert unsupported_reasons(results) == ["no gradients", "sdpa does not take scale"]


def test_what_was_printed_is_a_remark_and_no_failure():
    said = result("loop", "pass", check="stdout", reason="loop printed to stdout: hello")

    assert remarks([result("loop", "pass", error=0.0, allowed=1.0), said]) == [said.reason]
    assert failure_lines([said]) == []
