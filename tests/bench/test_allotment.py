"""Where limited time goes: to the visits that narrow the exponents most, and never for nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.allotment import LEAST_SCATTER, MISFIT, PRIOR_WEIGHT, Candidate, allot

N = (128, 256, 512, 1024)
D = (64, 128, 256)


def candidate(**changes) -> Candidate:
    plain = {"series": "a", "seq_len": 128, "d_model": 64, "call_s": 1.0, "visits": 0}
    return Candidate(**{**plain, "scatter": 0.03, "cost_s": 1.0, **changes})


def grid(series: str = "a", **changes) -> list[Candidate]:
    """Every cell of a grid whose time is n²·d, with next to no overhead."""
    return [
        candidate(series=series, seq_len=n, d_model=d, call_s=1e-9 * n * n * d, **changes)
        for n in N
        for d in D
    ]


def variance(candidates, chosen) -> float:
    """Sum of both exponents' variances after the chosen visits, by the textbook formula."""
    total = 0.0
    for name in {one.series for one in candidates}:
        members = [(i, one) for i, one in enumerate(candidates) if one.series == name]
        information = PRIOR_WEIGHT * np.eye(4)
        overhead_s = min((one.call_s for _, one in members if one.call_s), default=0.0)
        centre_n = np.mean([math.log(one.seq_len) for _, one in members])
        centre_d = np.mean([math.log(one.d_model) for _, one in members])
        for index, one in members:
            visits = one.visits + list(chosen).count(index)
            if not visits:
                continue
            share = min(1.0, overhead_s / one.call_s) if one.call_s else 0.0
            n, d = math.log(one.seq_len) - centre_n, math.log(one.d_model) - centre_d
            row = np.array([share, 1 - share, (1 - share) * n, (1 - share) * d])
            weight = 1 / (MISFIT**2 + max(one.scatter, LEAST_SCATTER) ** 2 / visits)
            information += weight * np.outer(row, row)
        total += np.trace(np.linalg.inv(information)[2:, 2:])
    return total


cells = st.builds(
    candidate,
    series=st.sampled_from("ab"),
    seq_len=st.sampled_from(N),
    d_model=st.sampled_from(D),
    call_s=st.none() | st.floats(1e-5, 1.0),
    visits=st.integers(0, 5),
    scatter=st.floats(0.0, 0.5),
    cost_s=st.floats(0.05, 3.0),
)


@given(st.lists(cells, min_size=1, max_size=12), st.floats(0.0, 20.0))
def test_no_cell_is_chosen_twice_and_the_seconds_are_kept(candidates, seconds):
    chosen = allot(candidates, seconds)

    assert len(set(chosen)) == len(chosen)
    assert sum(candidates[index].cost_s for index in chosen) <= seconds * (1 + 1e-9)


@given(st.lists(cells, min_size=1, max_size=12), st.floats(0.0, 20.0))
def test_time_is_left_over_only_if_nothing_more_fits(candidates, seconds):
    chosen = allot(candidates, seconds)

    left_s = seconds - sum(candidates[index].cost_s for index in chosen)
    rest = [one.cost_s for index, one in enumerate(candidates) if index not in chosen]
    assert all(cost_s > left_s - 1e-9 for cost_s in rest)


@given(st.lists(cells, min_size=1, max_size=10), st.floats(0.1, 10.0))
def test_any_visit_lowers_the_variance(candidates, seconds):
    chosen = allot(candidates, seconds)

    for number in range(len(chosen)):
        before = variance(candidates, chosen[:number])
        assert variance(candidates, chosen[: number + 1]) <= before * (1 + 1e-6)


@given(st.floats(0.5, 8.0), st.floats(0.0, 8.0))
def test_of_visits_that_cost_the_same_more_time_never_leaves_wider_intervals(seconds, more):
    candidates = grid()

    short, long = allot(candidates, seconds), allot(candidates, seconds + more)

    assert long[: len(short)] == short
    assert variance(candidates, long) <= variance(candidates, short) * (1 + 1e-9)


def test_each_choice_takes_most_off_the_variance_for_its_seconds():
    candidates = [
        replace(one, cost_s=0.5 + 2 * one.call_s, visits=index % 2)
        for index, one in enumerate(grid())
    ]

    chosen = allot(candidates, 4.0)

    assert len(chosen) >= 4
    for number, index in enumerate(chosen):
        before = variance(candidates, chosen[:number])
        left_s = 4.0 - sum(candidates[i].cost_s for i in chosen[:number])
        gains = {
            i: (before - variance(candidates, [*chosen[:number], i])) / one.cost_s
            for i, one in enumerate(candidates)
            if i not in chosen[:number] and one.cost_s <= left_s
        }
        assert gains[index] == pytest.approx(max(gains.values()), rel=1e-6)


def test_by_hand_the_ends_of_a_line_come_before_its_middle():
    # One width, every size seen once, the overhead negligible: what a visit says of n's exponent
    # is its distance from the middle of log n, so that the outermost sizes come first.
    line = [candidate(seq_len=n, call_s=1.0, visits=1) for n in (128, 256, 512, 1024, 2048)]
    overhead = candidate(seq_len=512, call_s=1e-9, visits=1, cost_s=100.0)

    chosen = allot([*line, overhead], 5.0)

    assert {line[index].seq_len for index in chosen[:2]} == {128, 2048}
    assert line[chosen[-1]].seq_len == 512


def test_of_two_equal_cells_the_cheaper_is_visited_first():
    known = grid(visits=3, cost_s=50.0)
    corner = replace(known[-1], visits=0)
    dear, cheap = replace(corner, cost_s=2.0), replace(corner, cost_s=1.0)

    assert allot([*known, dear, cheap], 5.0) == [len(known) + 1, len(known)]
    assert allot([*known, dear, cheap], 1.5) == [len(known) + 1]


def test_a_series_with_wider_intervals_comes_first():
    quiet, noisy = grid("quiet", visits=3, scatter=0.01), grid("noisy", visits=3, scatter=0.2)

    chosen = allot([*quiet, *noisy], 4.0)

    assert len(chosen) == 4
    assert all(index >= len(quiet) for index in chosen)


def test_a_series_that_was_visited_less_comes_first():
    often, seldom = grid("often", visits=9), grid("seldom", visits=1)

    assert all(index >= len(often) for index in allot([*often, *seldom], 4.0))


def test_a_cell_that_is_all_overhead_says_nothing_of_the_exponents():
    flat = [
        candidate(
            seq_len=n, d_model=64, call_s=1e-5 if n < 512 else 1e-5 * (n / 256) ** 2, visits=1
        )
        for n in (64, 128, 256, 512, 1024, 2048)
    ]

    chosen = allot(flat, 2.0)

    assert {flat[index].seq_len for index in chosen} <= {512, 1024, 2048}


@pytest.mark.parametrize("candidates", [[], [candidate(cost_s=2.0)]])
def test_where_nothing_fits_nothing_is_chosen(candidates):
    assert allot(candidates, 1.0) == []


def test_without_any_time_known_cells_are_chosen_all_the_same():
    unknown = [replace(one, call_s=None) for one in grid()]

    assert sorted(allot(unknown, 100.0)) == list(range(len(unknown)))
