"""Speed relative to another implementation, and who wins where."""

from __future__ import annotations

import math
from itertools import product

import pandas as pd
import pytest

from reports.figures.drawing.split import views
from reports.figures.drawing.view import View
from reports.figures.speed_against_n import SpeedAgainstN
from reports.figures.winner_over_sizes import WinnerOverSizes
from reports.tables.rounds import TURNS, Turn
from tests.reports.figures.some_cells import record, view_of

SIZES = [(n, d) for n in (128, 256, 512) for d in (64, 128)]
COSTS = {"sdpa": 1.0, "half": 2.0, "level": 1.001}


def measured(costs: dict[str, float], *, workers: int = 4) -> pd.DataFrame:
    """Every process reads all, a little differently: the second is never 2 % from the first."""
    rows = []
    for name, cost in costs.items():
        for (n, d), worker in product(SIZES, range(workers)):
            time_s = 1e-9 * n * n * d * cost * (1 + 0.01 * math.sin(worker * 7 + len(name)))
            turns = {TURNS: (Turn(worker, (time_s,), None),)}
            rows.append(record(name, n, d, worker=worker, time_s=time_s, **turns))
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def view() -> View:
    return view_of(measured(COSTS))


def test_half_the_speed_of_sdpa_is_one_half_with_its_interval(view: View):
    table = SpeedAgainstN().data(view)
    rows = table[table["series"] == "half"]
    assert list(rows["seq_len"]) == [128, 256, 512]
    assert rows["speed"].to_numpy() == pytest.approx(0.5, rel=0.02)
    assert (rows["speed_low"] < rows["speed"]).all()
    assert (rows["speed"] < rows["speed_high"]).all()
    assert "sdpa" not in set(table["series"])


def test_the_reference_can_be_named_and_is_missed_where_it_was_not_measured(view: View):
    assert "half 1.00×" not in SpeedAgainstN("half").title(view)
    assert "sdpa 2.00×" in SpeedAgainstN("half").title(view)
    assert SpeedAgainstN("flash").missing(view) == "flash was not measured"


def test_cells_that_share_keys_and_cells_that_do_not_are_compared_among_themselves():
    own, shared = (measured(COSTS).assign(kv_heads=one) for one in (None, "h/4"))
    found = views(pd.concat([own, shared.assign(time_s=3 * shared["time_s"])], ignore_index=True))

    assert [view.suffix for view in found] == ["h", "h-4"]
    for view in found:
        rows = SpeedAgainstN().data(view)
        assert list(rows["seq_len"][rows["series"] == "half"]) == [128, 256, 512]


def test_without_sdpa_others_are_compared_with_who_has_most_cells():
    frame = measured({"a": 1.0, "b": 2.0})
    frame = frame[(frame["implementation"] == "b") | (frame["seq_len"] > 128)]
    assert SpeedAgainstN().of(view_of(frame)) == "b"


def test_alone_there_is_nothing_to_compare():
    alone = view_of(measured({"sdpa": 1.0}))
    assert SpeedAgainstN().missing(alone) == "there is one implementation"
    assert WinnerOverSizes().missing(alone) == "there is one implementation"


def test_cells_whose_two_fastest_are_level_are_nobodys(view: View):
    table = WinnerOverSizes().data(view)
    assert len(table) == len(SIZES)
    assert set(table["finding"]) == {"same"}
    assert WinnerOverSizes().title(view) == "Fastest of 6 cells: no one alone in 6"
    assert "Hatched" in WinnerOverSizes().caption(view)


def test_a_clear_winner_is_named_with_what_the_second_takes():
    view = view_of(measured({"sdpa": 1.0, "half": 2.0}))
    table = WinnerOverSizes().data(view)
    assert table["ratio"].to_numpy() == pytest.approx(2.0, rel=0.02)
    assert WinnerOverSizes().title(view) == "Fastest of 6 cells: sdpa in 6"


def test_a_cell_of_one_turn_has_a_winner_without_an_interval():
    view = view_of(measured({"sdpa": 1.0, "half": 2.0}, workers=1))
    assert WinnerOverSizes().title(view) == "Fastest of 6 cells: sdpa in 6"
    assert "Pale" in WinnerOverSizes().caption(view)


def test_unlike_cells_of_one_size_are_not_compared():
    frame = measured(COSTS)
    frame.loc[frame["implementation"] == "half", "growth"] = "head_dim"
    frame.loc[frame["implementation"] == "half", "time_s"] /= 100
    assert len(WinnerOverSizes().data(view_of(frame))) == 0
