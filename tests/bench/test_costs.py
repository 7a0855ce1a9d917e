"""What visits will cost: by the forecast at first, then by what they did cost."""

from dataclasses import replace

import pytest

from bench.cases import Plan, Series
from bench.cells import Cell, cells_of
from bench.costs import FEWEST_RATIOS, FIXED_S, WARM_UP_CALLS, VisitCosts
from bench.forecast import Forecast, Observation

PLAN = Plan(
    series=(
        Series(implementations=("matmul",), seq_lens=(8, 16, 512), d_models=(11,), head_dim=11),
    ),
    visit_s=0.2,
    min_samples=3,
)
SMALL, MIDDLE, LARGE = cells_of(PLAN)


def forecast(call_s: float | None = None) -> Forecast:
    """The law n²·d, and the seconds of the smallest cell."""
    found = Forecast(lambda law, case: float(case.seq_len**2 * case.d_model))
    if call_s is not None:
        observed = Observation(case=SMALL.case, time_s=call_s, workspace_bytes=None)
        found.observe("matmul", observed)
    return found


def expected_s(cell, call_s: float | None, plan: Plan = PLAN) -> float:
    return VisitCosts(plan, forecast(call_s)).expected_s(cell)


def test_before_anything_is_known_a_visit_takes_more_than_nothing():
    assert expected_s(SMALL, None) >= FIXED_S


def test_long_calls_cost_their_warm_up_and_the_fewest_samples():
    assert expected_s(SMALL, 2.0) == pytest.approx((WARM_UP_CALLS + 3) * 2.0 + FIXED_S, rel=1e-3)


def test_short_calls_cost_what_they_may_sample_for_at_most():
    assert expected_s(SMALL, 0.05) == pytest.approx(3 * 0.05 + 0.2 + FIXED_S, rel=1e-3)
    less = replace(PLAN, visit_s=0.1, min_samples=1)
    assert expected_s(SMALL, 0.05, less) == pytest.approx(3 * 0.05 + 0.1 + FIXED_S, rel=1e-3)


def test_larger_cells_are_expected_to_cost_what_their_calls_take():
    assert expected_s(MIDDLE, 1.0) == pytest.approx(4 * 6.0 + FIXED_S, rel=1e-3)


def test_large_inputs_take_a_while_to_be_drawn():
    series = replace(PLAN.series[0], seq_lens=(2**20,), batch=64)
    (huge,) = cells_of(replace(PLAN, series=(series,)))

    assert expected_s(huge, None) > expected_s(SMALL, None) + 1.0


def test_what_a_visit_did_cost_counts_more_than_any_forecast():
    costs = VisitCosts(PLAN, forecast(1.0))

    for seconds in (9.0, 7.0, 50.0):
        costs.observe(SMALL, seconds)

    assert costs.expected_s(SMALL) == 9.0


def others(count: int) -> list[Cell]:
    """Cells of the series whose sizes no other cell of these tests has."""
    return [
        replace(SMALL, case=replace(SMALL.case, seq_len=17 + one, key_len=17 + one))
        for one in range(count)
    ]


def test_the_ratio_of_cost_to_forecast_corrects_that_of_cells_not_yet_seen():
    costs, plain = (VisitCosts(PLAN, forecast(1.0)) for _ in range(2))
    seen = others(FEWEST_RATIOS)

    for cell in seen[:-1]:
        costs.observe(cell, 2 * plain.expected_s(cell))
    assert costs.expected_s(LARGE) == plain.expected_s(LARGE), "too few to tell"
    # One visit that was disturbed among many is not what is usual.
    costs.observe(seen[-1], 100 * plain.expected_s(seen[-1]))

    assert costs.expected_s(LARGE) == pytest.approx(2 * plain.expected_s(LARGE))


def test_a_second_visit_to_a_cell_says_nothing_new_of_others():
    costs = VisitCosts(PLAN, forecast(1.0))
    for cell in (SMALL, *others(FEWEST_RATIOS)):
        costs.observe(cell, costs.expected_s(cell))
    before_s = costs.expected_s(LARGE)

    for _ in range(99):
        costs.observe(SMALL, 1000.0)

    assert costs.expected_s(LARGE) == before_s
