import pandas as pd
import pytest

from reports.cells.groups import group_columns, groups, with_cost
from reports.tables.columns import TableError


def test_conditions_split_groups_only_when_they_vary_within_an_implementation() -> None:
    frame = pd.DataFrame(
        {
            "implementation": ["loop", "sdpa", "sdpa"],
            "batch": [1, 2, 2],
            "dtype": ["float32", "float32", "bfloat16"],
            "device": ["cpu", "cpu", "cpu"],
        }
    )
    assert group_columns(frame) == ["implementation", "dtype"]
    assert [group for group, _ in groups(frame)] == [
        {"implementation": "loop", "dtype": "float32"},
        {"implementation": "sdpa", "dtype": "float32"},
        {"implementation": "sdpa", "dtype": "bfloat16"},
    ]


def test_sizes_never_split_groups() -> None:
    frame = pd.DataFrame(
        {"seq_len": [3, 5], "key_len": [3, 5], "num_heads": [2, 3], "head_dim": [7, 11]}
    )
    assert group_columns(frame) == []
    assert [len(part) for _, part in groups(frame)] == [2]


def test_a_size_of_the_law_does_not_split_groups() -> None:
    frame = pd.DataFrame({"batch": [1, 2, 4]})
    assert group_columns(frame) == ["batch"]
    assert group_columns(frame, without={"batch"}) == []


def test_values_of_groups_are_plain_json_and_missing_is_none() -> None:
    frame = pd.DataFrame({"implementation": ["a", "a"], "growth": ["heads", None]})
    named = [group for group, _ in groups(frame, ["growth"])]
    assert named == [{"growth": "heads"}, {"growth": None}]


def test_grouping_by_an_unknown_column_names_the_known_ones() -> None:
    with pytest.raises(TableError, match='no column "dtyp"; did you mean "dtype"'):
        list(groups(pd.DataFrame({"dtype": ["float32"]}), ["dtyp"]))


def test_implementations_of_which_another_cost_was_measured_are_left_out():
    table = pd.DataFrame(
        {
            "implementation": ["time_a", "time_a", "mem_a", "time_b"],
            "status": ["measured", "crashed", "measured", "crashed"],
            "time_s": [0.5, None, None, None],
            "memory_bytes": [None, None, 4096.0, None],
        }
    )

    assert list(with_cost(table, "time_s")["implementation"]) == ["time_a", "time_a", "time_b"]
    assert list(with_cost(table, "memory_bytes")["implementation"]) == ["mem_a", "time_b"]
    assert len(with_cost(table.assign(energy_j=None), "energy_j")) == 4
    assert len(with_cost(table.drop(columns="status"), "time_s")) == 4
