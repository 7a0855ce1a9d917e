"""Synthetic sweeps with a known law: the truth that the fits are held against."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.laws.grammar import parse_monomial

SEQ_LENS = (128, 256, 512, 1024, 2048, 4096, 8192)
D_MODELS = (64, 128, 256, 512, 1024)

Terms = Sequence[tuple[float, str]]


def make_sweep(
    terms: Terms,
    *,
    seed: int = 0,
    cells: Sequence[tuple[int, int]] = tuple((n, d) for n in SEQ_LENS for d in D_MODELS),
    overhead: float = 0.1,
    reading: float = 0.02,
    shared: float = 0.01,
    rounds: int = 3,
    factor: Callable[[Any, Any], Any] | None = None,
    **columns: Any,
) -> pd.DataFrame:
    """One row a visit. The cost is the sum of coefficient * term, in nanoseconds, times `factor`.

    `overhead` is a constant, in parts of the median cost; `reading` and `shared` are the relative
    errors of a visit and of a whole cell.
    """
    rng = np.random.default_rng(seed)
    n = np.array([cell[0] for cell in cells], dtype=float)
    d = np.array([cell[1] for cell in cells], dtype=float)
    cost = sum(c * parse_monomial(term).evaluate({"n": n, "d": d}) for c, term in terms)
    cost = cost * np.ones_like(n)
    base = float(np.median(cost))
    if factor is not None:
        cost = cost * factor(n, d)
    cost = (cost + overhead * base) * np.exp(rng.normal(0, shared, n.size))
    visits = []
    for visit in range(rounds):
        time_s = 1e-9 * cost * np.exp(rng.normal(0, reading, n.size))
        visits.append(
            pd.DataFrame(
                {
                    "seq_len": n.astype(int),
                    "d_model": d.astype(int),
                    "round": visit,
                    "status": "measured",
                    "time_s": time_s,
                    **columns,
                }
            )
        )
    return pd.concat(visits, ignore_index=True)


@pytest.fixture
def sweep() -> Callable[..., pd.DataFrame]:
    return make_sweep


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """One measured row of a journal, as a dictionary; keywords replace fields."""

    def make(**changes: Any) -> dict[str, Any]:
        row: dict[str, Any] = {
            "schema": 1,
            "implementation": "sdpa",
            "kind": "core",
            "pass": "forward",
            "device": "cpu",
            "dtype": "float32",
            "batch": 2,
            "num_heads": 3,
            "seq_len": 128,
            "key_len": 128,
            "head_dim": 64,
            "d_model": 192,
            "is_causal": False,
            "mask": "none",
            "status": "measured",
            "round": 0,
            "time_s": 0.25,
            "time_min_s": 0.125,
            "claim": "n^2*d",
        }
        return row | changes

    return make
