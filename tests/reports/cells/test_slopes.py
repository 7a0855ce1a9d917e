from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports.cells.slopes import COLUMNS, local_slopes
from reports.tables.columns import TableError

Sweep = Callable[..., pd.DataFrame]


def test_a_pure_power_has_its_exponent_as_slope_everywhere(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], overhead=0, reading=0, shared=0, implementation="sdpa")
    along_n = local_slopes(table)
    along_d = local_slopes(table, against="d_model")
    np.testing.assert_allclose(along_n["slope"], 2)
    np.testing.assert_allclose(along_d["slope"], 1)
    assert list(along_n.columns) == ["implementation", "d_model", *COLUMNS]
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
    one = local_slopes(table).query("d_model == 64")
    assert one["slope"].is_monotonic_increasing
    assert one["slope"].iloc[0] < 0.2 < 1.9 < one["slope"].iloc[-1]


def test_intervals_come_from_the_spread_of_visits_and_hold_the_slope(sweep: Sweep) -> None:
    held = []
    for seed in range(20):
        table = sweep([(1.0, "n^2*d")], seed=seed, overhead=0, shared=0, rounds=5)
        slopes = local_slopes(table)
        held.append(((slopes["low"] <= 2) & (slopes["high"] >= 2)).mean())
    assert 0.92 <= np.mean(held) <= 0.99


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


def test_each_way_of_growing_d_model_is_a_series_of_its_own() -> None:
    rows = [("heads", h, 64, 64 * h) for h in (1, 2, 4)]
    rows += [("head_dim", 1, dim, dim) for dim in (64, 128, 256)]
    table = pd.DataFrame(rows, columns=["growth", "num_heads", "head_dim", "d_model"])
    table["seq_len"] = 128
    table["time_s"] = table["d_model"] ** np.where(table["growth"] == "heads", 1.0, 2.0)
    slopes = local_slopes(table, against="d_model")
    assert slopes.groupby("growth")["slope"].mean().to_dict() == pytest.approx(
        {"heads": 1.0, "head_dim": 2.0}
    )


def test_rows_without_a_measurement_are_left_out(sweep: Sweep) -> None:
    table = sweep([(1.0, "n")], cells=[(3, 7), (5, 7), (11, 7)])
    table.loc[table["seq_len"] == 5, ["status", "time_s"]] = ["timeout", np.nan]
    assert list(local_slopes(table)["size_high"]) == [11]


def test_a_single_size_has_no_slope_but_the_columns(sweep: Sweep) -> None:
    assert list(local_slopes(sweep([(1.0, "n")], cells=[(3, 7)])).columns) == list(COLUMNS)


def test_an_unknown_column_is_named(sweep: Sweep) -> None:
    with pytest.raises(TableError, match='no column "length"'):
        local_slopes(sweep([(1.0, "n")]), against="length")
