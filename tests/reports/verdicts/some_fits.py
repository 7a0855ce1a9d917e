"""Fits as a judge yields them, for what is told of verdicts."""

from __future__ import annotations

from typing import Any

from reports.judge.result import Fit, Verdict
from reports.text.interval import Interval


def judged(name: str, verdict: Verdict, **changes: Any) -> Fit:
    known: dict[str, Any] = {
        "group": {"implementation": name},
        "claim": "n^2*d",
        "verdict": verdict,
        "exponents": {"n": Interval(estimate=1.5, low=1.4, high=1.6)},
        "cells": 20,
        "rms_residual": 0.0134,
        "sizes": {"n": "seq_len", "d": "d_model"},
    }
    return Fit(**(known | changes))
