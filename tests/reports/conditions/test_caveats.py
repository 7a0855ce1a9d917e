"""Caveats that need more than the times: the budget, missing instruments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from reports.conditions.caveats import caveats, gate_findings, untimed
from tests.reports.page.some_run import rows

Make = Callable[..., dict[str, Any]]

COMPLETE = {
    "workspace_bytes": 1,
    "flops": 1,
    "cpu_time_s": 1.0,
    "minor_faults": 0.0,
    "energy_j": 1.0,
    "max_error": 0.0,
}
"""Every instrument read something."""


def told(rows: list[dict[str, Any]], **info: Any) -> list[str]:
    frame = pd.DataFrame(rows)
    return caveats(frame, cell_table(frame), {"schema": 1} | info)


def cell(record: Make, **changes: Any) -> list[dict[str, Any]]:
    return [record(**(COMPLETE | {"round": r} | changes)) for r in range(3)]


def test_a_complete_run_without_disturbance_has_no_caveat(record: Make) -> None:
    ended = {"time_budget_s": None, "spent_s": 7.0, "rounds": 3, "ended": "all rounds were made"}
    assert told(cell(record), schedule=ended) == []


def test_what_compiling_took_is_told_by_implementation(record: Make) -> None:
    rows = [
        one | {"compile_s": seconds if one["round"] == 1 else None, "noisy": one["round"] == 1}
        for seq_len, seconds in ((64, 1.25), (128, 3.5), (256, None))
        for one in cell(record, implementation="mine_compiled", seq_len=seq_len)
    ]

    assert (
        "The first call of mine_compiled compiles, at each size anew: 1.25 s to 3.5 s, which its "
        "times leave out; what torch finds in its cache on disk is quick."
    ) in told([*rows, *cell(record)])


@pytest.mark.parametrize(
    ("schedule", "line"),
    [
        (
            {"time_budget_s": 90, "spent_s": 88.4, "rounds": 4, "ended": "the time was spent"},
            "The sweep had 90 s, of which 88 s were spent in 4 rounds (the time was spent); "
            "2 of 3 cells were never measured.",
        ),
        (
            {"time_budget_s": 90, "spent_s": None, "ended": None},
            "The run was cut short; sweep --resume completes it.",
        ),
        (
            {"time_budget_s": None, "rounds": 1},
            "The run was cut short after 1 round; sweep --resume completes it.",
        ),
        ({"rounds": float("inf")}, "The run was cut short; sweep --resume completes it."),
    ],
)
def test_how_a_run_ended_is_told_where_it_did_not_make_all_its_rounds(
    record: Make, schedule: dict[str, Any], line: str
) -> None:
    reason = "no time was left for it in the time budget of 90 s"
    unseen = [
        record(seq_len=n, status="skipped", reason=reason, time_s=None, time_min_s=None)
        for n in (257, 509)
    ]
    lines = told([*cell(record), *unseen], schedule=schedule)
    assert [one for one in lines if "The sweep had" in one or "cut short" in one] == [line]


def test_a_budget_that_sufficed_left_no_cell_out(record: Make) -> None:
    (line,) = told(cell(record), schedule={"time_budget_s": 90, "spent_s": 9, "ended": "done"})
    assert line == ("The sweep had 90 s, of which 9 s were spent (done); every cell was reached.")


def test_what_was_not_recorded_is_told_once_and_with_the_reason(record: Make) -> None:
    silent = {"energy_j": None, "max_error": None}
    reasons = {"energy_j": "RAPL can be read by root only.", "minor_faults": "not on Windows"}
    hidden = {"frequency_hz": "it cannot be read here", "new_column": "odd"}
    assert told(cell(record, **silent), instruments=reasons) == [
        "Not recorded in this run: error against the oracle.",
        "No reading of energy: RAPL can be read by root only.",
    ]
    assert told(cell(record, **silent)) == [
        "Not recorded in this run: energy and error against the oracle."
    ]
    assert told(cell(record), instruments=reasons) == []
    assert told(cell(record), instruments=hidden) == [
        "No reading of the frequency of the cores: it cannot be read here.",
        "No reading of new_column: odd.",
    ]
    assert told(cell(record, frequency_hz=3e9), instruments=hidden)[1:] == []


def test_no_line_comes_twice(record: Make) -> None:
    lines = told(cell(record), caveats=["The room was warm.", "The room  was\nwarm."])
    assert lines == ["The room was warm."]


def test_cells_without_a_time_are_counted_by_reason() -> None:
    cells = cell_table(pd.DataFrame(rows("alpha", "beta")))
    found = untimed(cells)
    assert found == [
        (
            "predicted 9 s, over the budget | 2 s",
            "skipped: left out before running",
            "alpha 1, beta 1",
            2,
        )
    ]
    lines = caveats(pd.DataFrame(rows("alpha")), cells, {"allocator": "pinned"})
    assert any(line.startswith("2 cells (skipped)") for line in lines)
    assert not any("allocator" in line for line in lines)


def test_a_run_that_was_never_verified_says_so() -> None:
    sentence, failures = gate_findings({})
    assert "do not say whether" in sentence
    assert failures == []
