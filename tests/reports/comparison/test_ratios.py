import numpy as np
import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from reports.comparison.ratios import Finding, finding_of, ratio_of, ratios_to
from tests.reports.comparison.some_cells import rows


def test_a_ratio_is_that_of_the_two_times_that_tables_show():
    frame = rows({"sdpa": 1e-3, "matmul": 1.3e-3}, own=0.05)

    found = ratios_to(frame, "sdpa")

    shown = cell_table(frame).set_index(["implementation", "seq_len", "d_model"])["time_s"]
    assert list(found["value"]) == list(shown["matmul"])
    assert list(found["reference_value"]) == list(shown["sdpa"])
    assert np.allclose(found["ratio"], shown["matmul"] / shown["sdpa"])
    assert set(found["implementation"]) == {"matmul"}


def test_what_slows_a_process_is_no_error_of_a_ratio():
    frame = rows({"sdpa": 1e-3, "matmul": 1.3e-3}, own=0.01, shared=0.3)

    found = ratios_to(frame, "sdpa")

    assert (found["low"] > 1.2).all()
    assert (found["high"] < 1.4).all()
    assert set(found["finding"]) == {Finding.SLOWER}


@pytest.mark.parametrize(
    ("low", "high", "finding"),
    [
        (1.01, 1.2, Finding.SLOWER),
        (0.5, 0.99, Finding.FASTER),
        (0.96, 1.04, Finding.SAME),
        (1.01, 1.04, Finding.SAME),
        (0.94, 1.04, Finding.UNTOLD),
    ],
)
def test_an_interval_says_which_is_faster(low, high, finding):
    assert finding_of(low, high) is finding


def test_intervals_hold_the_ratio_as_often_as_they_say():
    frame = rows({"sdpa": 1.0, "mine": 1.1}, own=0.05, lengths=range(100, 300))

    found = ratios_to(frame, "sdpa")

    assert 0.93 < (found["low"].lt(1.1) & found["high"].gt(1.1)).mean() < 0.99


def test_one_process_tells_no_interval():
    found = ratios_to(rows({"sdpa": 1.0, "mine": 3.0}, processes=1), "sdpa")

    assert found["low"].isna().all()
    assert set(found["finding"]) == {Finding.UNTOLD}


def test_a_table_without_processes_tells_ratios_alone():
    frame = rows({"sdpa": 1.0, "mine": 3.0}, processes=1)[["implementation", "seq_len", "time_s"]]

    found = ratios_to(frame, "sdpa", by=["seq_len"])

    assert found["ratio"].notna().all()
    assert found["high"].isna().all()


def test_counted_costs_have_no_error():
    found = ratios_to(rows({"sdpa": 1.0, "mine": 1.0}), "mine", value="workspace_bytes")

    assert set(found["ratio"]) == set(found["low"]) == set(found["high"]) == {1.0}
    assert set(found["finding"]) == {Finding.SAME}


def test_only_cells_of_the_same_case_are_compared():
    other = rows({"loop": 1.0}, lengths=(128, 256), batch=1)
    frame = pd.concat([rows({"sdpa": 1.0}, batch=8), other, rows({"mine": 1.0}, batch=8)])

    found = ratios_to(frame.reset_index(drop=True), "sdpa")

    assert set(found["implementation"]) == {"mine"}


def test_rows_that_were_not_measured_are_no_cells():
    frame = rows({"sdpa": 1.0, "mine": 1.0})
    frame.loc[frame["seq_len"] == 2048, ["status", "time_s"]] = ["timeout", np.nan]

    assert 2048 not in set(ratios_to(frame, "sdpa")["seq_len"])


def test_an_interval_beyond_a_thousandfold_is_unknown():
    ratio = ratio_of(0.1, 0.5, 1, 1 - 0.05 / 3 / 40)

    assert (ratio.low, ratio.high, ratio.finding) == (None, None, Finding.UNTOLD)
