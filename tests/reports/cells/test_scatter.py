"""How readings of one cell differ, and by what."""

from __future__ import annotations

import numpy as np
import pytest

from reports.cells.scatter import scatter_of


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
