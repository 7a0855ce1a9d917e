"""The bytes that a call touches."""

import math

import pandas as pd
import pytest

from reports.cells.case_columns import CACHED, INTENSITY
from reports.cells.cells import cells_of
from reports.cells.working_set import with_bytes_for_caches, working_set

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


def known(rows: pd.DataFrame, *, is_time: bool = True) -> dict[str, list[float]]:
    found = with_bytes_for_caches(rows, is_time=is_time)
    return {name: found[name].tolist() for name in (CACHED, INTENSITY) if name in found}


def test_a_table_without_shapes_has_its_workspace_only() -> None:
    rows = pd.DataFrame([CORE | {"flops": 5.0}]).drop(columns="head_dim")

    assert known(rows)[CACHED] == [1000]
    assert math.isnan(known(rows)[INTENSITY][0])


def test_the_caches_of_a_gpu_hold_no_inputs() -> None:
    rows = pd.DataFrame([CORE, CORE | {"device": "cuda:0"}])

    assert known(rows)[CACHED] == [4 * TENSOR + 1000, 1000]


def test_only_a_time_has_operations_for_each_byte() -> None:
    rows = pd.DataFrame([CORE | {"flops": 2 * (4 * TENSOR + 1000)}])

    assert known(rows)[INTENSITY] == [2]
    assert set(known(rows, is_time=False)) == {CACHED}


def test_a_workspace_is_not_explained_by_itself() -> None:
    rows = pd.DataFrame([CORE | {"seq_len": n, "time_s": 1.0} for n in (10, 20)])
    sizes = {"n": "seq_len"}

    assert CACHED in cells_of(rows, sizes, "time_s").covariates
    assert CACHED not in cells_of(rows, sizes, "workspace_bytes").covariates


def test_a_missing_word_is_none_of_those_that_are_known() -> None:
    rows = pd.DataFrame([CORE, CORE | {"pass": None, "kind": None}]).convert_dtypes()

    assert working_set(rows).tolist() == [4 * TENSOR + 1000] * 2
