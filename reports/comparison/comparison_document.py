"""A comparison as JSON data; docs/contracts.md lists the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.records import CELL
from reports.comparison.changes import CONFIDENCE, SeriesChange
from reports.comparison.compared import Comparison
from reports.comparison.judged_laws import LawChange
from reports.comparison.ratios import Ratio


def document_of(found: Comparison) -> dict[str, Any]:
    """The whole comparison: numbers, text and null only."""
    return {
        "base": found.base,
        "new": found.new,
        "confidence": CONFIDENCE,
        "pace": {"ratio": found.changes.pace, "controls": list(found.changes.controls)},
        "is_gpu_time": found.is_gpu_time,
        "other_conditions": list(found.other_conditions),
        "only_base": found.only_base,
        "only_new": found.only_new,
        "series": [
            _series(found, one, base, laws)
            for one, base, laws in zip(found.changes.series, found.bases, found.laws, strict=True)
        ],
        "cells": [
            {
                **{name: _plain(cell[name]) for name in CELL},
                "base_s": float(cell["base_s"]),
                "new_s": float(cell["new_s"]),
                **_ratio(found, ratio),
                "differs_from_series": place in found.apart,
            }
            for place, (cell, ratio) in enumerate(
                zip(found.differences.cells.to_dict("records"), found.changes.cells, strict=True)
            )
        ],
    }


def _series(
    found: Comparison, one: SeriesChange, base: str, laws: Mapping[str, LawChange]
) -> dict[str, Any]:
    low, high = one.workspace or (None, None)
    return {
        "group": {name: _plain(value) for name, value in one.series.group.items()},
        "base_implementation": base,
        "cells": len(one.series.rows),
        **_ratio(found, one.ratio),
        "growth": {
            size: {
                "power": growth.estimate,
                "low": growth.low,
                "high": growth.high,
                "base_exponent": laws[size].base.estimate if size in laws else None,
                "new_exponent": laws[size].new.estimate if size in laws else None,
                "law_changed": size in laws and laws[size].is_another_law,
            }
            for size, growth in one.growth.items()
        },
        "fixed_cost_s": None if one.fixed is None else one.fixed.seconds,
        "workspace_ratio": None if low is None else {"low": low, "high": high},
        "source_changed": one.series.name in found.changed,
    }


def _ratio(found: Comparison, ratio: Ratio) -> dict[str, Any]:
    return {
        "ratio": ratio.estimate,
        "low": ratio.low,
        "high": ratio.high,
        "finding": str(ratio.finding) if found.is_judged else None,
    }


def _plain(value: Any) -> Any:
    """A value of a cell as JSON holds it."""
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
