"""The bytes that a call touches."""

import pandas as pd
import pytest

from reports.cells.working_set import held_by_caches, working_set

CORE = {
    "kind": "core",
    "pass": "forward",
    "device": "cpu",
    "dtype": "float32",
    "batch": 2,
    "num_heads": 8,
    "seq_len": 100,
    "key_len": 100,
    "head_dim": 64,
    "d_model": 512,
    "workspace_bytes": 1000,
}
TENSOR = 2 * 100 * 512 * 4


def touched(**changes: object) -> float:
    return float(working_set(pd.DataFrame([CORE | changes])).iloc[0])


@pytest.mark.parametrize(
    ("changes", "tensors"),
    [
        ({}, 4 * TENSOR),
        ({"dtype": "bfloat16"}, 2 * TENSOR),
        ({"pass": "forward_backward"}, 8 * TENSOR),
        ({"query_len": 1}, 2 * TENSOR + 2 * TENSOR / 100),
        ({"num_kv_heads": 2}, 2 * TENSOR + 2 * TENSOR / 4),
        ({"kind": "layer"}, 2 * TENSOR + 4 * 512**2 * 4),
    ],
)
def test_what_a_call_is_given_and_gives_back_counts(
    changes: dict[str, object], tensors: float
) -> None:
    assert touched(**changes) == tensors + 1000


def test_a_table_without_shapes_has_its_workspace_only() -> None:
    rows = pd.DataFrame([CORE]).drop(columns="head_dim")
    assert working_set(rows).isna().all()
    assert held_by_caches(rows).tolist() == [1000]


def test_the_caches_of_a_gpu_hold_no_inputs() -> None:
    rows = pd.DataFrame([CORE, CORE | {"device": "cuda:0"}])
    assert held_by_caches(rows).tolist() == [4 * TENSOR + 1000, 1000]
