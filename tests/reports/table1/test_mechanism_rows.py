"""The rows of the table and their verdicts."""

import copy

import pytest

from reports.table1.mechanism_rows import table_rows, verdicts_that_count
from reports.table1.published import ROWS
from reports.tables.columns import TableError
from tests.reports.table1.counts import MECHANISMS, term
from tests.reports.table1.measured import judged_rows, times


@pytest.fixture(scope="module")
def rows():
    return {row.published.row: row for row in judged_rows()}


def published(*names):
    """Those of the table that a test is about: each row is judged by itself."""
    return [row for row in ROWS if row.row in names]


def test_every_mechanism_is_confirmed_under_its_own_law(rows):
    assert {row.fit.verdict for row in rows.values()} == {"confirmed"}
    assert all(row.counts_hold for row in rows.values())
    assert set(verdicts_that_count(list(rows.values()))) == {"confirmed"}


def test_only_self_attention_passes_under_the_control(rows):
    assert {name: str(row.control.verdict) for name, row in rows.items()} == {
        one.row: "confirmed" if one.row == "self_attention" else "refuted" for one in ROWS
    }


def test_windows_and_kernels_are_constants_of_what_is_timed(rows):
    assert rows["restricted"].fit.claim == "n*d"
    assert rows["restricted"].window == 64
    assert rows["convolutional"].fit.claim == "n*d^2"
    assert rows["linear"].window is None


def test_each_row_says_where_self_attention_overtakes_it(rows):
    assert {name: row.overtaken for name, row in rows.items()} == {
        "self_attention": None,
        "recurrent": "d",
        "convolutional": "3/2·d",
        "convolutional_contiguous": "3/2·d",
        "restricted": "5/4·r",
        "linear": "d",
    }


def test_a_window_that_masks_a_full_product_is_refuted():
    records = times(sliding_window=(1, "n^2*d"))

    (found,) = table_rows(MECHANISMS, records, {}, published("restricted"))

    assert found.fit.verdict == "refuted"
    assert found.control.verdict == "confirmed"
    assert verdicts_that_count([found]) == ["confirmed", "refuted"]


def test_a_count_that_is_not_as_published_is_refuted():
    mechanisms = copy.deepcopy(MECHANISMS)
    mechanisms["rows"]["linear"]["sequential_operations"]["terms"] = [term(2, n=1)]

    rows = table_rows(mechanisms, times(), {}, published("restricted", "linear"))

    assert [row.published.row for row in rows if not row.counts_hold] == ["linear"]
    assert verdicts_that_count(rows) == ["confirmed", "refuted", "confirmed", "confirmed"]


def test_a_mechanism_that_was_not_measured_leaves_the_table_open():
    records = times()

    rows = table_rows(
        MECHANISMS,
        records[records["implementation"] != "rnn"],
        {},
        published("recurrent", "linear"),
    )

    assert [row.published.row for row in rows if row.fit is None] == ["recurrent"]
    assert set(verdicts_that_count(rows)) == {"confirmed", "inconclusive"}


def test_a_run_of_something_else_is_refused():
    records = times().assign(implementation="loop")

    with pytest.raises(TableError, match=r"measured none of sdpa, rnn, .*linear"):
        table_rows(MECHANISMS, records, {})
