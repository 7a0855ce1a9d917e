"""Which readings speak for a cell, and what their scatter tells."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from reports.cells.visits import chosen_visits, marked_noisy, readings, scatter_of, usual_scatter

# The last five cells are quiet: what is usual is told by the cells that nothing disturbed.
CELL = np.array([0, 0, 0, 1, 1, *(k for k in range(2, 7) for _ in range(3))], dtype=np.int64)
STEADY = [3.0, 3.03, 3.06] * 5
QUIET = np.zeros(CELL.size, dtype=np.bool_)


def test_without_times_every_undisturbed_visit_speaks() -> None:
    assert chosen_visits(QUIET, CELL).all()


def test_visits_of_a_slow_round_are_set_aside_cell_by_cell() -> None:
    times = np.array([1.0, 1.3, 1.09, 7.0, 7.5, *STEADY])
    assert chosen_visits(QUIET, CELL, times).tolist() == [True, False, True, *[True] * 17]


def test_where_all_readings_scatter_widely_none_is_called_slow() -> None:
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(40), 5)
    times = np.exp(rng.normal(0, 0.1, cell.size))
    assert chosen_visits(np.zeros(200, dtype=np.bool_), cell, times).mean() > 0.98
    times[::5] *= 3.0
    chosen = chosen_visits(np.zeros(200, dtype=np.bool_), cell, times)
    assert not chosen[::5].any()
    assert chosen.mean() > 0.78


def test_a_noisy_visit_does_not_set_the_pace_for_the_others() -> None:
    noisy = np.array([True, False, False, True, True, *[False] * 15])
    times = np.array([0.5, 1.3, 1.35, 7.0, 9.0, *STEADY])
    assert chosen_visits(noisy, CELL, times)[:5].tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("rounds", [2, 3, 5])
def test_the_usual_scatter_is_that_of_the_readings_whatever_a_few_slow_ones_do(rounds: int) -> None:
    rng = np.random.default_rng(rounds)
    cell = np.repeat(np.arange(400), rounds)
    logs = rng.normal(0, 0.03, cell.size)
    assert usual_scatter(logs, cell) == pytest.approx(0.03, rel=0.15)
    logs[rng.random(cell.size) < 0.05] += 1.0
    assert usual_scatter(logs, cell) == pytest.approx(0.03, rel=0.25)


def test_only_the_readings_of_a_clock_tell_slow_visits() -> None:
    frame = pd.DataFrame({"time_s": [1.0, 2.0], "joules": [1.0, 2.0], "elapsed (ms)": [3.0, 5.0]})
    assert readings(frame, "joules") is None
    for column in ("time_s", "elapsed (ms)"):
        found = readings(frame, column)
        assert found is not None
        assert found.tolist() == frame[column].tolist()


@pytest.mark.parametrize(("between", "within"), [(0.0, 0.02), (0.1, 0.02), (0.05, 0.05)])
def test_what_rounds_share_is_told_from_what_each_reading_has(
    between: float, within: float
) -> None:
    rng = np.random.default_rng(7)
    cells, rounds = 50, 40
    effects = rng.normal(0, between, rounds)
    cell = np.repeat(np.arange(cells), rounds)
    number = np.tile(np.arange(rounds), cells)
    logs = effects[number] + rng.normal(0, within, cell.size) + 3.0 * cell
    found = scatter_of(logs, cell, number)
    assert found.reading == pytest.approx(within, rel=0.05)
    assert found.rounds == pytest.approx(between, rel=0.3, abs=0.005)
    assert found.workers is None


def test_a_worker_that_served_several_rounds_is_told_from_them() -> None:
    rng = np.random.default_rng(11)
    cells, rounds = 30, 60
    worker_of = np.arange(rounds) // 3
    workers, effects = rng.normal(0, 0.1, 20), rng.normal(0, 0.02, rounds)
    cell = np.repeat(np.arange(cells), rounds)
    number = np.tile(np.arange(rounds), cells)
    logs = effects[number] + workers[worker_of[number]] + rng.normal(0, 0.01, cell.size)
    found = scatter_of(logs, cell, number, worker_of[number])
    assert found.workers == pytest.approx(0.1, rel=0.4)
    assert found.rounds == pytest.approx(0.02, rel=0.4)
    alone = scatter_of(logs, cell, number, number)
    assert alone.workers is None


def test_single_readings_tell_nothing_of_the_scatter() -> None:
    found = scatter_of(np.array([1.0, 2.0]), np.array([0, 1]))
    assert (found.reading, found.rounds, found.workers) == (None, None, None)


def test_a_replay_is_marked_by_being_slower_than_its_call_and_not_by_the_calls_own_noise() -> None:
    frame = pd.DataFrame(
        {
            "noisy": [True, False, False, True],
            "time_s": [1.0, 1.0, 1.0, 1.0],
            "graph_time_s": [0.5, 1.01, 1.05, math.nan],
        }
    )

    assert marked_noisy(frame).tolist() == [True, False, False, True]
    assert marked_noisy(frame, "time_s").tolist() == [True, False, False, True]
    assert marked_noisy(frame, "graph_time_s").tolist() == [False, False, True, False]
    assert marked_noisy(frame[["graph_time_s"]], "graph_time_s").tolist() == [False] * 4


def test_a_gpu_that_lowered_its_clock_marks_a_replay_as_well() -> None:
    reasons = [("samples spread by 20%",), ["GPU clock lowered: power limit"], (), None]
    frame = pd.DataFrame({"noise_reasons": reasons, "time_s": 1.0, "graph_time_s": 0.9})

    assert marked_noisy(frame, "graph_time_s").tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("called", "replayed"),
    [
        (["1.0", "1.0", "?"], [1.0, 1.5, 1.5]),
        (
            pd.array([1.0, 1.0, None], dtype="Float64"),
            pd.array([None, 1.5, 1.5], dtype="Float64"),
        ),
    ],
)
def test_times_as_text_or_with_gaps_mark_what_they_tell(called: object, replayed: object) -> None:
    frame = pd.DataFrame({"time_s": called, "graph_time_s": replayed})

    assert marked_noisy(frame, "graph_time_s").tolist() == [False, True, False]
