"""Polynomials with exact coefficients: recovered, printed, added, taken to JSON and back."""

import json
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.counting.polynomials import Point, Polynomial, interpolated

POWERS = st.tuples(*(st.integers(0, most) for most in (1, 2, 2, 2)))
COEFFICIENTS = st.fractions(max_denominator=4096).filter(bool)
POLYNOMIALS = st.dictionaries(POWERS, COEFFICIENTS, max_size=6).map(Polynomial.of)


def nodes(count):
    return st.lists(st.integers(1, 5000), min_size=count, max_size=count, unique=True)


@settings(max_examples=30)
@given(POLYNOMIALS, st.tuples(nodes(2), nodes(3), nodes(3), nodes(3)))
def test_any_polynomial_is_recovered_exactly_from_any_grid(polynomial, grid):
    # Values need not be integers for the algebra to be exact.
    assert interpolated(grid, polynomial) == polynomial


@settings(max_examples=30)
@given(POLYNOMIALS)
def test_a_polynomial_survives_json(polynomial):
    rows = json.loads(json.dumps(polynomial.to_plain()))

    assert Polynomial.from_plain(rows) == polynomial


@settings(max_examples=30)
@given(POLYNOMIALS, POLYNOMIALS)
def test_sums_are_sums_of_values(left, right):
    point = Point(b=2, h=3, n=5, head_dim=7)

    assert left.plus(right, -1)(point) == left(point) - right(point)


def test_polynomials_read_as_people_write_them():
    polynomial = Polynomial.of(
        {
            (0, 0, 0, 0): Fraction(-5),
            (1, 1, 2, 1): Fraction(4),
            (1, 1, 2, 0): Fraction(-3, 512),
            (0, 1, 0, 2): Fraction(1),
        }
    )

    assert str(polynomial) == "4·b·n²·d − 3/512·b·h·n² + d·head_dim − 5"
    assert str(Polynomial(terms=())) == "0"
    assert str(Polynomial.of({(0, 0, 1, 0): Fraction(-1)})) == "−n"


def test_machines_read_coefficients_and_powers():
    polynomial = Polynomial.of({(1, 1, 2, 1): Fraction(4), (0, 0, 1, 0): Fraction(1, 2)})

    assert polynomial.to_plain() == [
        {"coefficient": 4, "powers": {"b": 1, "n": 2, "d": 1}},
        {"coefficient": "1/2", "powers": {"n": 1}},
    ]
