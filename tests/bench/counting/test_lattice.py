"""The search for sizes on which a count is a polynomial, on counts that are made up."""

import math

import pytest

from bench.counting.lattice import fitted
from bench.counting.polynomials import Point

FAR = 8192


def up(size, block):
    return -(-size // block)


@pytest.mark.parametrize(
    ("value", "polynomial", "valid"),
    [
        (lambda p: 4 * p.b * p.h * p.n**2 * p.head_dim, "4·b·n²·d", "all sizes"),
        (lambda p: 7, "7", "all sizes"),
        (lambda p: p.h**2 * p.head_dim**2 * p.n, "n·d²", "all sizes"),
        (lambda p: p.b * up(p.n, 512), "1/512·b·n", "n a multiple of 512"),
        (
            lambda p: up(p.h, 2) * up(p.n, 512) * up(p.n, 2048),
            "1/2097152·h·n²",
            "n a multiple of 2048; h a multiple of 2",
        ),
        (lambda p: min(p.n, 2048) * p.head_dim, "2048·head_dim", "n at least 2048"),
        (lambda p: min(p.h, 2) * p.n, "2·n", "h at least 2"),
        (lambda p: max(p.n, 2 * p.head_dim) * p.b, "b·n", "n at least 16; n at least 2·head_dim"),
        (lambda p: p.n * up(p.head_dim, 16), "1/16·n·head_dim", "head_dim a multiple of 16"),
        (lambda p: p.n if p.head_dim > 1 else 0, "n", "head_dim at least 2"),
        (lambda p: p.b**2 * p.n, "n", "b = 1"),
    ],
)
def test_the_lattice_is_found_and_said(value, polynomial, valid):
    found = fitted(value, FAR)

    assert (str(found.polynomial), str(found.lattice)) == (polynomial, valid)


@pytest.mark.parametrize(
    ("value", "is_single"), [(lambda p: p.b**2 * p.n, True), (lambda p: p.n, False)]
)
def test_programs_are_told_of_a_law_for_one_item_only(value, is_single):
    assert fitted(value, FAR).lattice.to_plain()["is_single"] is is_single


@pytest.mark.parametrize(
    "value",
    [
        lambda p: math.isqrt(p.n) * p.head_dim,
        lambda p: p.n * (p.n - 1).bit_length(),
        lambda p: p.n**3,
        lambda p: max(p.n, 4096 * p.h),
    ],
)
def test_what_is_no_polynomial_is_not_taken_for_one(value):
    assert fitted(value, FAR) is None


def test_a_change_far_from_the_fitted_points_is_seen():
    found = fitted(lambda p: p.n + 100 * (p.n > 5000), FAR)

    assert found is None or Point(b=1, h=1, n=1000, head_dim=64) not in found.lattice


def test_sizes_that_a_kernel_refuses_are_stepped_over():
    found = fitted(lambda p: 3 * p.n if p.n % 128 == 0 and p.head_dim % 16 == 0 else None, FAR)

    assert str(found.polynomial) == "3·n"
    assert str(found.lattice) == "n a multiple of 128; head_dim a multiple of 16"


def test_nothing_is_believed_unchecked():
    seen = []

    def value(point):
        seen.append(point)
        return point.n if len(set(seen)) < 40 else None

    found = fitted(value, FAR)

    assert found is None or len(found.checked_at) >= 3


def test_points_of_the_check_are_not_those_of_the_fit_and_lie_on_the_lattice():
    found = fitted(lambda p: p.b * up(p.n, 512), FAR)

    assert len(found.checked_at) >= 5
    assert all(point in found.lattice for point in found.checked_at)
    assert max(point.n for point in found.checked_at) == 2**20
