"""Whether a claim with one jump of the cost reaches a score: on cells whose jump is known."""

import math

import numpy as np
import pytest

from reports.cells.cells import Cells
from reports.cells.scatter import Scatter
from reports.judge.models.error_scale import Setting
from reports.judge.models.model import Model
from reports.judge.refutation import LARGEST_FACTOR, one_jump_reaches
from reports.laws.grammar import parse
from reports.laws.monomials import Floats

DOUBLING = 2.0 ** np.arange(5, 15)


def setting_of(cost: Floats, claim: str = "n", n: Floats = DOUBLING) -> Setting:
    ones = np.ones(n.size)
    cells = Cells(
        sizes={"n": n},
        cost=cost,
        weights=ones,
        visits=ones.astype(np.int64),
        scatter=Scatter(),
        aside=np.zeros(n.size, dtype=np.int64),
        covariates={},
        noisy=0.0,
        censored=0,
        unmeasured=0,
    )
    return Setting(cells=cells, law=parse(claim), names=("n",), confidence=0.95, exact=False)


def reaches(
    setting: Setting, rms: float, *, fewest: int = 1, share: tuple[int, float] | None = None
) -> bool:
    """Whether the claim with a jump is off by less than `rms` in a typical cell."""
    model = Model(setting.cells, setting.law, names=setting.names)
    spent = model.solve(model.claimed).active + 2
    score = setting.criterion(rms**2 * len(setting.cells), spent)
    return one_jump_reaches(setting, model, fewest, score, share)


def plain_rms(setting: Setting) -> float:
    model = Model(setting.cells, setting.law, names=setting.names)
    return math.sqrt(model.solve(model.claimed).sse / len(setting.cells))


@pytest.mark.parametrize("factor", [1.25, 2.0, 4.5])
@pytest.mark.parametrize("place", [1, 4, 9])
def test_a_factor_at_a_threshold_is_found_wherever_it_lies(factor: float, place: int) -> None:
    grown = 0.3 * DOUBLING * np.where(np.arange(10) >= place, factor, 1.0)
    setting = setting_of(3 + grown)

    assert plain_rms(setting) > 0.02
    assert reaches(setting, 0.006)


@pytest.mark.parametrize("factor", [0.3, 0.5])
def test_a_cost_that_falls_saves_no_claim_since_neither_caches_nor_faults_do_that(
    factor: float,
) -> None:
    grown = 0.3 * DOUBLING * np.where(np.arange(10) >= 4, factor, 1.0)

    assert not reaches(setting_of(3 + grown), 0.006)


@pytest.mark.parametrize("steps", [4.0, 10.0])
def test_one_dearer_cell_at_the_end_of_a_coarse_grid_is_a_jump(steps: float) -> None:
    n = steps ** np.arange(1, 9)
    cost = 30 + 0.3 * n
    cost[-1] *= 1.25

    assert reaches(setting_of(cost, n=n), 0.006)


def test_one_cell_is_no_side_of_a_jump_where_two_are_asked_for() -> None:
    cost = 0.3 * DOUBLING
    cost[-1] *= 4
    setting = setting_of(cost)

    assert reaches(setting, 0.006, fewest=1)
    assert not reaches(setting, 0.006, fewest=2)


def test_a_lower_term_that_costs_more_from_a_size_on_is_a_jump() -> None:
    cost = 1e-3 * DOUBLING**2 + DOUBLING * np.where(np.arange(10) >= 5, 3.0, 1.0)
    setting = setting_of(cost, "n^2")

    assert plain_rms(setting) > 0.05
    assert reaches(setting, 0.006)


def test_a_floor_below_which_all_cells_read_one_value_is_a_jump() -> None:
    cost = np.maximum(0.3 * DOUBLING, 40.0)
    setting = setting_of(cost)

    assert plain_rms(setting) > 0.05
    assert reaches(setting, 0.006)


def test_a_change_that_takes_two_sizes_is_a_jump_too() -> None:
    cost = 0.3 * DOUBLING * 2.0 ** np.clip((np.arange(10) - 4) / 2, 0, 1)

    assert reaches(setting_of(cost), 0.006)


@pytest.mark.parametrize("power", [1.3, 1.5, 2.0])
def test_no_jump_turns_a_power_into_a_lower_one(power: float) -> None:
    assert not reaches(setting_of(DOUBLING**power), 0.05)


def test_two_jumps_are_not_one() -> None:
    steps = np.searchsorted([3, 7], np.arange(10), side="right")
    cost = 0.3 * DOUBLING * 2.5**steps

    assert not reaches(setting_of(cost), 0.03)


def test_no_jump_is_larger_than_machines_make_them() -> None:
    late = np.arange(10) >= 6
    assert reaches(setting_of(DOUBLING * np.where(late, 0.99 * LARGEST_FACTOR, 1.0)), 0.006)
    assert not reaches(setting_of(DOUBLING * np.where(late, 4 * LARGEST_FACTOR, 1.0)), 0.05)


def test_a_score_that_nothing_can_reach_is_not_reached() -> None:
    setting = setting_of(0.3 * DOUBLING)
    model = Model(setting.cells, setting.law, names=setting.names)

    assert not one_jump_reaches(setting, model, 1, -math.inf)


def test_a_term_held_at_a_share_that_it_has_not_needs_a_jump_that_is_not_there() -> None:
    n, ones = DOUBLING, np.ones(10)
    there = setting_of(n * 5 + 1e-3 * n**2, "n^2")
    absent = setting_of(n * ones, "n^2")

    assert reaches(there, 0.05, share=(0, 0.76))
    assert not reaches(absent, 0.01, share=(0, 0.5))
