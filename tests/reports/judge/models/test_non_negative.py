"""Non-negative least squares with a few changing columns, against scipy's own."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from reports.judge.models.non_negative import FixedColumns, choices
from reports.laws.monomials import Floats

ROWS, POINTS = 13, 5
EVERY_SET = np.array(list(itertools.product((False, True), repeat=3)))


def squares(columns: Floats, target: Floats) -> float:
    """The least sum of squares with coefficients of zero or more, by scipy."""
    if not columns.shape[1]:
        return float(target @ target)
    scale = np.linalg.norm(columns, axis=0)
    return float(nnls(columns / np.where(scale > 0, scale, 1.0), target)[1] ** 2)


def least(columns: FixedColumns, moving: Floats) -> Floats:
    """The least sum of squares at each point."""
    return columns.squares(moving).min(axis=1)


def random_problem(seed: int, changing: int) -> tuple[Floats, Floats, Floats]:
    """Fixed columns of very different lengths, changing ones, and a target off both."""
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(0, 1, (ROWS, 3)) * 10.0 ** rng.integers(-6, 7, 3)
    moving = rng.uniform(0, 1, (POINTS, ROWS, changing)) * 10.0 ** rng.integers(-6, 7, changing)
    return fixed, moving, rng.normal(0.5, 1.0, ROWS)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    changing=st.integers(1, 3),
    largest=st.lists(st.sampled_from(EVERY_SET.tolist()), min_size=1, max_size=3),
)
def test_the_least_squares_are_those_of_scipy_over_all_allowed_sets(
    seed: int, changing: int, largest: list[list[bool]]
) -> None:
    fixed, moving, target = random_problem(seed, changing)
    # With a set its subsets are tried too: a solution at the edge of one is inside another.
    sets = np.array([one for one in EVERY_SET if any((one <= most).all() for most in largest)])

    found = least(FixedColumns(fixed, target, sets), moving)

    expected = [
        min(squares(np.hstack([fixed[:, some], one]), target) for some in sets) for one in moving
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), changing=st.integers(1, 3))
def test_each_subset_has_the_squares_of_its_columns_or_none(seed: int, changing: int) -> None:
    fixed, moving, target = random_problem(seed, changing)
    subsets = [(*one, *choice) for one in EVERY_SET for choice in choices(changing)]

    found = FixedColumns(fixed, target, EVERY_SET).squares(moving)

    for one, values in zip(moving, found, strict=True):
        columns = np.hstack([fixed, one])
        told = [squares(columns[:, list(subset)], target) for subset in subsets]
        np.testing.assert_array_less(told, values * (1 + 1e-6) + 1e-9)
        np.testing.assert_allclose(values[at := values.argmin()], told[at], rtol=1e-6, atol=1e-9)


def test_a_target_below_zero_takes_nothing() -> None:
    target = -np.ones(ROWS)
    found = FixedColumns(np.ones((ROWS, 3)), target, EVERY_SET).squares(np.ones((2, ROWS, 2)))

    assert found[:, 0].tolist() == pytest.approx([ROWS, ROWS])
    assert np.isinf(found[:, 1:]).all()


def test_a_changing_column_like_a_fixed_one_is_no_accident() -> None:
    rng = np.random.default_rng(3)
    fixed, target = rng.uniform(0, 1, (ROWS, 3)), rng.uniform(0, 1, ROWS)
    found = least(FixedColumns(fixed, target, EVERY_SET), fixed[None, :, :2] * 7)

    assert math.isfinite(found[0])
    assert found[0] == pytest.approx(squares(fixed, target), rel=1e-6)


def test_many_points_at_once_are_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    fixed, target = rng.uniform(0, 1, (ROWS, 3)), rng.uniform(0, 1, ROWS)
    moving = rng.uniform(0, 1, (17, ROWS, 2))
    columns = FixedColumns(fixed, target, EVERY_SET)
    whole = columns.squares(moving)

    monkeypatch.setattr("reports.judge.models.non_negative._MOST_NUMBERS", 1)

    np.testing.assert_allclose(columns.squares(moving), whole, rtol=1e-12)
    alone = [columns.squares(one[None])[0] for one in moving]
    np.testing.assert_allclose(alone, whole, rtol=1e-12)
