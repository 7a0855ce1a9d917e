"""A run of three processes: `quick` is as fast as `sdpa`, and `slow` takes twice as long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.tables.read import Table
from reports.tables.rounds import TURNS, Turn

LENGTHS = (128, 256, 512, 1024, 2048)
WIDTHS = (64, 128, 256, 512, 1024)
FACTORS = {"sdpa": 1.0, "quick": 1.01, "slow": 2.0}


def rows(
    factors: Mapping[str, float] = FACTORS,
    *,
    lengths: Sequence[int] = LENGTHS,
    widths: Sequence[int] = WIDTHS,
    scatter: float = 0.003,
    **conditions: Any,
) -> list[dict[str, Any]]:
    """One row a cell and process: n²·d nanoseconds times the factor, and n² bytes of workspace."""
    rng = np.random.default_rng(7)
    return [
        {
            "schema": 2,
            "implementation": name,
            "kind": "core",
            "claim": "n^2*d",
            "workspace_claim": "n^2",
            "pass": "forward",
            "device": "cpu",
            "dtype": "float32",
            "growth": "heads",
            "is_causal": False,
            "mask": "none",
            "round": worker,
            "batch": 1,
            "threads": 1,
            "seq_len": n,
            "key_len": n,
            "head_dim": 64,
            "num_heads": d // 64,
            "d_model": d,
            "status": "measured",
            "reason": None,
            "worker": worker,
            "readings": 20,
            "time_s": 1e-9 * factor * n**2 * d * float(np.exp(rng.normal(0, scatter))),
            "workspace_bytes": n**2,
            **conditions,
        }
        for name, factor in factors.items()
        for n in lengths
        for d in widths
        for worker in range(3)
    ]


def frame(*parts: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table; those of `rows()` where none are given. Each process had one turn."""
    found = [row for part in parts or (rows(),) for row in part]
    turns = [(Turn(row["worker"], (row["time_s"],), None),) for row in found]
    return pd.DataFrame(found).assign(**{TURNS: turns})


def table(found: pd.DataFrame) -> Table:
    """The frame as it is read from a run."""
    return Table(frame=found, info={}, path=Path("run"), runs={"run": {}})
