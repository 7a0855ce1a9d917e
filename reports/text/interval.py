"""An estimate with its interval: what every figure, table and sentence shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and the confidence interval around it; None where it could not be had."""

    estimate: float | None
    low: float | None
    high: float | None
