"""Rows as a run gives them: one a cell and process, of implementations that share the processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

LENGTHS = (128, 256, 512, 1024, 2048)
WIDTHS = (64, 128)


def rows(
    times: Mapping[str, float],
    *,
    own: float = 0.01,
    shared: float = 0.0,
    processes: int = 3,
    lengths: Sequence[int] = LENGTHS,
    seed: int = 0,
    **columns: Any,
) -> pd.DataFrame:
    """`times` are seconds at n·n·d = 1e6. `own` is the relative error of each row, `shared` what
    all cells of a process have in common.
    """
    rng = np.random.default_rng(seed)
    pace = rng.normal(0, shared, processes)
    return pd.DataFrame(
        [
            {
                "schema": 2,
                "implementation": name,
                "kind": "core",
                "claim": f"claim of {name}",
                "device": "cpu",
                "seq_len": n,
                "d_model": d,
                "worker": worker,
                "status": "measured",
                "time_s": time_s * n * n * d / 1e6 * np.exp(rng.normal(0, own) + pace[worker]),
                "workspace_bytes": len(name) * n,
                "readings": 20,
                **columns,
            }
            for n in lengths
            for d in WIDTHS
            for worker in range(processes)
            for name, time_s in times.items()
        ]
    )
