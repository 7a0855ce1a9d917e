"""Turns what criterion.rs measured into rows: an export of critcmp, or the tree of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from reports.tables.benchmarks.rows import Benchmark, Contents, contents_of, read_object, sizes_in
from reports.tables.json_values import an_object, is_number, is_positive, to_number

_ESTIMATES = "estimates.json"
_BENCHMARK = "benchmark.json"
# target/criterion/GROUP/FUNCTION/VALUE/new, from any folder of it; nothing deeper is looked at.
_DEEPEST = 6


def is_critcmp(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is an export of critcmp."""
    entries = document.get("benchmarks")
    return (
        isinstance(entries, dict)
        and "name" in document
        and all("criterion_estimates_v1" in an_object(one) for one in entries.values())
    )


def is_half_a_benchmark(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is one `estimates.json`, or the `benchmark.json` beside it."""
    keys = document.keys()
    return keys >= {"mean", "median", "std_dev"} or keys >= {"group_id", "directory_name"}


def critcmp_contents(document: Mapping[str, Any]) -> Contents:
    """One row a benchmark: the median of its samples.

    The samples of a benchmark are taken in a row within one process and are no replicates.
    `input` is the parameter of the benchmark's id; `elements` or `bytes` is its throughput.
    """
    return _contents(
        [
            (an_object(one["criterion_benchmark_v1"]), an_object(one["criterion_estimates_v1"]))
            for one in document["benchmarks"].values()
            if "criterion_benchmark_v1" in one
        ]
    )


def criterion_contents(folder: Path) -> Contents | None:
    """As `critcmp_contents`, of `target/criterion` or any folder below; None without estimates."""
    patterns = [_ESTIMATES, *("*/" * depth + f"new/{_ESTIMATES}" for depth in range(_DEEPEST))]
    found = chain.from_iterable(folder.glob(pattern) for pattern in patterns)
    folders = sorted({path.parent for path in found if (path.parent / _BENCHMARK).is_file()})
    entries = [(read_object(one / _BENCHMARK), read_object(one / _ESTIMATES)) for one in folders]
    return _contents(entries) if entries else None


def _contents(entries: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Contents:
    names = [
        "/".join(str(part) for key in ("group_id", "function_id") if (part := benchmark.get(key)))
        for benchmark, _ in entries
    ]
    if all(benchmark.get("value_str") is None for benchmark, _ in entries):
        named = sizes_in(names)
    else:
        named = [(name, {}) for name in names]
    return contents_of(
        [
            Benchmark(
                test=name,
                params=_params(benchmark) | sizes,
                readings=_readings(estimates),
                reason="criterion recorded no median",
            )
            for (benchmark, estimates), (name, sizes) in zip(entries, named, strict=True)
        ]
    )


def _params(benchmark: Mapping[str, Any]) -> dict[str, object]:
    value = benchmark.get("value_str")
    params: dict[str, object] = {}
    if value is not None:
        number = to_number(value)
        params["input"] = str(value) if number is None else number
    throughput = an_object(benchmark.get("throughput"))
    return params | {unit.lower(): v for unit, v in throughput.items() if is_number(v)}


def _readings(estimates: Mapping[str, Any]) -> list[dict[str, float]]:
    median_ns = an_object(estimates.get("median")).get("point_estimate")
    return [{"time_s": 1e-9 * median_ns}] if is_positive(median_ns) else []
