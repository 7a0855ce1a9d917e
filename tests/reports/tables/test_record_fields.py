"""Every field of a record has its part: condition, size, reading, or what is told of a visit.

A field that none of these lists knows would be dropped from the table of cells, and might pass for
a condition that makes groups. Whoever adds one decides here what it is.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pandas as pd
import pytest

from bench.records import Record
from reports.cells.case_columns import CASE_COLUMNS, CONDITIONS
from reports.cells.cell_table import KERNELS, NUMBERS, READINGS, cell_table
from reports.cells.cells import cells_of
from reports.cells.groups import group_columns
from reports.tables.read import NUMBER_COLUMNS

OF_A_PROCESS = {"typical_s", "readings"}
"""What stands in the place of a process's records of a cell; see `reports.cells.readings`."""
OF_A_VISIT = {
    "schema",
    "status",
    "reason",
    "round",
    "worker",
    "time_s",
    "samples_s",
    "noisy",
    "noise_reasons",
    "throttle_reasons",
}
"""What is told of one visit and is no reading of its cell, but for the time itself."""
FIELDS = {one.name.rstrip("_"): str(one.type) for one in fields(Record)}
NUMERIC = {name for name, kind in FIELDS.items() if kind.startswith(("int", "float"))}


def varied(name: str, position: int) -> Any:
    """A value of a field that differs from row to row."""
    kind = FIELDS[name].removesuffix(" | None")
    if name == "status":
        return "measured"
    if kind.startswith("tuple"):
        return ("odd",) * position or None
    return {"int": position + 1, "float": position + 0.5, "bool": bool(position)}.get(
        kind, f"some {position}"
    )


def test_every_field_has_exactly_one_part_to_play() -> None:
    parts = [
        set(CASE_COLUMNS) - {"run"},
        set(READINGS) - OF_A_PROCESS,
        OF_A_VISIT,
        set(KERNELS),
    ]
    assert set.union(*parts) == set(FIELDS)
    assert sum(map(len, parts)) == len(FIELDS)


def test_every_number_of_a_record_is_checked_to_be_one_but_those_that_only_count() -> None:
    assert NUMERIC - {"schema", "round", "worker"} == set(NUMBER_COLUMNS) - OF_A_PROCESS


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_only_conditions_make_groups_and_only_sizes_and_conditions_make_cells(
    name: str, record: Any
) -> None:
    frame = pd.DataFrame([record(**{name: varied(name, position)}) for position in range(2)])
    assert group_columns(frame) == ["implementation", *[name] * (name in CONDITIONS)]
    assert len(cell_table(frame)) == (2 if name in CASE_COLUMNS else 1)
    if name not in ("implementation", "claim", "workspace_claim"):  # the same in all of a group
        apart = name in CONDITIONS or name in NUMBERS
        assert len(cells_of(frame, {"n": "seq_len", "d": "d_model"}, "time_s")) == 1 + apart
