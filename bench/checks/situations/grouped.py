"""Grouped and multi-query attention: six heads of queries share three heads of keys, or one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.checks.situation import CheckCase
from bench.checks.situations.parts import (
    BATCH_ROWS_HEADS,
    HEAVY_TAIL,
    boolean_mask,
    in_memory,
    lengths,
    situation,
)

PAIRS: dict[str, Any] = {"leading": (2, 6), "num_kv_heads": 3}
ONE_FOR_ALL: dict[str, Any] = {"leading": (2, 6), "num_kv_heads": 1}


def grouped() -> Iterator[CheckCase]:
    """The heads in their groups; masks of each head; gradients as sums over a group."""
    yield situation("shapes", "grouped", **PAIRS)
    yield situation("shapes", "grouped_one_for_all", seq_len=7, value_dim=13, **ONE_FOR_ALL)
    yield situation("shapes", "grouped_three_dimensions", leading=(6,), num_kv_heads=2)
    yield situation("shapes", "grouped_67x131", HEAVY_TAIL, **PAIRS, **lengths(67, 131, 16))
    # One token after another: few queries, many keys, which all heads of a group read.
    decoding: dict[str, Any] = {"leading": (1, 6), "num_kv_heads": 2, **lengths(1, 2053)}
    yield situation("shapes", "grouped_decoding", HEAVY_TAIL, probe="rows", **decoding)
    padding = boolean_mask("query.shape[0], 1, 1, key.shape[-2]")
    yield situation("masks", "grouped_decoding_padded", *padding, mask="boolean", **decoding)
    yield situation("causal", "grouped_causal", is_causal=True, **PAIRS)
    large: dict[str, Any] = {"leading": (1, 4), "num_kv_heads": 2, **lengths(131, 257, 16)}
    yield situation("causal", "grouped_causal_131x257", is_causal=True, **large)
    per_head = boolean_mask("*query.shape[:-1], key.shape[-2]")
    yield situation("masks", "grouped_boolean_per_head", *per_head, mask="boolean", **PAIRS)
    yield situation("masks", "grouped_float_mask", mask="float", **ONE_FOR_ALL)
    rows_first = in_memory(f"t.{BATCH_ROWS_HEADS}")
    yield situation("memory", "grouped_rows_before_heads", rows_first, **PAIRS, **lengths(17, 19))
    beyond = in_memory(
        "t.new_full((*t.shape[:-2], t.shape[-2] + 9, t.shape[-1] + 5), torch.nan)"
        "[..., 4:-5, 2:-3].copy_(t)"
    )
    yield situation("memory", "grouped_nan_beyond", beyond, is_causal=True, **PAIRS)
    yield situation("gradients", "grouped_asked_one_by_one", probe="asking", **PAIRS)
    # More scores of a head than any core takes a path for short calls with.
    long: dict[str, Any] = {"leading": (1, 4), "num_kv_heads": 2, **lengths(513, 521, 16)}
    yield situation("shapes", "grouped_513x521", HEAVY_TAIL, probe="rows", **long)
    yield situation("properties", "grouped_properties", probe="properties", **PAIRS)
    causal: dict[str, Any] = {"probe": "properties", "is_causal": True}
    yield situation("properties", "grouped_properties_causal", **causal, **PAIRS)
