"""The roofline and its further ceilings, held against cells whose bound is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from reports.conditions.bounds import BOUNDS, EXPLAINS, NONE, UNTOLD, bounds, ceilings_of

Make = Callable[..., dict[str, Any]]

CEILINGS = {
    "matmul_flops_per_s": 1e11,
    "copy_bytes_per_s": 1e10,
    "exp_per_s": 1e9,
    "launch_s": 1e-5,
    "fault_s": 1e-6,
}
L3 = 2**20
INFO: dict[str, Any] = {
    "ceilings": {"cpu/float32": CEILINGS},
    "machine": {"caches_bytes": {"L1d": 2**15, "L3": L3, "L2": 2**18}},
}
SECOND = {
    "flops_executed": 1e11,
    "bytes_moved": 1e10,
    "transcendentals": 1e9,
    "operator_launches": 1e5,
    "minor_faults": 1e6,
}
"""What of each would take a second."""


def cell(record: Make, seconds: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A cell of one second, too large for the cache, in which each count takes so many seconds."""
    counts = {name: SECOND[name] * seconds.get(name, 0.01) for name in SECOND}
    return record(**({"time_s": 1.0, "flops": 8e9, "workspace_bytes": 2**30} | counts | changes))


def bounded(*rows: dict[str, Any], info: dict[str, Any] = INFO) -> dict[str, Any]:
    found = bounds(cell_table(pd.DataFrame(list(rows))), info)
    assert len(found) == 1
    return dict(found.iloc[0])


@pytest.mark.parametrize("one", BOUNDS, ids=lambda one: one.name)
def test_the_ceiling_that_explains_most_of_the_time_is_the_bound(record: Make, one: Any) -> None:
    others = dict.fromkeys(SECOND, 0.35)
    found = bounded(cell(record, others | {one.counted: 0.4}))
    assert (found["bound"], found["explained"]) == (one.name, pytest.approx(0.4))
    assert found[one.seconds] == pytest.approx(0.4)
    assert found["untold"] == ""


@pytest.mark.parametrize(
    ("part", "bound"), [(EXPLAINS - 0.01, NONE), (EXPLAINS + 0.01, "exponentials")]
)
def test_a_ceiling_that_explains_too_little_is_no_bound(
    record: Make, part: float, bound: str
) -> None:
    found = bounded(cell(record, {"transcendentals": part}))
    assert (found["bound"], found["largest"]) == (bound, "exponentials")
    assert found["explained"] == pytest.approx(part)


def test_rates_are_useful_and_intensity_is_executed(record: Make) -> None:
    found = bounded(cell(record, {"flops_executed": 0.5, "bytes_moved": 0.2}, time_s=2.0))
    assert found["flops_per_s"] == pytest.approx(4e9)
    assert found["share_of_matmul"] == pytest.approx(0.04)
    assert found["bytes_per_s"] == pytest.approx(1e9)
    assert found["share_of_copy"] == pytest.approx(0.1)
    assert found["flops_per_byte"] == pytest.approx(5e10 / 2e9)
    assert found["ridge_flops_per_byte"] == pytest.approx(10.0)
    useful = bounded(cell(record, {"bytes_moved": 0.2}, flops_executed=None))
    assert useful["flops_per_byte"] == pytest.approx(8e9 / 2e9)


SIZES = {
    "batch": 2,
    "num_heads": 3,
    "seq_len": 5,
    "key_len": 7,
    "head_dim": 11,
    "d_model": 33,
}


@pytest.mark.parametrize(
    ("changes", "tensors"),
    [
        ({}, 4 * 2 * 3 * 11 * (5 + 7 + 7 + 5)),
        ({"dtype": "bfloat16"}, 2 * 2 * 3 * 11 * (5 + 7 + 7 + 5)),
        ({"pass": "forward_backward"}, 2 * 4 * 2 * 3 * 11 * (5 + 7 + 7 + 5)),
        ({"kind": "layer"}, 4 * (2 * 33 * (5 + 7) + 4 * 33 * 33)),
    ],
)
def test_the_copy_rate_bounds_nothing_that_fits_in_the_last_level_cache(
    record: Make, changes: dict[str, Any], tensors: int
) -> None:
    info = INFO | {"ceilings": {"cpu/float32": CEILINGS, "cpu/bfloat16": CEILINGS}}
    for more, bound, cached in ((0, NONE, True), (1, "memory", False)):
        workspace = {"workspace_bytes": L3 - tensors + more}
        found = bounded(
            cell(record, {"bytes_moved": 0.9}, **SIZES | changes | workspace), info=info
        )
        assert found["working_set_bytes"] == L3 + more
        assert (found["bound"], found["in_cache"]) == (bound, cached)


def test_bytes_that_move_faster_than_any_copy_come_from_caches(record: Make) -> None:
    found = bounded(cell(record, {"bytes_moved": 1.3, "flops_executed": 0.6}))
    assert (found["bound"], found["in_cache"]) == ("products", True)
    near = bounded(cell(record, {"bytes_moved": 1.05, "flops_executed": 0.6}))
    assert (near["bound"], near["in_cache"]) == ("memory", False)


def test_where_the_cache_or_the_workspace_is_unknown_nothing_is_said_of_it(record: Make) -> None:
    for info, workspace in ((INFO | {"machine": None}, 7), (INFO, None)):
        row = cell(record, {"bytes_moved": 0.5}, workspace_bytes=workspace)
        found = bounded(row, info=info)
        assert pd.isna(found["in_cache"])
        assert found["bound"] == "memory"


@pytest.mark.parametrize("absent", ["flops_executed", "bytes_moved"])
def test_without_the_roofline_no_bound_is_told_and_it_is_said_why(
    record: Make, absent: str
) -> None:
    found = bounded(cell(record, {"operator_launches": 0.9}, **{absent: None}))
    noun = next(one.noun for one in BOUNDS if one.counted == absent)
    assert (found["bound"], found["untold"]) == (UNTOLD, f"{noun} were not counted")
    assert math.isnan(found["explained"])


def test_a_ceiling_that_was_not_measured_is_named_and_the_others_still_bound(record: Make) -> None:
    older = {name: CEILINGS[name] for name in ("matmul_flops_per_s", "copy_bytes_per_s")}
    info = INFO | {"ceilings": {"cpu/float32": older}}
    row = cell(record, {"flops_executed": 0.7}, transcendentals=0, minor_faults=0.0)
    found = bounded(row, info=info)
    assert found["bound"] == "products"
    assert found["untold"] == "no ceiling was measured for operator launches"
    assert (found["exponentials_s"], found["faults_s"]) == (0.0, 0.0)


def test_a_gpu_has_no_page_faults_and_its_index_is_optional(record: Make) -> None:
    own = {name: value for name, value in CEILINGS.items() if name != "fault_s"}
    for key in ("cuda", "cuda:1"):
        row = cell(record, {"operator_launches": 0.7}, device="cuda:1", minor_faults=None)
        found = bounded(row, info=INFO | {"ceilings": {f"{key}/float32": own}})
        assert (found["bound"], found["untold"]) == ("launches", "")
        assert pd.isna(found["in_cache"])  # the cache in run.json is the processor's


def test_a_call_replayed_from_a_graph_tells_what_launching_cost(record: Make) -> None:
    found = bounded(cell(record, {}, graph_time_s=0.75))
    assert found["launch_cost_s"] == pytest.approx(0.25)
    assert math.isnan(bounded(cell(record, {}))["launch_cost_s"])


def test_what_launching_cost_is_the_part_of_the_launches_whatever_their_number(
    record: Make,
) -> None:
    found = bounded(cell(record, {"operator_launches": 0.1}, graph_time_s=0.25))
    assert (found["bound"], found["explained"]) == ("launches", pytest.approx(0.75))
    # A replay that took longer, as when the clock was lowered, makes launches cost nothing.
    slower = bounded(cell(record, {"operator_launches": 0.9}, graph_time_s=1.5))
    assert slower["launches_s"] == 0.0


def test_every_run_is_held_against_its_own_ceilings(record: Make) -> None:
    frame = pd.DataFrame([cell(record, {}, run=name) for name in ("day", "night")])
    half = {"cpu/float32": CEILINGS | {"matmul_flops_per_s": 5e10}}
    found = bounds(cell_table(frame), INFO, {"day": INFO, "night": INFO | {"ceilings": half}})
    shares = dict(zip(found["run"], found["share_of_matmul"], strict=True))
    assert shares["night"] == pytest.approx(2 * shares["day"])


@pytest.mark.parametrize(
    "entry",
    [None, [1], {"cpu/float32": 7}, {"cpu/float32": dict.fromkeys(CEILINGS)}]
    + [{"cpu/float32": dict.fromkeys(CEILINGS, value)} for value in (0, -1.0, "fast", True)]
    + [{"cpu/float32": dict.fromkeys(CEILINGS, math.inf)}],
)
def test_an_odd_ceiling_is_none(record: Make, entry: object) -> None:
    assert ceilings_of({"ceilings": entry}, "cpu", "float32") == {}
    found = bounded(cell(record, {}), info={"ceilings": entry, "machine": 3})
    assert found["bound"] == UNTOLD
    assert "no ceiling was measured for" in found["untold"]


def test_a_table_without_conditions_or_cells_has_no_bounds() -> None:
    foreign = cell_table(pd.DataFrame({"seq_len": [3, 5], "time_s": [0.5, 1.5]}))
    assert list(bounds(foreign, {})["bound"]) == [UNTOLD, UNTOLD]
    assert len(bounds(foreign[:0], INFO)) == 0
