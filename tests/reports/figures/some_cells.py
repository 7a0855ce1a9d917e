"""Records of three implementations with known costs, and their views."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.figures.drawing.split import views
from reports.figures.drawing.view import View
from reports.judge.result import Fit, Term, Verdict
from reports.text.interval import Interval

INFO: dict[str, Any] = {"ceilings": {"cpu/float32": {"matmul_flops_per_s": 2e11}}}
SPEEDS = {"fast": 1e11, "slow": 2e10}  # FLOP/s
OVERHEAD_S = 2e-5


def record(name: str, n: int, d: int, *, round_: int = 0, **changes: Any) -> dict[str, Any]:
    flops = 4 * n * n * d
    speed = SPEEDS.get(name, 1e10)
    row: dict[str, Any] = {
        "implementation": name,
        "kind": "core",
        "pass": "forward",
        "device": "cpu",
        "dtype": "float32",
        "batch": 1,
        "num_heads": max(1, d // 64),
        "seq_len": n,
        "key_len": n,
        "head_dim": min(d, 64),
        "d_model": d,
        "is_causal": False,
        "mask": "none",
        "threads": 2,
        "status": "measured",
        "reason": None,
        "round": round_,
        "time_s": (OVERHEAD_S + flops / speed) * (1 + 0.01 * (round_ - 1)),
        "workspace_bytes": 8 * n * n if name == "slow" else 512 * n,
        "flops": flops,
        "growth": "heads",
        "claim": "n^2*d",
    }
    return row | changes


def records(**changes: Any) -> pd.DataFrame:
    rows = [
        record(name, n, d, round_=round_, **changes)
        for name in SPEEDS
        for n in (128, 256, 512, 1024, 2048)
        for d in (64, 128, 256, 512)
        for round_ in range(3)
    ]
    rows += [
        record("tiny", n, 8, round_=round_, **({"growth": "head_dim"} | changes))
        for n in (4, 8, 16, 32)
        for round_ in range(3)
    ]
    return pd.DataFrame(rows)


def fit_of(name: str, **changes: Any) -> Fit:
    known: dict[str, Any] = {
        "group": {"implementation": name},
        "claim": "n^2*d",
        "verdict": Verdict.CONFIRMED,
        "exponents": {
            "n": Interval(estimate=2.0, low=1.98, high=2.02),
            "d": Interval(estimate=1.01, low=0.99, high=1.03),
        },
        "terms": (
            Term(term="1", coefficient=OVERHEAD_S, share_at_largest=0.01),
            Term(term="n^2*d", coefficient=4 / SPEEDS.get(name, 1e10), share_at_largest=0.99),
        ),
        "cells": 20,
        "rms_residual": 0.02,
        "sizes": {"n": "seq_len", "d": "d_model"},
    }
    return Fit(**(known | changes))


def view_of(frame: pd.DataFrame, *fits: Fit, info: dict[str, Any] | None = None) -> View:
    (view,) = views(frame, fits, INFO if info is None else info)
    return view
