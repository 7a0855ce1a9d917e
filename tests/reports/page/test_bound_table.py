"""What the page says of bounds: two cells an implementation, a sentence, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from reports.cells.cell_table import cell_table
from reports.conditions.bounds import bounds
from reports.page.bound_table import BoundTable, bound_table

Make = Callable[..., dict[str, Any]]

INFO: dict[str, Any] = {
    "ceilings": {
        "cpu/float32": {
            "matmul_flops_per_s": 1e11,
            "copy_bytes_per_s": 1e10,
            "exp_per_s": 1e9,
            "launch_s": 1e-5,
            "fault_s": 1e-6,
        }
    }
}


def table(*rows: dict[str, Any], info: dict[str, Any] = INFO) -> BoundTable:
    return bound_table(bounds(cell_table(pd.DataFrame(list(rows))), info))


SIZE, BOUND, PEAK = (
    "largest and smallest cell",
    "bound, its part of the time",
    "share of matmul peak",
)
BYTE = "operations a byte"


def rows_of(found: BoundTable) -> list[dict[str, str]]:
    return [dict(zip(found.headings, row, strict=True)) for row in found.rows]


def counted(record: Make, n: int, time_s: float, **changes: Any) -> dict[str, Any]:
    known = {
        "seq_len": n,
        "key_len": n,
        "time_s": time_s,
        "flops": 100 * n * n,
        "flops_executed": 125 * n * n,
        "bytes_moved": 10 * n * n,
        "transcendentals": n,
        "operator_launches": 1200,
        "minor_faults": 0.0,
    }
    return record(**(known | changes))


def test_the_largest_and_the_smallest_cell_are_shown_and_no_other(record: Make) -> None:
    found = table(*(counted(record, n, 1e-2 * n) for n in (31, 10007, 101)))
    assert [row[SIZE] for row in rows_of(found)] == ["n 10007, d_model 192", "n 31, d_model 192"]
    large = rows_of(found)[0]
    assert (large["time"], large["rate"], large[PEAK]) == ("100 s", "0.1 GFLOP/s", "0.1 %")
    assert large[BYTE] == "12.5 (ridge 10)"
    assert "launch cost" not in large
    alone = table(counted(record, 31, 1.0, key_len=37))
    assert [row[SIZE] for row in rows_of(alone)] == ["n 31, keys 37, d_model 192"]


def test_each_implementation_has_one_sentence_with_what_bounds_it(record: Make) -> None:
    found = table(
        counted(record, 10007, 0.25),
        counted(record, 31, 0.02),
        counted(record, 10007, 0.25, implementation="lean"),
        counted(record, 1009, 2e-3, implementation="lean", operator_launches=2),
        counted(record, 1009, 1.0, implementation="slow"),
    )
    assert [row[BOUND] for row in rows_of(found) if row["implementation"] == "sdpa"] == [
        "products, 50 %",
        "launches, 60 %",
    ]
    assert found.sentences == (
        "lean: its arithmetic, at the rate of a large matrix product, takes 50 % of the time at "
        "n 10007, d_model 192 and 64 % of the time at n 1009, d_model 192.",
        "sdpa: at n 10007, d_model 192 its arithmetic, at the rate of a large matrix product, "
        "takes 50 % of the time; at n 31, d_model 192 starting its 1,200 operators takes 60 % of "
        "the time.",
        "slow: at n 1009, d_model 192 no ceiling explains the time (the nearest, launches, 1.2 % "
        "of it).",
    )


def test_more_than_all_of_the_time_is_said_to_be_so(record: Make) -> None:
    found = table(counted(record, 31, 5e-3))
    assert rows_of(found)[0][BOUND] == "launches, over 100 %"
    assert "would take over 100 % of the time" in found.sentences[0]
    assert any(note.startswith("In 1 cell a ceiling explains more than") for note in found.notes)


def test_what_stays_in_the_caches_is_marked_and_explained(record: Make) -> None:
    info = INFO | {"machine": {"caches_bytes": {"L3": 2**25}}}
    rows = (counted(record, n, 1e-3 * n, workspace_bytes=4 * n * n) for n in (31, 10007))
    found = table(*rows, info=info)
    assert ["(in cache)" in row[BOUND] for row in rows_of(found)] == [False, True]
    assert found.notes[0].startswith("In 1 of 2 cells caches serve what operators move")


def test_an_older_run_shows_rates_and_says_why_no_bound_is_told(record: Make) -> None:
    found = table(*(record(seq_len=n, flops=1e9 * n) for n in (3, 5)))
    assert [row[PEAK] for row in rows_of(found)] == ["20 %", "12 %"]
    assert {row[BOUND] for row in rows_of(found)} == {"cannot be told"}
    assert {row[BYTE] for row in rows_of(found)} == {"–"}
    assert found.sentences == ()
    (note,) = found.notes
    assert note.startswith("What bounds these cells cannot be told: executed operations, ")
    assert note.endswith(" were not counted.")


def test_a_table_without_counts_has_nothing_to_show(record: Make) -> None:
    found = table(record(), record(seq_len=256))
    assert (found.rows, found.sentences, found.notes, found.energy) == ((), (), (), ())


def test_conditions_that_vary_within_an_implementation_have_rows_of_their_own(
    record: Make,
) -> None:
    found = table(*(counted(record, 31, 1.0, is_causal=causal) for causal in (False, True)))
    labels = [row["implementation"] for row in rows_of(found)]
    assert labels == ["sdpa [is_causal False]", "sdpa [is_causal True]"]


def test_launch_costs_are_shown_where_a_graph_was_replayed(record: Make) -> None:
    found = table(counted(record, 31, 1e-3, graph_time_s=2.5e-4), counted(record, 1009, 1.0))
    assert [row["launch cost"] for row in rows_of(found)] == ["–", "750 µs (75 %)"]


def test_a_replay_that_took_longer_shows_no_launch_cost(record: Make) -> None:
    found = table(counted(record, 31, 1e-3, graph_time_s=1.1e-3))
    assert [row["launch cost"] for row in rows_of(found)] == ["none seen"]


def test_launches_that_were_timed_need_not_be_counted(record: Make) -> None:
    uncounted = {"operator_launches": None, "flops_executed": None, "bytes_moved": None}
    found = table(counted(record, 31, 1e-3, graph_time_s=2.5e-4, **uncounted))
    assert [row[BOUND] for row in rows_of(found)] == ["launches, 75 %"]
    assert found.sentences == (
        "sdpa: starting its operators takes 75 % of the time at n 31, d_model 192.",
    )
    assert not any("launches were not counted" in note for note in found.notes)


def test_energy_is_told_at_the_largest_cell_that_has_one(record: Make) -> None:
    found = table(
        counted(record, 1009, 1.0),
        counted(record, 101, 0.5, energy_j=20.0, energy_resolution_j=0.1, flops=4e9),
        counted(record, 31, 0.5, energy_j=1.0),
        counted(record, 31, 0.5, energy_j=0.0125, implementation="uncounted", flops=None),
    )
    assert list(found.energy) == [
        ("sdpa", "n 101, d_model 192", "20 J", "0.5 %", "40 W", "5 J"),
        ("uncounted", "n 31, d_model 192", "12.5 mJ", "–", "0.025 W", "–"),
    ]
