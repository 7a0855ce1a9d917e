import numpy as np
import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from reports.cells.cells import cells_of
from reports.cells.slopes import local_slopes
from reports.tables.columns import TableError

SIZES = {"n": "seq_len"}


def test_a_cell_is_the_median_of_its_visits() -> None:
    frame = pd.DataFrame({"seq_len": [3, 5, 3, 5, 3], "time_s": [1.0, 7.0, 1.04, 7.0, 1.01]})
    cells = cells_of(frame, SIZES, "time_s")
    np.testing.assert_array_equal(cells.sizes["n"], [3, 5])
    np.testing.assert_array_equal(cells.cost, [1.01, 7.0])
    np.testing.assert_array_equal(cells.visits, [3, 2])


def test_cases_that_the_law_does_not_tell_apart_stay_two_cells() -> None:
    frame = pd.DataFrame({"seq_len": [3, 3], "num_heads": [1, 2], "time_s": [1.0, 2.0]})
    assert len(cells_of(frame, SIZES, "time_s")) == 2


def test_rows_without_a_measurement_are_counted_not_fitted() -> None:
    frame = pd.DataFrame(
        {
            "seq_len": [3, 5, 7, 11],
            "time_s": [1.0, None, None, None],
            "status": ["measured", "out_of_memory", "unsupported", "timeout"],
        }
    )
    cells = cells_of(frame, SIZES, "time_s")
    assert len(cells) == 1
    assert cells.censored == 2


def test_a_cell_whose_visits_disagree_weighs_less() -> None:
    visits = [1.0, 1.01, 1.02]
    frame = pd.DataFrame(
        {
            "seq_len": [3] * 3 + [5] * 3 + [7] * 3,
            "time_s": [*visits, *visits, 1.0, 2.0, 2.0],
        }
    )
    weights = cells_of(frame, SIZES, "time_s").weights
    np.testing.assert_array_equal(weights[:2], [1, 1])
    assert weights[2] < 0.2


def test_single_visits_tell_nothing_of_the_spread() -> None:
    cells = cells_of(pd.DataFrame({"seq_len": [3, 5], "time_s": [1.0, 2.0]}), SIZES, "time_s")
    assert cells.scatter.reading is None
    assert cells.median_error is None


def test_no_rows_make_no_cells() -> None:
    frame = pd.DataFrame({"seq_len": [3], "time_s": [None], "status": ["crashed"]})
    cells = cells_of(frame, SIZES, "time_s")
    assert (len(cells), cells.censored) == (0, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"seq_len": [3], "time_s": [0.0]}, "time_s must be positive and finite, got 0"),
        ({"seq_len": [3], "time_s": [float("inf")]}, "must be positive and finite, got inf"),
        ({"seq_len": [-3], "time_s": [1.0]}, "seq_len must be positive"),
        ({"seq_len": ["long"], "time_s": [1.0]}, 'column "seq_len" must hold numbers'),
        ({"length": [3], "time_s": [1.0]}, 'no column "seq_len"; the table has length'),
    ],
)
def test_what_is_no_size_or_cost_is_refused(rows: dict[str, list[object]], expected: str) -> None:
    with pytest.raises(TableError, match=expected):
        cells_of(pd.DataFrame(rows), SIZES, "time_s")


def test_a_workspace_of_nothing_is_no_error_and_no_cell() -> None:
    frame = pd.DataFrame({"seq_len": [3, 5], "workspace_bytes": [0, 64]})
    assert len(cells_of(frame, SIZES, "workspace_bytes")) == 1


def test_visits_marked_noisy_are_set_aside_where_a_cell_has_others() -> None:
    frame = pd.DataFrame(
        {
            "seq_len": [3, 3, 3, 5, 5],
            "time_s": [1.0, 9.0, 9.0, 4.0, 6.0],
            "noisy": [None, True, True, True, True],
        }
    )
    cells = cells_of(frame, SIZES, "time_s")
    np.testing.assert_array_equal(cells.cost, [1.0, 5.0])
    np.testing.assert_array_equal(cells.visits, [1, 2])
    assert cells.noisy == 0.8


def test_a_cell_without_an_undisturbed_visit_hardly_counts() -> None:
    frame = pd.DataFrame(
        {
            "seq_len": [3, 5, 7],
            "time_s": [1.0, 2.0, 99.0],
            "noisy": [False, False, True],
        }
    )
    weights = cells_of(frame, SIZES, "time_s").weights
    np.testing.assert_array_equal(weights, [1, 1, 0.1])
    all_noisy = cells_of(frame.assign(noisy=True), SIZES, "time_s").weights
    np.testing.assert_array_equal(all_noisy, [1, 1, 1])


def test_a_cell_counts_that_has_two_quiet_visits_among_many_marked_as_noisy() -> None:
    frame = pd.DataFrame(
        {
            "seq_len": [3, 5, *[7] * 6],
            "time_s": [1.0, 2.0, 4.0, 4.0, 6.0, 6.0, 6.0, 6.0],
            "noisy": [False, False, False, False, True, True, True, True],
        }
    )
    assert cells_of(frame, SIZES, "time_s").weights[-1] == 1
    one_less = frame.drop(index=3)
    assert cells_of(one_less, SIZES, "time_s").weights[-1] == 0.1


def test_a_cell_measured_in_any_round_is_not_censored() -> None:
    frame = pd.DataFrame(
        {
            "seq_len": [3, 3, 5, 5, 7],
            "threads": [2, None, None, None, 2],
            "round": [0, 1, 0, 1, 0],
            "time_s": [1.0, None, None, None, 2.0],
            "status": ["measured", "timeout", "timeout", "timeout", "measured"],
        }
    )
    assert cells_of(frame, SIZES, "time_s").censored == 1


def test_fits_tables_and_slopes_take_the_same_visits_of_a_cell() -> None:
    frame = pd.DataFrame(
        {
            "seq_len": [3, 3, 3, 6, 6],
            "time_s": [1.0, 9.0, 9.0, 4.0, 4.0],
            "workspace_bytes": [None, 64, 64, 64, 64],
            "noisy": [False, True, True, True, True],
        }
    )
    table = cell_table(frame)
    fitted = cells_of(frame, SIZES, "time_s")
    assert table["time_s"].tolist() == fitted.cost.tolist() == [1.0, 4.0]
    assert local_slopes(table)["slope"].tolist() == [2.0]
    assert table["rounds"].tolist() == [3, 2]
    assert table["time_high_s"].tolist() == [9.0, 4.0]
    # The only round that could tell the workspace of the first cell is a noisy one.
    assert table["workspace_bytes"].tolist() == [64, 64]


def test_a_table_of_cells_takes_the_replays_that_fits_take() -> None:
    """The call of the first visit is set aside; that its replay was slow must not be forgotten."""
    frame = pd.DataFrame(
        {
            "implementation": "sdpa",
            "seq_len": 64,
            "time_s": [1.0, 1.0],
            "graph_time_s": [1.05, 1.0],
            "noisy": [True, False],
        }
    )

    assert cell_table(frame)["graph_time_s"].tolist() == [1.0]
    assert cells_of(frame, {"n": "seq_len"}, "graph_time_s").cost.tolist() == [1.0]
