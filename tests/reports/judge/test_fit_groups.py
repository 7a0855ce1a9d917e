"""Whole tables: which rows are a group, a cell, a repeated reading, and whose claim it is."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports.judge.fit_groups import ClaimWarning
from reports.judge.fit_groups import fit_groups as fit_groups_by_both
from reports.judge.proposals import proposed
from reports.judge.result import Verdict
from reports.tables.columns import TableError
from tests.reports.judge.once import fit_groups

Sweep = Callable[..., pd.DataFrame]

SDPA = [(1.0, "n^2*d"), (3.0, "n^2"), (20.0, "n*d")]


@pytest.fixture
def small() -> pd.DataFrame:
    """Three readings of each of six cells: too few to judge, and quickly so."""
    cells = [(n, d) for n in (64, 128, 256) for d in (16, 32)]
    rows = [(n, d, 1e-9 * n * d * (1 + visit / 100)) for n, d in cells for visit in range(3)]
    return pd.DataFrame(rows, columns=["seq_len", "d_model", "time_s"])


def test_every_group_is_judged_by_the_claim_that_it_declares(sweep: Sweep) -> None:
    table = pd.concat(
        [
            sweep(SDPA, implementation="sdpa", claim="n^2*d", workspace_claim="n"),
            sweep([(1.0, "n*d")], implementation="linear", claim="n*d", workspace_claim="n"),
        ]
    )
    found = fit_groups_by_both(table)
    assert [f.group for f in found] == [{"implementation": "sdpa"}, {"implementation": "linear"}]
    assert [f.claim for f in found] == ["n^2*d", "n*d"]
    assert {f.verdict for f in found} == {Verdict.CONFIRMED}
    short = table[table["seq_len"] <= 256]
    assert {f.claim for f in fit_groups(short, claim="n^3")} == {"n^3"}


def test_workspace_is_judged_by_the_claim_about_workspace(sweep: Sweep) -> None:
    table = sweep(SDPA, implementation="sdpa", claim="n^2*d", workspace_claim="n*d")
    table["workspace_bytes"] = table["seq_len"] * table["d_model"] * 4
    (found,) = fit_groups(table, value="workspace_bytes")
    assert (found.claim, found.verdict) == ("n*d", Verdict.CONFIRMED)


@pytest.mark.parametrize(
    ("status", "reason"),
    [("out_of_memory", "censored_cells"), ("unsupported", "censored_cells")],
)
def test_a_group_without_any_measurement_is_inconclusive_and_says_why(
    sweep: Sweep, status: str, reason: str
) -> None:
    table = pd.concat(
        [
            sweep(SDPA, implementation="sdpa", cells=[(128, 64), (256, 64)]),
            pd.DataFrame(
                [{"implementation": "cudnn", "seq_len": 128, "d_model": 64, "status": status}]
            ),
        ]
    )
    found = fit_groups(table)[1]
    assert (found.verdict, found.reasons[0]) == (Verdict.INCONCLUSIVE, reason)
    assert found.cells == 0


def test_two_claims_in_one_group_are_refused(sweep: Sweep) -> None:
    table = pd.concat([sweep(SDPA, claim="n^2*d"), sweep(SDPA, claim="n*d")])
    with pytest.raises(TableError, match="declares 2 claims"):
        fit_groups(table)


def test_a_table_of_lengths_alone_needs_no_d_column() -> None:
    table = pd.DataFrame({"length": [2**k for k in range(5, 15)]})
    table["elapsed"] = 3e-9 * table["length"] ** 2.0 + 1e-6
    (found,) = fit_groups(table, sizes={"n": "length"}, value="elapsed", claim="n^2")
    assert found.verdict is Verdict.CONFIRMED


def test_a_constant_in_a_declared_claim_is_no_size(sweep: Sweep) -> None:
    table = pd.concat(
        [
            sweep([(1.0, "n*d")], implementation="window", claim="n*w*d"),
            sweep(SDPA, implementation="sdpa", claim="n^2*d"),
        ]
    )
    found = fit_groups(table)
    assert [f.claim for f in found] == ["n*w*d", "n^2*d"]
    assert {f.verdict for f in found} == {Verdict.CONFIRMED}
    assert set(found[0].exponents) == {"n", "d"}
    with pytest.raises(TableError, match='needs w, but there is no column "window"'):
        fit_groups(table, claim="n*w*d")


def run_of(sweep: Sweep, *windows: int, **conditions: object) -> pd.DataFrame:
    """Records of ours: a band of so many keys."""
    parts = []
    for window in windows:
        part = sweep([(float(window), "n*d")], implementation="band", window=window, **conditions)
        parts.append(part.assign(key_len=part["seq_len"], schema=2))
    return pd.concat(parts, ignore_index=True)


def test_cells_that_differ_in_the_window_alone_are_judged_apart(sweep: Sweep) -> None:
    found = fit_groups(run_of(sweep, 16, 64, claim="n*w*d"))

    assert [one.group for one in found] == [
        {"implementation": "band", "window": 16},
        {"implementation": "band", "window": 64},
    ]
    assert {one.verdict for one in found} == {Verdict.CONFIRMED}
    assert {one.claim for one in found} == {"n*w*d"}


def test_a_window_that_stands_still_is_held_in_a_claim_on_a_run(sweep: Sweep) -> None:
    squared = sweep(SDPA, implementation="masked", window=64)
    masked = squared.assign(key_len=squared["seq_len"], schema=2)

    (band,), (full,) = (fit_groups(rows, claim="n*w*d") for rows in (run_of(sweep, 64), masked))

    assert (band.claim, band.verdict) == ("n*d*w", Verdict.CONFIRMED)
    assert (full.claim, full.verdict) == ("n*d*w", Verdict.REFUTED)
    assert str(proposed(full)) == "Claim n^2*d: these cells confirm it."


def test_windows_that_vary_are_a_size_of_the_claim_that_names_them(sweep: Sweep) -> None:
    (fit,) = fit_groups(run_of(sweep, 16, 32, 64, 128, 256), claim="n*w*d")

    assert fit.verdict is Verdict.CONFIRMED
    assert set(fit.exponents) == {"n", "d", "w"}


@pytest.mark.parametrize(
    ("claim", "warning", "reasons"),
    [
        ("n^2@d", "odd is not judged on time_s: unexpected", ()),
        ("n^2*h", 'needs h, but there is no column "num_heads"', ("too_few_sizes",)),
    ],
)
def test_a_declared_claim_that_cannot_be_judged_leaves_the_other_groups_alone(
    sweep: Sweep, claim: str, warning: str, reasons: tuple[str, ...]
) -> None:
    table = pd.concat(
        [
            sweep(SDPA, implementation="odd", claim=claim),
            sweep(SDPA, implementation="sdpa", claim="n^2*d"),
        ]
    )
    with pytest.warns(ClaimWarning, match=warning):
        odd, sdpa = fit_groups(table)
    assert (odd.claim, odd.verdict, odd.reasons) == (claim, Verdict.INCONCLUSIVE, reasons)
    assert odd.cells == 35
    assert sdpa.verdict is Verdict.CONFIRMED


def test_a_size_that_the_file_states_is_no_repetition(small: pd.DataFrame) -> None:
    table = small.assign(block=[8, 16, 32] * 6)
    with pytest.raises(TableError, match="block varies among rows of this table") as refused:
        fit_groups(table, parameters=("block",))
    assert str(refused.value).endswith(
        "name it with --size LETTER=block, group by it with --by block, or average over it with "
        "--average block"
    )
    assert len(fit_groups(table, parameters=("block",), by=["block"])) == 3
    sizes = {"n": "seq_len", "d": "d_model", "b": "block"}
    (named,) = fit_groups(table, parameters=("block",), sizes=sizes)
    assert named.cells == 18
    (still,) = fit_groups(table.assign(block=8), parameters=("block",))
    assert still.cells == 6


def test_a_refusal_names_the_group(small: pd.DataFrame) -> None:
    table = small.assign(implementation="sdpa", block=[8, 16, 32] * 6)
    with pytest.raises(TableError, match="among rows of implementation sdpa that have the same"):
        fit_groups(table, parameters=("block",))


def test_words_that_differ_between_readings_of_a_cell_are_a_warning(small: pd.DataFrame) -> None:
    table = small.assign(backend=["math", "flash", "math"] * 6)
    with pytest.warns(
        ClaimWarning, match=r"backend \(math, flash\) varies among rows of this table"
    ) as said:
        (found,) = fit_groups(table)
    assert str(said[0].message).endswith("if they are not, add --by backend")
    assert (len(said), found.cells, found.readings) == (1, 6, 18)
    assert len(fit_groups(table, by=["backend"])) == 2


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (2, "c0 and c1"),
        (5, "c0, c1, c2, c3 and c4"),
        (300, "c0, c1, c2, c3, c4 and 295 more"),
    ],
)
def test_of_many_words_that_differ_between_readings_one_line_names_the_first(
    small: pd.DataFrame, columns: int, named: str
) -> None:
    words = pd.DataFrame({f"c{k}": ["math", "flash", "math"] * 6 for k in range(columns)})
    with pytest.warns(ClaimWarning) as said:
        fit_groups(pd.concat([small, words], axis=1))
    assert [str(one.message) for one in said] == [
        f"{named} vary among rows of this table that have the same sizes: they count as repeated "
        "readings; if they are not, add --by c0 or another of them"
    ]


@pytest.mark.parametrize(
    "column",
    [
        {"size": ["small"] * 12 + ["large"] * 6},
        {"cpu_time_s": np.linspace(1, 2, 18)},
        {"round": ["first", "second", "third"] * 6},
        {"name": [f"test[{k}]" for k in range(18)]},
    ],
)
def test_what_may_differ_between_readings_is_no_warning(
    small: pd.DataFrame, column: dict[str, object]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = fit_groups(small.assign(**column))
    assert (found.cells, found.readings) == (6, 18)


def test_a_column_of_lists_is_no_obstacle(small: pd.DataFrame) -> None:
    (found,) = fit_groups(small.assign(tags=[["quick", "cpu"]] * 18))
    assert found.cells == 6


def test_a_table_that_stands_there_twice_counts_once(small: pd.DataFrame) -> None:
    twice = pd.concat([small, small], ignore_index=True)
    with pytest.warns(ClaimWarning, match="every row of this table stands there 2 times") as said:
        (found,) = fit_groups(twice)
    assert (len(said), found.cells, found.readings) == (1, 6, 18)


def test_some_equal_readings_are_those_of_a_coarse_clock(small: pd.DataFrame) -> None:
    coarse = small.assign(time_s=small["time_s"].round(3 - int(np.log10(small["time_s"].max()))))
    some = pd.concat([coarse, coarse[:7]], ignore_index=True)
    assert fit_groups(some)[0].readings == 25


def test_equal_readings_that_are_known_to_be_others_are_no_copies(small: pd.DataFrame) -> None:
    twice = pd.concat([small.assign(round=0), small.assign(round=1)], ignore_index=True)
    assert fit_groups(twice)[0].readings == 36
    records = pd.concat([small, small], ignore_index=True).assign(schema=1)
    assert fit_groups(records)[0].readings == 36
    counted = small.assign(workspace_bytes=small["seq_len"] * 4).drop(columns="time_s")
    assert fit_groups(counted, value="workspace_bytes")[0].readings == 18


def test_what_is_asked_of_a_table_is_asked_of_every_group(small: pd.DataFrame) -> None:
    table = pd.concat([small.assign(implementation=name) for name in ("sdpa", "loop")])
    for found in fit_groups(table, confidence=0.9, tolerance=0.2, statistic="min", claim="n*d"):
        assert (found.confidence, found.tolerance) == (0.9, 0.2)
        assert (found.statistic, found.claim) == ("min", "n*d")
