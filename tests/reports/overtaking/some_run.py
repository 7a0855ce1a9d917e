"""Records of two layers, one of which overtakes the other, under any conditions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd

from reports.overtaking.answer import Overtaking, overtaking_in

LENGTHS = (64, 128, 256, 512, 1024, 2048)
WIDTHS = (32, 48, 80)
LAWS: dict[str, tuple[str, dict[tuple[int, int], int]]] = {
    "square": ("n^2*d + n*d^2", {(2, 1): 2, (1, 2): 6}),
    "line": ("n*d^2", {(1, 2): 10}),
}
"""The claim, and the operations: square overtakes line at n = 2·d, by operations."""


def records(
    *names: str, slower: float = 1.0, lengths: Sequence[int] = LENGTHS, **conditions: Any
) -> pd.DataFrame:
    """Rows of a run of ours; each operation takes a nanosecond, those of `square` `slower` ones."""
    rows = []
    for name in names or LAWS:
        claim, terms = LAWS[name]
        for n in lengths:
            for d in WIDTHS:
                operations = sum(c * n**i * d**j for (i, j), c in terms.items())
                time_s = 1e-9 * operations * (slower if name == "square" else 1.0)
                rows += [
                    {
                        "schema": 2,
                        "implementation": name,
                        "kind": "layer",
                        "claim": claim,
                        "pass": "forward",
                        "device": "cpu",
                        "dtype": "float32",
                        "batch": 1,
                        "threads": 1,
                        "is_causal": False,
                        "mask": "none",
                        "num_heads": 1,
                        "seq_len": n,
                        "key_len": n,
                        "head_dim": d,
                        "d_model": d,
                        "status": "measured",
                        "round": visit,
                        "time_s": time_s * (1 + 0.01 * visit),
                        "flops_executed": operations,
                        **conditions,
                    }
                    for visit in range(3)
                ]
    return pd.DataFrame(rows)


@cache
def answered() -> Overtaking:
    """The answer of `records`, found once for all tests of a process."""
    return overtaking_in(records(), {})
