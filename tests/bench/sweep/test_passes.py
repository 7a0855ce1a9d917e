"""Passes: who takes part in which, in an order of the seed's own, and what fits into the time."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.cells import Cell, cells_of
from bench.plan.plan import Plan, Series
from bench.sweep.passes import COSTLY_S, LONGEST_PERIOD, Passes, period, visit_s
from bench.timing.stopwatch import COLD_S, READING_S

SERIES = Series(
    implementations=("matmul", "sdpa"), seq_lens=(5, 7, 11, 13), d_models=(22, 33), head_dim=11
)
CELLS = cells_of(Plan(series=(SERIES,)))
costs = st.lists(st.floats(1e-6, 0.5), min_size=len(CELLS), max_size=len(CELLS))
turns = st.floats(0.01, 60.0)


def passes(call_s: list[float], turn_s: float = 1e9, seed: str = "3/0") -> Passes:
    known = {cell.key: one for cell, one in zip(CELLS, call_s, strict=True)}
    return Passes(CELLS, lambda cell: known[cell.key], turn_s=turn_s, seed=seed)


def keys(cells: list[Cell]) -> list[object]:
    return [cell.key for cell in cells]


CHEAP = [1e-4] * len(CELLS)


def test_every_pass_of_cheap_cells_has_each_of_them_once_in_an_order_of_its_own():
    made = passes(CHEAP)

    orders = [keys(made.next()) for _ in range(5)]

    assert all(Counter(order) == Counter(keys(CELLS)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5


def test_the_order_is_the_seeds_own():
    first, again, other = (
        [keys(one.next()) for _ in range(3)]
        for one in (passes(CHEAP), passes(CHEAP), passes(CHEAP, seed="3/1"))
    )

    assert first == again != other


@pytest.mark.parametrize(
    ("call_s", "passes_in_turn", "every"),
    [
        (0.0, 100.0, 1),
        (COSTLY_S, 100.0, 1),
        (1.1 * COSTLY_S, 100.0, 2),
        (2.1 * COSTLY_S, 100.0, 3),
        (99 * COSTLY_S, 100.0, LONGEST_PERIOD),
        (99 * COSTLY_S, 2.9, 2),
        (99 * COSTLY_S, 0.1, 1),
    ],
)
def test_costly_cells_take_part_in_every_kth_pass_if_the_turn_has_so_many(
    call_s, passes_in_turn, every
):
    assert period(call_s, passes_in_turn) == every


def test_a_costly_cell_comes_at_even_distances_and_the_cheap_ones_every_time():
    made = passes([*CHEAP[:-1], 99 * COSTLY_S])

    orders = [keys(made.next()) for _ in range(5 * LONGEST_PERIOD)]

    where = [number for number, order in enumerate(orders) if CELLS[-1].key in order]
    assert len(where) == 5
    assert {later - earlier for earlier, later in pairwise(where)} == {LONGEST_PERIOD}
    assert all(set(keys(CELLS[:-1])) <= set(order) for order in orders)


def test_costly_cells_do_not_all_come_in_the_same_pass():
    made = passes([99 * COSTLY_S] * len(CELLS))

    assert max(len(made.next()) for _ in range(LONGEST_PERIOD)) < len(CELLS)


@given(costs, st.floats(0.01, 3.0))
def test_each_cell_is_seen_at_least_once_in_a_turn(call_s, whole_passes):
    taken_s = {cell.key: visit_s(one) for cell, one in zip(CELLS, call_s, strict=True)}
    turn_s = whole_passes * sum(taken_s.values())
    made, seen, spent_s = passes(call_s, turn_s), Counter(), 0.0

    while spent_s < turn_s:
        order = keys(made.next())
        seen.update(order)
        spent_s += sum(taken_s[key] for key in order)

    assert seen.keys() == set(keys(CELLS))


@given(costs, turns, st.floats(0.0, 1.0))
def test_a_pass_keeps_to_the_time_left_and_is_empty_only_if_nothing_fits(call_s, turn_s, left_s):
    taken_s = {cell.key: visit_s(one) for cell, one in zip(CELLS, call_s, strict=True)}
    made = passes(call_s, turn_s)

    for _ in range(LONGEST_PERIOD + 1):
        order = keys(made.next(left_s))
        assert sum(taken_s[key] for key in order) <= left_s * (1 + 1e-9)
        assert bool(order) == (min(taken_s.values()) <= left_s)


def test_without_cells_a_pass_is_empty():
    assert Passes([], lambda cell: 0.0, turn_s=1.0, seed="").next() == []


def test_a_visit_takes_a_reading_or_a_call_and_of_short_calls_one_to_warm_the_caches():
    besides_s = visit_s(0.0) - READING_S

    assert 0 < besides_s < READING_S
    assert visit_s(READING_S / 3) == pytest.approx(READING_S * 4 / 3 + besides_s)
    assert visit_s(COLD_S) == pytest.approx(COLD_S + besides_s)
