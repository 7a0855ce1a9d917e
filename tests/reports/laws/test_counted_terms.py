"""Polynomials that were counted: values, words, and where one overtakes another."""

from fractions import Fraction

import pytest

from reports.laws.counted_terms import (
    coefficient,
    leading_crossing,
    polynomial_text,
    value_of,
)
from reports.laws.grammar import parse_monomial
from tests.reports.table1.counts import MECHANISMS, term

MULTI_HEAD = [term(8, n=1, d=2), term(4, n=2, d=1), term(5, n=2)]


def flops(row):
    return MECHANISMS["rows"][row]["flops"]["terms"]


def test_a_value_is_exact():
    half = [term("1/2", n=2, d=1), term(-3, n=1), term(7)]

    assert value_of(half, {"n": 5, "d": 3}) == Fraction(75, 2) - 15 + 7


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ([term(4, n=2, d=1), term(5, n=2)], "4·n²·d + 5·n²"),
        ([term(5, d=1, r=1, n=1), term(-2, n=1, d=1)], "5·r·n·d − 2·n·d"),
        ([term(1, n=1)], "n"),
        ([term(-1, n=1), term(1)], "−n + 1"),
        ([term("1/2", n=1)], "1/2·n"),
        ([], "0"),
    ],
)
def test_polynomials_in_words(terms, text):
    assert polynomial_text(terms) == text


def test_a_missing_term_has_the_coefficient_zero():
    assert coefficient(flops("linear"), parse_monomial("n^2*d")) == 0


@pytest.mark.parametrize(
    ("row", "factor", "size"),
    [
        ("recurrent", 1, "d"),
        ("convolutional", Fraction(3, 2), "d"),
        ("linear", 1, "d"),
        ("restricted", Fraction(5, 4), "r"),
    ],
)
def test_attention_overtakes_each_other_mechanism(row, factor, size):
    found, of = leading_crossing(flops("self_attention"), flops(row))

    assert (found, str(of)) == (factor, size)


def test_what_never_crosses_is_refused():
    with pytest.raises(ValueError, match="one power of n more"):
        leading_crossing(flops("linear"), flops("recurrent"))
    with pytest.raises(ValueError, match="several"):
        leading_crossing(MULTI_HEAD, flops("recurrent"))
