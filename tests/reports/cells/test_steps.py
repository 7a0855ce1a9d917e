"""Local exponents from each size to the next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports.cells.cells import cells_of
from reports.cells.steps import steps_of
from reports.judge.fit import fit

SIZES = {"n": "n", "d": "d"}


def grid(cost: Callable[[float, float], float]) -> pd.DataFrame:
    rows = [(n, d, cost(n, d)) for n in (3, 5, 11, 23) for d in (7, 13, 17)]
    return pd.DataFrame(rows, columns=["n", "d", "time_s"])


def test_every_step_of_a_power_law_is_its_exponent() -> None:
    cells = cells_of(grid(lambda n, d: n**1.5 * d), SIZES, "time_s")
    steps = steps_of(cells, ("n", "d"), error=0.01, free=9, confidence=0.95)
    assert [(s.size, s.start, s.end) for s in steps if s.size == "d"] == [
        ("d", 7, 13),
        ("d", 13, 17),
    ]
    for step in steps:
        assert step.slope == pytest.approx({"n": 1.5, "d": 1.0}[step.size])
        assert step.low < step.slope < step.high
        assert step.series == {"n": 3, "d": 4}[step.size]


def test_overhead_bends_the_first_step_and_not_the_last() -> None:
    cells = cells_of(grid(lambda n, d: 2e3 + n**4 * d), SIZES, "time_s")
    slopes = [
        s.slope
        for s in steps_of(cells, ("n",), error=0.01, free=9, confidence=0.95)
        if s.size == "n"
    ]
    assert slopes == sorted(slopes)
    assert slopes[0] < 3.0
    assert slopes[-1] > 3.9


def test_values_without_a_common_cell_have_no_step() -> None:
    table = pd.DataFrame({"n": [3, 5, 11], "d": [7, 13, 13], "time_s": [1.0, 2.0, 3.0]})
    steps = steps_of(cells_of(table, SIZES, "time_s"), ("n",), error=0.01, free=3, confidence=0.95)
    assert [(s.start, s.end) for s in steps] == [(5.0, 11.0)]


def test_intervals_hold_the_slope_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(5)
    inside = total = 0
    for _ in range(150):
        table = grid(lambda n, d: n**2 * d)
        table["time_s"] *= np.exp(rng.normal(0, 0.03, len(table)))
        cells = cells_of(table, SIZES, "time_s")
        for step in steps_of(cells, ("n",), error=0.03, free=10**6, confidence=0.95):
            total += 1
            inside += step.low <= 2 <= step.high
    assert 0.91 <= inside / total <= 0.98


def test_a_fit_has_the_steps_of_its_cells() -> None:
    cost = [(n, d) for n in (32, 64, 128, 256, 512) for d in (8, 16, 32, 64)]
    table = pd.DataFrame(cost, columns=["n", "d"])
    table["time_s"] = 1e-9 * table["n"] ** 2 * table["d"]
    found = fit(table, sizes=SIZES, claim="n^2*d")
    assert [s.slope for s in found.local_slopes if s.size == "n"] == pytest.approx([2.0] * 4)
    assert len(found.to_dict()["local_slopes"]) == 7
