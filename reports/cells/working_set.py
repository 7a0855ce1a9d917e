"""What a call touches: its workspace, and the tensors that it is given and gives back.

A cache has to hold all of it. A step of decoding needs hardly any workspace, and reads all keys.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.cells.case_columns import CACHED, INTENSITY
from reports.tables.columns import numbers_or_nan

_SHAPE = ("batch", "num_heads", "seq_len", "key_len", "head_dim", "d_model")
ELEMENT_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
OF_QUERIES, OF_KEYS = ("batch", "queries", "width"), ("batch", "keys", "key_width")
"""The shapes of query and output, and of key and value, in the columns of `shapes`."""


def shapes(rows: pd.DataFrame) -> pd.DataFrame | None:
    """The numbers that the tensors of a core have as shapes; None in a table without them.

    Width is num_heads · head_dim, key_width num_kv_heads · head_dim.
    """
    if not {*_SHAPE, "dtype"} <= set(rows.columns):
        return None
    of = {name: numbers_or_nan(rows, name) for name in (*_SHAPE, "query_len", "num_kv_heads")}
    return pd.DataFrame(
        {
            "batch": of["batch"],
            "queries": of["query_len"].fillna(of["seq_len"]),
            "keys": of["key_len"],
            "width": of["num_heads"] * of["head_dim"],
            "key_width": of["num_kv_heads"].fillna(of["num_heads"]) * of["head_dim"],
        }
    )


def working_set(rows: pd.DataFrame) -> pd.Series:
    """Bytes that one call touches; NaN in a table without the shapes.

    A core has query and output of (batch, num_heads, query_len, head_dim), key and value of
    (batch, num_kv_heads, key_len, head_dim). A layer has its hidden states and four matrices of
    weights. A backward pass has as much again in gradients.
    """
    of = shapes(rows)
    if of is None:
        return pd.Series(np.nan, index=rows.index)
    queries, keys = (of[list(one)].prod(axis=1, skipna=False) for one in (OF_QUERIES, OF_KEYS))
    elements = 2 * (queries + keys)
    if "kind" in rows:
        d_model = numbers_or_nan(rows, "d_model")
        states = of["batch"] * (of["queries"] + of["keys"]) * d_model
        elements = elements.mask(_is(rows, "kind", "layer"), states + 4 * d_model**2)
    if "pass" in rows:
        elements = elements * np.where(_is(rows, "pass", "forward_backward"), 2, 1)
    tensors = elements * rows["dtype"].map(ELEMENT_BYTES).astype(float)
    return tensors + numbers_or_nan(rows, "workspace_bytes")


def with_bytes_for_caches(rows: pd.DataFrame, *, is_time: bool) -> pd.DataFrame:
    """The rows with CACHED, and, where a time is judged, with INTENSITY.

    CACHED is what a cache can hold from one call to the next. On a CPU this is the working set, or
    the workspace in a table without the shapes. A GPU's cache is overwritten before every call, so
    that only the workspace, which the call itself writes, can be found there. INTENSITY is known
    where the working set is.
    """
    workspace, touched = numbers_or_nan(rows, "workspace_bytes"), working_set(rows)
    cached = touched.fillna(workspace)
    if "device" in rows:
        cached = cached.where(_is(rows, "device", "cpu"), workspace)
    if not is_time:  # a count has no price
        return rows.assign(**{CACHED: cached})
    return rows.assign(**{CACHED: cached, INTENSITY: numbers_or_nan(rows, "flops") / touched})


def _is(rows: pd.DataFrame, column: str, value: str) -> npt.NDArray[np.bool_]:
    """The rows with that text; those without any have another."""
    return rows[column].astype(object).eq(value).to_numpy(dtype=np.bool_)
