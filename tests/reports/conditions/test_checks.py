"""The matrix of the gate: read from any run.json, in words that hide no failure."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.conditions.checks import (
    AREAS,
    COLUMNS,
    check_table,
    factor_words,
    failed,
    matrix,
    nearest,
    ordered,
    share_words,
)
from tests.reports.conditions.some_checks import entry


def info_of(*entries: object) -> dict[str, Any]:
    return {"verification": {"pass": 7, "fail": 0, "failures": [], "matrix": list(entries)}}


def words_of(*entries: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Implementation -> area -> what the matrix says."""
    found = matrix(check_table({"run": info_of(*entries)}))
    return {
        row.implementation: dict(zip(found.areas, [one.words for one in row.findings], strict=True))
        for row in found.rows
    }


def test_an_entry_becomes_a_row_with_its_share_of_the_allowance():
    table = check_table({"some-run": info_of(entry())})
    assert tuple(table.columns) == COLUMNS
    (row,) = table.to_dict("records")
    assert (row["run"], row["implementation"], row["check"]) == ("some-run", "sdpa", "output")
    assert (row["pass"], row["case"]) == (7, "causal_block_65")
    assert row["share"] == pytest.approx(0.25)


def test_several_runs_are_told_apart_in_one_table():
    table = check_table({"a": info_of(entry()), "b": info_of(entry(), entry(dtype="float64"))})
    assert list(table["run"]) == ["a", "b", "b"]


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"verification": None},
        {"verification": 3},
        {"verification": {"pass": 31}},
        {"verification": {"matrix": None}},
        {"verification": {"matrix": "sdpa"}},
        {"verification": {"matrix": {"sdpa": 1}}},
        {"verification": {"matrix": [None, 3, "sdpa", ["sdpa"]]}},
    ],
)
def test_a_run_without_a_matrix_gives_an_empty_table_with_all_columns(info: dict[str, Any]):
    table = check_table({"old": info})
    assert table.empty
    assert tuple(table.columns) == COLUMNS
    assert nearest(table) is None
    assert matrix(table).rows == ()


def test_missing_keys_are_told_as_such_and_never_raise():
    (row,) = check_table({"run": info_of({})}).to_dict("records")
    assert {row[name] for name in ("implementation", "dtype", "area", "check")} == {"not told"}
    assert row["pass"] == row["fail"] == 0
    assert math.isnan(row["share"])
    assert words_of({})["not told"]["not told"] == "–"


@pytest.mark.parametrize("odd", ["7", True, -7, 7.5, None, [7], 10**400])
def test_counts_that_are_no_counts_are_zero(odd: object):
    assert check_table({"run": info_of(entry(fail=odd))})["fail"].iloc[0] == 0


@pytest.mark.parametrize(
    "odd", [math.nan, math.inf, -math.inf, -1e-7, "1e-7", True, None, {}, 10**400]
)
@pytest.mark.parametrize("name", ["worst_error", "worst_allowed"])
def test_numbers_that_are_no_errors_are_missing(name: str, odd: object):
    table = check_table({"run": info_of(entry(**{name: odd}))})
    assert math.isnan(table[name].iloc[0])
    assert math.isnan(table["share"].iloc[0])


def test_an_error_where_none_is_allowed_is_infinitely_beyond_and_no_error_is_not():
    table = check_table(
        {
            "run": info_of(
                entry(worst_error=1e-30, worst_allowed=0.0),
                entry(worst_error=0.0, worst_allowed=0.0),
            )
        }
    )
    assert list(table["share"]) == [math.inf, 0.0]


def test_names_lose_their_control_characters():
    (row,) = check_table({"run": info_of(entry(implementation="a\x1b[31m\n\ud800b"))}).to_dict(
        "records"
    )
    assert row["implementation"] == "a [31m b"


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(
                st.sampled_from(
                    ["verification", "matrix", "implementation", "area", "dtype", "pass", "fail"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=17,
    )
)
def test_whatever_stands_in_the_matrix_can_be_shown(odd: object):
    infos = ({"verification": odd}, {"verification": {"matrix": odd}}, info_of(odd, entry()))
    table = check_table({f"run {i}": json.loads(json.dumps(info)) for i, info in enumerate(infos)})
    assert len(matrix(table).rows) == table["implementation"].nunique() > 0


def test_the_areas_stand_in_their_order_and_newer_ones_follow():
    found = matrix(check_table({"run": info_of(entry(area="zeta"), entry(area="alpha"))}))
    assert found.areas == (*AREAS, "alpha", "zeta")


def test_an_area_that_passes_in_every_dtype_passes_and_one_not_asked_is_a_dash():
    words = words_of(entry(), entry(dtype="float64"))
    assert words["sdpa"]["causal"] == "pass"
    assert {said for area, said in words["sdpa"].items() if area != "causal"} == {"–"}


def test_a_failing_dtype_is_named_with_the_number_of_its_failures():
    words = words_of(entry(), entry(dtype="bfloat16", fail=2), entry(dtype="bfloat16", fail=1))
    assert words["sdpa"]["causal"] == "fail 3 (bfloat16)"


def test_several_failing_dtypes_are_named_from_fine_to_coarse():
    words = words_of(*(entry(dtype=name, fail=1) for name in ("odd", "bfloat16", "float64")))
    assert words["sdpa"]["causal"] == "fail 3 (float64, bfloat16, odd)"


def test_a_check_that_raised_counts_as_failed():
    words = words_of(entry(**{"pass": 0}, error=2, worst_error=None, worst_allowed=None))
    assert words["sdpa"]["causal"] == "fail 2 (float32)"


def test_unsupported_is_said_alone_only_where_nothing_passed():
    assert words_of(entry(**{"pass": 0}, unsupported=5))["sdpa"]["causal"] == "unsupported"
    assert words_of(entry(unsupported=5))["sdpa"]["causal"] == "pass, 5 unsupported"


def test_what_is_unsupported_throughout_neither_fails_nor_passes():
    nothing = {"pass": 0, "unsupported": 5, "worst_error": None, "worst_allowed": None}
    found = matrix(check_table({"run": info_of(*(entry(area=area, **nothing) for area in AREAS))}))
    (row,) = found.rows
    assert {one.outcome for one in row.findings} == {"unsupported"}
    assert row.nearest == "–"


def test_implementations_that_fail_come_first_and_then_all_by_name():
    found = matrix(
        check_table(
            {
                "run": info_of(
                    entry(implementation="b"),
                    entry(implementation="a"),
                    entry(implementation="y", fail=2),
                    entry(implementation="z", fail=5),
                )
            }
        )
    )
    assert [row.implementation for row in found.rows] == ["z", "y", "a", "b"]


def test_each_implementation_says_where_it_comes_nearest_to_its_allowance():
    found = matrix(
        check_table(
            {
                "run": info_of(
                    entry(),
                    entry(dtype="bfloat16", area="masks", worst_error=2e-3, worst_allowed=4e-3),
                )
            }
        )
    )
    assert found.rows[0].nearest == "50 % (bfloat16 masks)"


def test_an_error_of_zero_is_near_to_nothing():
    found = matrix(check_table({"run": info_of(entry(worst_error=0.0))}))
    assert found.rows[0].nearest == "0 %"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0 %"),
        (0.511, "51 %"),
        (1.0, "100 %"),
        (1.0004, "just over 1 times"),
        (1.02, "1.02 times"),
        (340.2, "340 times"),
        (999.7, "1.0e3 times"),
        (3.14e6, "3.1e6 times"),
        (math.inf, "above an allowance of 0"),
    ],
)
def test_shares_are_readable(share: float, words: str):
    assert share_words(share) == words


@given(st.floats(min_value=1.0, exclude_min=True, allow_infinity=False))
def test_a_factor_above_one_never_reads_as_one(share: float):
    assert factor_words(share) != "1"
    assert "+" not in factor_words(share)


def test_failed_counts_failures_and_raised_checks_row_by_row():
    table = check_table({"run": info_of(entry(fail=2, error=3), entry())})
    assert list(failed(table)) == [5, 0]


def test_known_names_come_first_and_the_rest_by_name():
    assert ordered(["b", "causal", "a", "shapes"], AREAS) == ("shapes", "causal", "a", "b")
