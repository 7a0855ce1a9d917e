"""Non-negative least squares with a few changing columns, against scipy's own."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from reports.judge.models.non_negative import FixedColumns
from reports.laws.monomials import Floats

ROWS, POINTS = 13, 5
EVERY_SET = np.array(list(itertools.product((False, True), repeat=3)))


def squares(columns: Floats, target: Floats) -> float:
    """The least sum of squares with coefficients of zero or more, by scipy."""
    if not columns.shape[1]:
        return float(target @ target)
    scale = np.linalg.norm(columns, axis=0)
    return float(nnls(columns / np.where(scale > 0, scale, 1.0), target)[1] ** 2)


def least(
    fixed: Floats,
    changing: Floats,
    target: Floats,
    *,
    sets: np.ndarray,
    counted: Floats,
    price: float = 0.0,
    without: int | None = None,
) -> float:
    """The least priced sum of squares over all allowed sets, each solved by scipy alone."""
    free = [k for k in range(changing.shape[1]) if k != without]
    return min(
        squares(np.hstack([fixed[:, some], changing[:, free]]), target) + price * count
        for some, count in zip(sets, counted, strict=True)
    )


def random_problem(seed: int, changing: int) -> tuple[Floats, Floats, Floats]:
    """Fixed columns of very different lengths, changing ones, and a target off both."""
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(0, 1, (ROWS, 3)) * 10.0 ** rng.integers(-6, 7, 3)
    moving = rng.uniform(0, 1, (POINTS, ROWS, changing)) * 10.0 ** rng.integers(-6, 7, changing)
    return fixed, moving, rng.normal(0.5, 1.0, ROWS)


@given(
    seed=st.integers(0, 2**32 - 1),
    changing=st.integers(1, 3),
    price=st.sampled_from([0.0, 1e-3, 0.05, 10.0]),
    largest=st.lists(st.sampled_from(EVERY_SET.tolist()), min_size=1, max_size=3),
    left_out=st.integers(-1, 2),
)
def test_the_least_priced_squares_are_those_of_scipy_over_all_allowed_sets(
    seed: int, changing: int, price: float, largest: list[list[bool]], left_out: int
) -> None:
    fixed, moving, target = random_problem(seed, changing)
    # With a set its subsets are tried too: a solution at the edge of one is inside another.
    sets = np.array([one for one in EVERY_SET if any((one <= most).all() for most in largest)])
    counted = sets.sum(axis=1).astype(float)
    without = left_out if 0 <= left_out < changing else None

    found = FixedColumns(fixed, target, sets, counted).best(moving, price, without=without)

    expected = [
        least(fixed, one, target, sets=sets, counted=counted, price=price, without=without)
        for one in moving
    ]
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)


@given(seed=st.integers(0, 2**32 - 1), changing=st.integers(1, 3))
def test_the_columns_that_are_named_reach_the_value_that_is_told(seed: int, changing: int) -> None:
    fixed, moving, target = random_problem(seed, changing)
    counted = EVERY_SET.sum(axis=1).astype(float)
    price = 0.02

    found = FixedColumns(fixed, target, EVERY_SET, counted).best(moving, price)

    for k, one in enumerate(moving):
        taken = [j for j in range(changing) if found.changing[k] >> j & 1]
        columns = np.hstack([fixed[:, EVERY_SET[found.fixed[k]]], one[:, taken]])
        told = squares(columns, target) + price * counted[found.fixed[k]]
        assert told == pytest.approx(found.values[k], rel=1e-6, abs=1e-9)


def test_a_column_that_may_not_be_taken_is_not() -> None:
    target = np.linspace(1, 2, ROWS)
    moving = np.stack([target, np.ones(ROWS)], axis=1)[None]
    columns = FixedColumns(np.zeros((ROWS, 1)), target, np.array([[False]]), np.zeros(1))

    assert columns.best(moving).values[0] == pytest.approx(0, abs=1e-12)
    assert columns.best(moving).changing[0] & 1
    held = columns.best(moving, without=0)
    assert held.changing[0] == 0b10
    assert held.values[0] == pytest.approx(squares(np.ones((ROWS, 1)), target))


def test_a_term_that_explains_less_than_its_price_is_left_out() -> None:
    rng = np.random.default_rng(7)
    grown = np.linspace(1, 5, ROWS)
    small = rng.uniform(0, 1, ROWS)
    target = grown + 0.01 * small
    sets, counted = np.array([[False], [True]]), np.array([0.0, 1.0])
    columns = FixedColumns(small[:, None], target, sets, counted)
    gain = squares(grown[:, None], target)

    assert columns.best(grown[None, :, None], price=0.5 * gain).fixed[0] == 1
    assert columns.best(grown[None, :, None], price=2.0 * gain).fixed[0] == 0


def test_a_target_below_zero_takes_nothing() -> None:
    target = -np.ones(ROWS)
    found = FixedColumns(np.ones((ROWS, 3)), target, EVERY_SET, np.zeros(8)).best(
        np.ones((2, ROWS, 2))
    )

    assert found.values.tolist() == pytest.approx([ROWS, ROWS])
    assert found.changing.tolist() == [0, 0]


def test_a_changing_column_like_a_fixed_one_is_no_accident() -> None:
    rng = np.random.default_rng(3)
    fixed, target = rng.uniform(0, 1, (ROWS, 3)), rng.uniform(0, 1, ROWS)
    found = FixedColumns(fixed, target, EVERY_SET, np.zeros(8)).best(fixed[None, :, :2] * 7)

    assert math.isfinite(found.values[0])
    assert found.values[0] == pytest.approx(squares(fixed, target), rel=1e-6)


def test_many_points_at_once_are_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    fixed, target = rng.uniform(0, 1, (ROWS, 3)), rng.uniform(0, 1, ROWS)
    moving = rng.uniform(0, 1, (17, ROWS, 2))
    columns = FixedColumns(fixed, target, EVERY_SET, np.zeros(8))
    whole = columns.best(moving)

    monkeypatch.setattr("reports.judge.models.non_negative._MOST_NUMBERS", 1)

    np.testing.assert_allclose(columns.best(moving).values, whole.values, rtol=1e-12)
    alone = [columns.best(one[None]).values[0] for one in moving]
    np.testing.assert_allclose(alone, whole.values, rtol=1e-12)
