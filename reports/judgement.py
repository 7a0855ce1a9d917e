"""What judging a group of cells yields: exponents, terms, regimes and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.laws import parse_monomial


class Verdict(StrEnum):
    """The answer to a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and the confidence interval around it; None where it could not be had."""

    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Term:
    """One monomial of the fitted law; the share is of the fitted cost at the largest cell."""

    term: str
    coefficient: float
    share_at_largest: float


@dataclass(frozen=True, kw_only=True)
class Regime:
    """A range of sizes where one mechanism dominates.

    `start` and `end` are values of the first size variable (n), inclusive; `evidence` is one
    plain sentence.
    """

    name: str
    start: float
    end: float
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A claim judged on one group of cells.

    `terms` are the fitted law: its cost at sizes s is the sum of coefficient * term(s). `sizes`
    maps the law's letters to the table's columns, `value` names the cost column, and `ranges` has
    the smallest and largest judged value of each size; `cells` counts the judged cells.
    """

    group: Mapping[str, Any]
    claim: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    exponents: Mapping[str, Interval] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    regimes: tuple[Regime, ...] = ()
    cells: int = 0
    rms_residual: float | None = None
    confidence: float = 0.95
    tolerance: float = 0.1
    sizes: Mapping[str, str] = field(default_factory=dict)
    value: str = "time_s"
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def predict(self, sizes: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
        """The fitted cost at these sizes, in the unit of the cost column: the sum of the terms.

        Where there are regimes, the terms are those of the largest cell's regime, so that smaller
        sizes are what this regime would cost there, not what was measured.

        Raises:
            ValueError: nothing was fitted, or a size that a term names is missing.

        """
        if not self.terms:
            raise ValueError("nothing was fitted, so nothing can be predicted; see the reasons")
        values = [
            term.coefficient * parse_monomial(term.term).evaluate(sizes) for term in self.terms
        ]
        return np.asarray(np.sum(np.broadcast_arrays(*values), axis=0), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """The object of `fit --json`: JSON numbers or null, never NaN."""
        return {
            "group": dict(self.group),
            "claim": self.claim,
            "verdict": str(self.verdict),
            "reasons": list(self.reasons),
            "exponents": {
                name: {
                    "estimate": _number(interval.estimate),
                    "low": _number(interval.low),
                    "high": _number(interval.high),
                }
                for name, interval in self.exponents.items()
            },
            "terms": [
                {
                    "term": term.term,
                    "coefficient": _number(term.coefficient),
                    "share_at_largest": _number(term.share_at_largest),
                }
                for term in self.terms
            ],
            "regimes": [
                {
                    "name": regime.name,
                    "from": _number(regime.start),
                    "to": _number(regime.end),
                    "evidence": regime.evidence,
                }
                for regime in self.regimes
            ],
            "cells": self.cells,
            "rms_residual": _number(self.rms_residual),
            "confidence": self.confidence,
            "tolerance": self.tolerance,
        }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
