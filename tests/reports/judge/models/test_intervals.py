"""Minima and profile intervals of functions whose own are known."""

from collections.abc import Callable

import numpy as np
import pytest

from reports.judge.models.intervals import descend, intervals, search
from reports.laws.monomials import Floats
from tests.daily import daily

Objective = Callable[[Floats], Floats]

PRECISION = 0.002


def turned(size: int, narrowest: float, rng: np.random.Generator) -> Floats:
    """A quadratic form whose axes point anywhere, and whose bends differ by so many times."""
    axes = np.linalg.qr(rng.normal(size=(size, size)))[0]
    return np.asarray(axes @ np.diag(np.geomspace(1, narrowest, size)) @ axes.T)


def bowl(bends: Floats, at: Floats) -> Objective:
    return lambda points: np.einsum("ti,ij,tj->t", points - at, bends, points - at)


def box(size: int) -> tuple[Floats, Floats]:
    return np.full(size, -2.0), np.full(size, 2.0)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("narrowest", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("seed", daily(range(3)))
def test_a_known_minimum_is_found_in_any_number_of_sizes(
    size: int, narrowest: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    at = rng.uniform(-1.7, 1.7, size)
    found = search(bowl(turned(size, narrowest, rng), at), *box(size))
    np.testing.assert_allclose(found.best, at, atol=PRECISION)
    assert found.value <= found.grid.min()


@pytest.mark.parametrize("size", [2, 3])
def test_a_minimum_is_found_at_the_end_of_a_narrow_valley_along_the_diagonal(size: int) -> None:
    """Far from any grid point, quartic along the valley, so that no parabola is right."""
    at = np.full(size, 1.13)

    def valley(points: Floats) -> Floats:
        off = points - at
        along = off.mean(axis=1)
        across = off - along[:, None]
        return np.asarray(along**2 + along**4 + 1e4 * (across**2).sum(axis=1))

    found = search(valley, *box(size))
    np.testing.assert_allclose(found.best, at, atol=PRECISION)


def test_a_minimum_beyond_the_box_is_sought_at_its_edge() -> None:
    found = search(bowl(np.diag([1.0, 3.0]), np.array([3.0, 0.31])), *box(2))
    np.testing.assert_allclose(found.best, [2.0, 0.31], atol=PRECISION)


def test_a_descent_leaves_what_is_held_and_points_without_a_value() -> None:
    def half(points: Floats) -> Floats:
        value = ((points - [0.53, 0.47]) ** 2).sum(axis=1)
        return np.where(points[:, 0] > 0.5, np.inf, value)

    best, value = descend(half, np.array([-0.9, 0.2]), np.array([0.5, 0.0]), *box(2))
    np.testing.assert_allclose(best, [0.5, 0.2], atol=PRECISION)
    assert value == half(best[None])[0]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("narrowest", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("seed", range(2))
def test_intervals_of_a_quadratic_are_as_wide_as_they_should_be(
    size: int, narrowest: float, seed: int
) -> None:
    rng = np.random.default_rng(10 + seed)
    at = rng.uniform(-0.5, 0.5, size)
    bends = turned(size, narrowest, rng)
    objective, threshold = bowl(bends, at), 0.3
    found = search(objective, *box(size))
    half = np.sqrt(threshold * np.diag(np.linalg.inv(bends)))
    ends = intervals(objective, found, threshold, size)
    np.testing.assert_allclose(ends, np.column_stack([at - half, at + half]), atol=PRECISION)


def test_an_interval_that_the_box_cuts_has_no_end_there() -> None:
    objective = bowl(np.diag([1.0, 100.0]), np.array([1.5, 0.0]))
    (low, high), (below, above) = intervals(objective, search(objective, *box(2)), 1.0, 2)
    assert high is None
    assert low == pytest.approx(0.5, abs=PRECISION)
    assert (below, above) == (
        pytest.approx(-0.1, abs=PRECISION),
        pytest.approx(0.1, abs=PRECISION),
    )


def test_only_the_wanted_entries_get_an_interval() -> None:
    objective = bowl(np.diag([1.0, 4.0]), np.zeros(2))
    assert len(intervals(objective, search(objective, *box(2)), 0.1, 1)) == 1


def test_an_interval_reaches_to_the_outermost_part_of_a_region_in_two_parts() -> None:
    def two(points: Floats) -> Floats:
        x = points[:, 0]
        return np.asarray(np.minimum(40 * (x + 0.9) ** 2, 40 * (x - 1.1) ** 2 + 0.05))

    found = search(two, *box(1))
    assert found.best[0] == pytest.approx(-0.9, abs=PRECISION)
    ((low, high),) = intervals(two, found, 0.1, 1)
    assert low == pytest.approx(-0.9 - np.sqrt(0.1 / 40), abs=PRECISION)
    assert high == pytest.approx(1.1 + np.sqrt(0.05 / 40), abs=PRECISION)
