"""Which visits speak for a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.visits import chosen_visits, readings

CELL = np.array([0, 0, 0, 1, 1], dtype=np.int64)
QUIET = np.zeros(5, dtype=np.bool_)


def test_without_times_every_undisturbed_visit_speaks() -> None:
    assert chosen_visits(QUIET, CELL).all()


def test_visits_of_a_slow_round_are_set_aside_cell_by_cell() -> None:
    times = np.array([1.0, 1.3, 1.09, 7.0, 7.5])
    assert chosen_visits(QUIET, CELL, times).tolist() == [True, False, True, True, True]


def test_a_noisy_visit_does_not_set_the_pace_for_the_others() -> None:
    noisy = np.array([True, False, False, True, True])
    times = np.array([0.5, 1.3, 1.35, 7.0, 9.0])
    assert chosen_visits(noisy, CELL, times).tolist() == [False, True, True, True, False]


def test_only_the_times_of_a_sweep_tell_slow_visits() -> None:
    frame = pd.DataFrame({"time_s": [1.0, 2.0], "joules": [1.0, 2.0]})
    assert readings(frame, "time_s") is None
    rounds = frame.assign(round=[0, 1])
    assert readings(rounds, "joules") is None
    found = readings(rounds, "time_s")
    assert found is not None
    assert found.tolist() == [1.0, 2.0]
