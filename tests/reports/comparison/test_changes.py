"""Errors and explanations of few cells."""

import numpy as np
import pytest

from bench.records import CELL
from reports.comparison.differences import between_runs
from reports.comparison.law_change import fixed_cost
from reports.comparison.turns import CellReadings


def test_the_turns_in_which_a_cell_was_read_are_the_freedom_of_its_error():
    cells = {
        tuple(name if column == "implementation" else None for column in CELL): CellReadings(
            of_turns={turn: (1.0 + turn / 100, 1.1) for turn in range(turns)},
            process_of={turn: turn % 3 for turn in range(turns)},
        )
        for name, turns in (("often", 6), ("seldom", 2))
    }

    weights = np.array([[1.0, 0.0], [0.0, 2.0], [0.5, 0.5]])
    _, freedom = between_runs(cells, cells).errors(weights, weights, 0.0)

    assert freedom.tolist() == pytest.approx([10, 2, 6])


def test_a_fixed_cost_that_leaves_nothing_of_a_call_explains_nothing():
    base_s = np.array([1.0, 2.0, 4.0, 8.0])
    logs = np.log([1e-3, 0.5, 0.75, 0.875])

    assert fixed_cost(base_s, logs, [np.log(base_s)]) is None
