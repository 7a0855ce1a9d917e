"""The columns of our records that tell one cell from another, and the letters of its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.records import CELL

SPECIAL = ("query_len", "kv_heads", "window")
"""Conditions that most cells lack, for which a missing value is one of its own."""
CONDITIONS = (
    *("run", "kind", "pass", "device", "dtype", "batch", "is_causal", "mask", "growth"),
    *("threads", *SPECIAL),
)
"""Columns that split groups when they vary; sizes never do."""
APART = ("run", "device", "dtype", "pass", "is_causal", "mask", *SPECIAL)
"""Conditions that cells must share to stand in one ranking, or in one figure of one run."""
SIZE_COLUMNS = ("seq_len", "key_len", "num_heads", "head_dim", "d_model")
CASE_COLUMNS = ("run", *CELL, "claim", "workspace_claim")
"""All that tells cells apart; a table may have any of these columns, or none."""
SIZES: Mapping[str, str] = MappingProxyType({"n": "seq_len", "d": "d_model"})
"""The default letters of laws and the columns they stand for."""
KNOWN_SIZES: Mapping[str, str] = MappingProxyType(
    {**SIZES, "h": "num_heads", "b": "batch", "m": "key_len", "w": "window"}
)
"""Letters that a claim may use without being told what they stand for."""
SIZE_NAMES = (*KNOWN_SIZES, *SIZE_COLUMNS)
"""What a size of our records may be called: its letter, or its column."""
LARGEST_SIZE = 2**60
"""Of a size that was not measured, and that something is asked about."""
EXACT = frozenset({"workspace_bytes", "bytes_moved", "flops"})
"""Costs that are counted: the same at every call."""
COVARIATES = ("workspace_bytes", "minor_faults", "flops")
"""Costs beside the one that is judged, which may explain a jump of it."""
CACHED, INTENSITY = "cached_bytes", "flops_per_byte"
"""Covariates that are computed: what caches have to hold, and operations for each byte of it."""
