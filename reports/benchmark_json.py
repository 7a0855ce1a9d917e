"""Turns the JSON of pytest-benchmark into rows like ours: `extra_info` carries the case."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any


class LeftOutWarning(UserWarning):
    """Benchmarks that were left out of a table."""


def benchmark_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a benchmark, from a parsed pytest-benchmark document.

    `time_s` is `stats.median` and `time_min_s` is `stats.min`, in seconds; every key of
    `extra_info` is a column. A benchmark whose `extra_info` has no `seq_len` also gets its
    `params` as columns, so that `--size n=...` can name them. `name` is the benchmark's name,
    `params` its parameters as JSON. One without usable statistics has status `crashed`. Where some
    benchmarks carry a case and others do not, the others are left out with a LeftOutWarning: they
    time something else.
    """
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    cases = [entry for entry in entries if "seq_len" in _object(entry.get("extra_info"))]
    if cases and len(cases) < len(entries):
        others = [str(entry.get("name")) for entry in entries if entry not in cases]
        warnings.warn(
            f"{len(others)} benchmarks without seq_len in extra_info left out: {', '.join(others)}",
            LeftOutWarning,
            stacklevel=2,
        )
    return [_row(entry) for entry in cases or entries]


def benchmark_info(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the document tells of the machine, in the shape of `run.json`; absent means null."""
    machine = _object(document.get("machine_info"))
    commit = _object(document.get("commit_info"))
    cpu = _object(machine.get("cpu"))
    system = [machine.get(key) for key in ("system", "release", "machine")]
    return {
        "schema": 1,
        "created": document.get("datetime"),
        "machine": {
            "cpu": cpu.get("brand_raw") or machine.get("processor") or None,
            "cores_logical": cpu.get("count"),
            "os": "-".join(str(part) for part in system if part) or None,
        },
        "versions": {
            "python": machine.get("python_version"),
            "pytest-benchmark": document.get("version"),
        },
        "git": {"commit": commit.get("id"), "dirty": commit.get("dirty")},
    }


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    stats = _object(entry.get("stats"))
    case = _object(entry.get("extra_info"))
    params = _object(entry.get("params"))
    row: dict[str, Any] = {
        "name": str(entry.get("name", "")),
        "params": json.dumps(params, sort_keys=True, default=str) if params else None,
    }
    if "seq_len" not in case:
        row |= {key: value for key, value in params.items() if not isinstance(value, dict | list)}
        row["implementation"] = row["name"].split("[", 1)[0]
    row |= case
    row["time_s"] = stats.get("median")
    row["time_min_s"] = stats.get("min")
    usable = isinstance(row["time_s"], int | float)
    row["status"] = "measured" if usable else "crashed"
    row.setdefault("reason", None if usable else "the benchmark has no median")
    return row


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
