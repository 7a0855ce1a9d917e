"""Records into a table of cells."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from tests.reports.figures.some_cells import record


def test_cells_take_the_median_of_their_undisturbed_rounds_and_keep_the_spread_of_all() -> None:
    times: list[float] = [2.0, 1.95, 4.0, 2.05]
    rows = [record("fast", 128, 64, round_=i, time_s=time) for i, time in enumerate(times)]
    rows.append(record("fast", 128, 64, round_=4, time_s=None, status="timeout", reason="slow"))
    (cell,) = cell_table(pd.DataFrame(rows)).to_dict("records")
    assert (cell["time_s"], cell["time_low_s"], cell["time_high_s"]) == (2.0, 1.95, 4.0)
    assert cell["rounds"] == 4
    assert cell["spread"] == pytest.approx((4.0 - 1.95) / 2.0)
    assert cell["status"] == "measured"


def test_the_readings_of_rounds_without_a_time_do_not_count() -> None:
    rows = [
        record("fast", 128, 64, workspace_bytes=100),
        record("fast", 128, 64, status="crashed", time_s=None, workspace_bytes=900),
    ]
    assert cell_table(pd.DataFrame(rows))["workspace_bytes"].tolist() == [100]


def test_a_cell_has_the_kernel_that_one_of_its_rounds_tells() -> None:
    rows = [
        record("fast", 128, 64, round_=i, attention_kernel=kernel)
        for i, kernel in enumerate((None, "flash", None))
    ]
    assert cell_table(pd.DataFrame(rows))["attention_kernel"].tolist() == ["flash"]


@pytest.mark.parametrize("column", ["reason", "status", "attention_kernel"])
def test_a_table_may_be_split_by_a_column_that_cells_are_told_of(column: str) -> None:
    rows = [record("fast", 128, 64, **{column: one}) for one in ("measured", "crashed")]

    assert len(cell_table(pd.DataFrame(rows), by=[column])) == 2


def test_sizes_and_conditions_of_others_keep_what_they_are_numbers_or_texts() -> None:
    rows = [
        record("fast", 128, 64, vocab=vocab, window=window, time_s=time_s)
        for vocab, window, time_s in ((9, "full", 2.0), (10, "full", 3.0), (9, "local", 1.0))
    ]
    cells = cell_table(pd.DataFrame(rows), by=["vocab"])

    assert pd.api.types.is_integer_dtype(cells["vocab"])
    assert dict(
        zip(cells["window"] + cells["vocab"].astype(str), cells["time_s"], strict=True)
    ) == {
        "full9": 2.0,
        "local9": 1.0,
        "full10": 3.0,
    }
