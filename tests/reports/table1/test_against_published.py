"""Counts against published laws."""

import pytest

from reports.table1.against_published import counted_path, counted_polynomial
from reports.table1.published import ROWS, law_of
from tests.reports.table1.counts import MECHANISMS, log3, paths, term


@pytest.mark.parametrize(
    ("terms", "published", "holds"),
    [
        ([term(4, n=2, d=1), term(5, n=2)], "O(n²·d)", True),
        ([term(4, n=2, d=1), term(8, n=1, d=2)], "O(n²·d)", False),
        ([term(8, n=1, d=2), term(5, n=2)], "O(n·d²)", False),
        ([term(6, n=1, d=2), term(1, n=1, d=1)], "O(k·n·d²)", True),
        ([term(5, r=1, n=1, d=1), term(-2, n=1, d=1)], "O(r·n·d)", True),
        ([term(5, n=2, d=1)], "O(r·n·d)", False),
        ([term(4)], "O(1)", True),
        ([term(3, n=1), term(1)], "O(1)", False),
        ([term(3, n=1), term(1)], "O(n)", True),
        ([term(4)], "O(n)", False),
    ],
)
def test_a_polynomial_holds_if_its_leading_terms_are_the_published_ones(terms, published, holds):
    assert counted_polynomial(terms, published).holds is holds


@pytest.mark.parametrize(
    ("found", "published", "text"),
    [
        (paths(lambda n: 4), "O(1)", "4"),
        (paths(lambda n: 3 * n + 1), "O(n)", "3·n + 1"),
        (paths(lambda n: 2 * log3(n), k=3), "O(log_k(n))", "2·⌈log₃ n⌉"),
        (paths(lambda n: -(-(n - 1) // 2), k=3), "O(n/k)", "⌈(n−1)/(k−1)⌉"),
        (
            paths(lambda n: -(-(n - 1) // 4), r=9) + paths(lambda n: -(-(n - 1) // 8), r=17),
            "O(n/r)",
            "⌈2(n−1)/(r−1)⌉",
        ),
        (paths(lambda n: n // 3 + 1), "O(n)", "3, 6, 11, 22, 43 at n = 8, 16, 32, 64, 128"),
    ],
)
def test_a_path_that_grows_as_published_is_given_exactly(found, published, text):
    counted = counted_path(found, published)

    assert counted.holds
    assert counted.text == text


@pytest.mark.parametrize(
    ("found", "published"),
    [
        (paths(lambda n: 2 * log3(n), k=3), "O(1)"),
        (paths(lambda n: 2 * log3(n), k=3), "O(n/k)"),
        (paths(lambda n: 4), "O(n)"),
        (paths(lambda n: 4, k=3), "O(log_k(n))"),
        (paths(lambda n: n), "O(1)"),
        # As long with a window of twice the width: it does not follow r.
        (paths(lambda n: n // 4, r=9) + paths(lambda n: n // 4, r=17), "O(n/r)"),
    ],
)
def test_another_growth_does_not_hold(found, published):
    assert not counted_path(found, published).holds


def test_every_published_text_is_a_law():
    for row in ROWS:
        for text in (row.time, row.sequential, row.path):
            assert law_of(text).terms


def test_the_sample_of_these_tests_holds_in_every_row():
    for one in ROWS:
        row = MECHANISMS["rows"][one.row]
        assert counted_polynomial(row["flops"]["terms"], one.time).holds
        assert counted_polynomial(row["sequential_operations"]["terms"], one.sequential).holds
        assert counted_path(row["paths"], one.path).holds
