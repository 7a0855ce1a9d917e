"""Which cells a round visits and in which order, with visits of known cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.cases import Plan, Series
from bench.cells import Cell, cells_of
from bench.rounds import FEWEST_WORKERS, MOST_ROUNDS, Rounds

SERIES = Series(
    implementations=("matmul", "sdpa"), seq_lens=(64, 256, 1024), d_models=(64, 128), head_dim=64
)


class KnownVisits:
    """Stands in for `Visits`: every visit costs the same, some cells are silent."""

    def __init__(self, cost_s: float = 1.0, silent: Sequence[Cell] = ()) -> None:
        self.costs = self
        self.cost_s = cost_s
        self.silent = [cell.key for cell in silent]
        self.done = 0
        self.times: dict[Any, list[float]] = {}
        self.noisy: list[Cell] = []

    def lacks_quiet(self, cell: Cell) -> bool:
        return cell in self.noisy

    def expected_s(self, cell: Cell) -> float:
        return self.cost_s

    def costs_time(self, cell: Cell) -> bool:
        return cell.key not in self.silent

    def measured(self, cell: Cell) -> Sequence[Any]:
        return [KnownTime(time_s) for time_s in self.times.get(cell.key, [])]

    def call_s(self, cell: Cell) -> float:
        return 1e-9 * cell.case.seq_len**2 * cell.case.d_model

    def left_s(self, number: int, cells: Sequence[Cell]) -> float:
        return self.cost_s * len(cells)


class KnownTime:
    def __init__(self, time_s: float) -> None:
        self.time_s = time_s


def rounds(deadline: float | None = None, visits: Any = None, **changes: Any) -> Rounds:
    plan = Plan(series=(SERIES,), **changes)
    return Rounds(
        plan=plan,
        cells=cells_of(plan),
        visits=visits or KnownVisits(),
        deadline=deadline,
        clock=lambda: 100.0,
    )


def budgeted(seconds: float, visits: Any = None) -> Rounds:
    return rounds(100.0 + seconds, visits, time_budget_s=seconds)


CELLS = cells_of(Plan(series=(SERIES,)))


def keys(cells: Sequence[Cell] | None) -> list[Any]:
    return [cell.key for cell in cells or ()]


def test_without_a_budget_every_round_is_every_cell_and_the_plan_says_how_many():
    found = rounds(rounds=4)

    orders = [found.order(number) for number in range(6)]

    assert [order is None for order in orders] == [False] * 4 + [True] * 2
    for order in orders[:4]:
        assert sorted(map(str, keys(order))) == sorted(map(str, keys(CELLS)))


def test_the_order_is_the_seeds_and_the_rounds_own():
    same, other = rounds(seed=3), rounds(seed=4)

    assert keys(same.order(0)) == keys(rounds(seed=3).order(0))
    assert keys(same.order(0)) != keys(same.order(1))
    assert keys(same.order(0)) != keys(other.order(0))


@pytest.mark.parametrize(("count", "parts"), [(1, 3), (2, 2), (3, 1), (7, 1)])
def test_few_rounds_are_split_among_as_many_workers_as_make_three(count, parts):
    found = rounds(rounds=count)
    order = found.order(0)

    shifts = found.shifts(order)

    assert len(shifts) == parts
    assert count * parts >= FEWEST_WORKERS
    assert sorted(map(str, (key for shift in shifts for key in keys(shift)))) == sorted(
        map(str, keys(order))
    )
    assert max(map(len, shifts)) - min(map(len, shifts)) <= 1


def test_there_are_no_more_workers_than_cells():
    (only,) = rounds(rounds=1).shifts(CELLS[:1])

    assert keys(only) == keys(CELLS[:1])


@pytest.mark.parametrize(("number", "rounds_left"), [(0, 3), (1, 2), (2, 1), (7, 1)])
def test_a_third_of_the_time_goes_to_each_of_the_first_three_rounds(number, rounds_left):
    visits = KnownVisits(cost_s=0.5)

    fewer = budgeted(8.0 * rounds_left, visits).order(number)
    more = budgeted(9.0 * rounds_left, visits).order(number)

    assert fewer
    assert more
    assert 0.5 * len(fewer) < 8.0
    assert len(more) - len(fewer) == 2


def test_cells_that_lack_quiet_visits_get_further_rounds_as_often_as_the_plan_retakes():
    visits = KnownVisits()
    visits.noisy = list(CELLS[:2])
    found = rounds(visits=visits, rounds=4, retakes=2)

    assert [len(found.order(number) or ()) for number in range(7)] == [len(CELLS)] * 4 + [2, 2, 0]
    assert set(keys(found.order(4))) == set(keys(CELLS[:2]))
    assert rounds(visits=visits, rounds=3, retakes=2).order(3) is None
    # The clock stands at 100 s: starting a process takes until 103 s, a visit a second.
    assert rounds(103.5, visits, rounds=4, retakes=2).order(4) is None
    assert rounds(104.5, visits, rounds=4, retakes=2).order(4) is not None


def test_where_three_rounds_cannot_be_paid_there_are_fewer_and_not_none():
    found = budgeted(9.0, KnownVisits(cost_s=0.5))

    assert found.order(0)


def test_a_round_that_can_be_paid_is_every_cell():
    assert len(budgeted(3 * (len(CELLS) + 5.0)).order(0)) == len(CELLS)


def test_rounds_go_on_until_the_time_is_spent():
    assert budgeted(10.0).order(7) is not None
    assert budgeted(0.5).order(7) is None
    assert budgeted(1e9).order(MOST_ROUNDS) is None


def test_a_round_visits_no_cell_twice():
    order = keys(budgeted(1e6).order(9))

    assert len(set(order)) == len(order) == len(CELLS)


def test_cells_that_only_say_why_they_are_not_measured_cost_nothing_and_stand_in_the_first_round():
    silent = CELLS[:2]
    found = budgeted(60.0, KnownVisits(silent=silent))

    first, second = keys(found.order(0)), keys(found.order(1))

    assert set(keys(silent)) <= set(first)
    assert not set(keys(silent)) & set(second)


def test_where_nothing_can_be_measured_there_is_one_round_to_say_so():
    found = budgeted(60.0, KnownVisits(silent=CELLS))

    assert len(found.order(0)) == len(CELLS)
    assert found.order(1) is None


def test_the_series_that_scatters_is_visited_first():
    visits = KnownVisits()
    for cell in CELLS:
        steady = visits.call_s(cell)
        noisy = cell.implementation.name == "sdpa"
        visits.times[cell.key] = [steady, steady * (1.5 if noisy else 1.001), steady]
    order = budgeted(8.5, visits).order(3)

    assert {cell.implementation.name for cell in order} == {"sdpa"}


def test_what_is_left_is_this_rounds_rest_and_all_later_rounds_with_their_processes():
    found = rounds(rounds=4)
    every = float(len(CELLS))

    left = [found.left_s(number, CELLS[:3]) for number in range(4)]

    assert left[3] == 3.0
    assert left[2] > 3.0 + every
    assert left[1] > 3.0 + 2 * every
    assert left[1] - left[2] >= left[2] - left[3]


def test_what_is_left_of_a_budget_is_never_negative():
    assert budgeted(60.0).left_s(0, CELLS) == 60.0
    assert budgeted(-5.0).left_s(0, CELLS) == 0.0
