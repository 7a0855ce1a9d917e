import numpy as np
import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from reports.comparison.ratios import Finding, Ratio, finding_of, ratio_of, ratios_to
from reports.tables.read import frame_of
from reports.tables.rounds import TURNS
from tests.reports.comparison.some_runs import records, square, times


def measured(factor, *, name="mine", **changes):
    """A run in which an implementation takes so many times as long as SDPA."""
    laws = {"sdpa": square, name: times(factor)}
    return frame_of(records(laws, **({"seed": 1} | changes)))


def test_a_ratio_is_that_of_the_two_times_that_tables_show():
    frame = measured(1.3, scatter=0.05)

    found = ratios_to(frame, "sdpa")

    shown = cell_table(frame).set_index(["implementation", "seq_len", "d_model"])["time_s"]
    assert list(found["time_s"]) == list(shown["mine"])
    assert list(found["reference_time_s"]) == list(shown["sdpa"])
    assert np.allclose(found["ratio"], shown["mine"] / shown["sdpa"])
    assert set(found["implementation"]) == {"mine"}
    assert (found["low"] <= found["ratio"]).all()
    assert (found["ratio"] <= found["high"]).all()


def test_an_interval_reaches_as_far_as_the_ratio_that_is_shown():
    ratio = Ratio(estimate=1.1, low=1.06, high=1.14, finding=Finding.SLOWER)

    assert ratio.shown_as(1.2) == Ratio(estimate=1.2, low=1.06, high=1.2, finding=Finding.SLOWER)
    assert ratio.shown_as(0.99).finding is Finding.UNTOLD


def test_what_slows_a_turn_is_no_error_of_a_ratio():
    slowed = measured(1.3, scatter=0.02)
    slowed[TURNS] = [
        tuple(turn._replace(samples_s=tuple(2 * one for one in turn.samples_s)) for turn in turns)
        if worker == 0
        else turns
        for turns, worker in zip(slowed[TURNS], slowed["worker"], strict=True)
    ]

    found = ratios_to(slowed, "sdpa")

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
    found = ratios_to(measured(1.1, scatter=0.1, lengths=range(100, 150)), "sdpa")

    assert (found["low"].lt(1.1) & found["high"].gt(1.1)).mean() > 0.94
    assert (found["high"] / found["low"]).median() < 1.1


def test_one_turn_tells_no_interval():
    found = ratios_to(measured(3.0, turns=1), "sdpa")

    assert found["low"].isna().all()
    assert set(found["finding"]) == {Finding.UNTOLD}


def test_a_table_of_others_tells_ratios_alone():
    frame = measured(3.0)[["implementation", "worker", "seq_len", "d_model", "time_s"]]

    found = ratios_to(frame, "sdpa", by=["seq_len", "d_model"])

    assert len(found) == 12
    assert found["high"].isna().all()


def test_a_column_of_others_that_is_called_turns_is_none_of_ours():
    frame = measured(3.0)[["implementation", "seq_len", "d_model", "time_s"]].assign(turns=4)

    assert ratios_to(frame, "sdpa")["high"].isna().all()


@pytest.mark.parametrize("unknown", [slice(None), slice(0, None, 5)])
def test_records_that_do_not_name_their_process_tell_an_interval_by_turns(unknown):
    frame = measured(3.0)
    frame["worker"] = frame["worker"].astype(object)
    frame.loc[frame.index[unknown], "worker"] = None

    assert ratios_to(frame, "sdpa")["high"].notna().all()


def test_cells_that_one_process_read_each_tell_an_interval_by_turns():
    frame = measured(3.0, scatter=0.02)
    of_process = frame["seq_len"].map({256: 0, 512: 1, 1024: 2, 2048: 0})

    found = ratios_to(frame[frame["worker"] == of_process], "sdpa")

    assert len(found) == 12
    assert found["high"].notna().all()


def test_a_run_beside_another_keeps_its_intervals():
    runs = [
        measured(factor, seed=seed, lengths=(256, 512)).assign(run=str(seed))
        for factor, seed in ((2, 1), (3, 2))
    ]

    found = ratios_to(pd.concat(runs, ignore_index=True), "sdpa")

    for own in runs:
        alone, beside = ratios_to(own, "sdpa"), found[found["run"] == own["run"].iloc[0]]
        assert np.allclose(alone[["ratio", "low", "high"]], beside[["ratio", "low", "high"]])


def test_only_cells_of_the_same_case_are_compared():
    parts = [measured(1.0, batch=8), measured(1.0, name="loop", batch=1)]
    frame = pd.concat([part[part["implementation"] != "sdpa"] for part in parts] + [parts[0]])

    found = ratios_to(frame.reset_index(drop=True), "sdpa")

    assert set(found["implementation"]) == {"mine"}


def test_rows_that_were_not_measured_are_no_cells():
    frame = measured(1.0)
    frame.loc[frame["seq_len"] == 2048, ["status", "time_s"]] = ["timeout", np.nan]

    assert 2048 not in set(ratios_to(frame, "sdpa")["seq_len"])


def test_an_interval_beyond_a_thousandfold_is_unknown():
    ratio = ratio_of(0.1, 0.5, 1, 1 - 0.05 / 3 / 40)

    assert (ratio.low, ratio.high, ratio.finding) == (None, None, Finding.UNTOLD)
