"""Local exponents from each size to the next, of single series and of the cells of a fit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports.cells.cell_table import cell_table, measured
from reports.cells.cells import cells_of
from reports.cells.slopes import COLUMNS, steps_of
from reports.cells.slopes import local_slopes as slopes_of_cells
from reports.judge.fit import fit
from reports.tables.columns import TableError

Sweep = Callable[..., pd.DataFrame]


def local_slopes(frame: pd.DataFrame, against: str = "seq_len") -> pd.DataFrame:
    return slopes_of_cells(measured(cell_table(frame)), against=against)


def test_a_pure_power_has_its_exponent_as_slope_everywhere(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], overhead=0, reading=0, shared=0, implementation="sdpa")
    along_n = local_slopes(table)
    along_d = local_slopes(table, against="d_model")
    np.testing.assert_allclose(along_n["slope"], 2)
    np.testing.assert_allclose(along_d["slope"], 1)
    assert list(along_n.columns) == list(COLUMNS)
    assert len(along_n) == 6 * 5
    assert len(along_d) == 4 * 7


def test_slopes_stand_at_geometric_midpoints_of_neighbours(sweep: Sweep) -> None:
    table = sweep([(1.0, "n")], cells=[(3, 7), (5, 7), (11, 7)])
    slopes = local_slopes(table)
    np.testing.assert_allclose(slopes["at"], [np.sqrt(15), np.sqrt(55)])
    assert list(slopes["size_low"]) == [3, 5]
    assert list(slopes["size_high"]) == [5, 11]


def test_overhead_bends_the_slope_down_where_sizes_are_small(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2")], overhead=1.0, reading=0, shared=0)
    one = local_slopes(table[table["d_model"] == 64])
    assert one["slope"].is_monotonic_increasing
    assert one["slope"].iloc[0] < 0.2 < 1.9 < one["slope"].iloc[-1]


def test_intervals_come_from_the_spread_of_visits_and_hold_the_slope(sweep: Sweep) -> None:
    held = []
    for seed in range(8):
        table = sweep([(1.0, "n^2*d")], seed=seed, overhead=0, shared=0, rounds=5)
        slopes = local_slopes(table)
        held.append(((slopes["low"] <= 2) & (slopes["high"] >= 2)).mean())
    assert 0.92 <= np.mean(held) <= 0.99


def test_rows_of_the_same_size_count_as_one(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], overhead=0, reading=0, shared=0)
    twice = pd.concat([table.assign(claim=claim) for claim in ("n^2*d", "n^2*d + n")])
    slopes = local_slopes(twice)
    assert len(slopes) == len(local_slopes(table))
    np.testing.assert_allclose(slopes["slope"], 2)


def test_single_visits_have_slopes_without_interval(sweep: Sweep) -> None:
    slopes = local_slopes(sweep([(1.0, "n^2*d")], rounds=1))
    assert slopes["slope"].notna().all()
    assert slopes[["low", "high"]].isna().all(axis=None)


def test_sizes_that_move_along_do_not_split_a_series() -> None:
    table = pd.DataFrame(
        {
            "seq_len": [3, 5, 7],
            "key_len": [3, 5, 7],
            "num_heads": [2, 2, 2],
            "time_s": [9.0, 25.0, 49.0],
        }
    )
    np.testing.assert_allclose(local_slopes(table)["slope"], [2, 2])


def test_rows_without_a_measurement_are_left_out(sweep: Sweep) -> None:
    table = sweep([(1.0, "n")], cells=[(3, 7), (5, 7), (11, 7)])
    table.loc[table["seq_len"] == 5, ["status", "time_s"]] = ["timeout", np.nan]
    assert list(local_slopes(table)["size_high"]) == [11]


def test_a_single_size_has_no_slope_but_the_columns(sweep: Sweep) -> None:
    assert list(local_slopes(sweep([(1.0, "n")], cells=[(3, 7)])).columns) == list(COLUMNS)


def test_an_unknown_column_is_named(sweep: Sweep) -> None:
    with pytest.raises(TableError, match='no column "length"'):
        local_slopes(sweep([(1.0, "n")]), against="length")


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
    exact = cells_of(grid(lambda n, d: n**2 * d), SIZES, "time_s")
    for _ in range(150):
        cells = replace(exact, cost=exact.cost * np.exp(rng.normal(0, 0.03, len(exact))))
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
