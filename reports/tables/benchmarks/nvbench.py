"""Turns the JSON of nvbench into rows: one a state, the mean GPU time of its cold runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.tables.benchmarks.rows import Benchmark, Contents, contents_of
from reports.tables.json_values import a_list, an_object, is_positive, number_or_text, to_number

_TIMES = ("nv/cold/time/gpu/mean", "nv/batch/time/gpu/mean", "nv/cpu_only/time/cpu/mean")
"""Summaries in seconds; the first that a state has is its time."""


def is_nvbench(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is of nvbench."""
    entries = a_list(document.get("benchmarks"))
    return any("states" in an_object(one) for one in entries) or (
        not entries and "nvbench" in an_object(an_object(document.get("meta")).get("version"))
    )


def nvbench_contents(document: Mapping[str, Any]) -> Contents:
    """One row a state: its axes are parameters, its device is a column, skipped ones say why."""
    found = map(an_object, a_list(document.get("devices")))
    devices = {str(device.get("id")): str(device.get("name")) for device in found}
    benchmarks = [
        _benchmark(str(entry.get("name")), an_object(state), devices)
        for entry in map(an_object, a_list(document.get("benchmarks")))
        for state in a_list(entry.get("states"))
    ]
    gpu = ", ".join(dict.fromkeys(devices.values())) or None
    return contents_of(benchmarks, {"machine": {"gpu": gpu}})


def _benchmark(test: str, state: Mapping[str, Any], devices: Mapping[str, str]) -> Benchmark:
    params: dict[str, object] = {}
    for axis in map(an_object, a_list(state.get("axis_values"))):
        value = axis.get("value")
        is_size = axis.get("type") in ("int64", "float64")
        params[str(axis.get("name"))] = number_or_text(value) if is_size else value
    found = {
        str(one.get("tag")): to_number(item.get("value"))
        for one in map(an_object, a_list(state.get("summaries")))
        for item in _items(one.get("data"))
        if item.get("name") == "value"
    }
    times = [time for time in map(found.get, _TIMES) if is_positive(time)]
    device = state.get("device")
    skipped = state.get("is_skipped") is True
    return Benchmark(
        test=test,
        params=params,
        readings=[] if skipped else [{"time_s": time} for time in times[:1]],
        status="skipped" if skipped else "crashed",
        reason=str(state.get("skip_reason") or "nvbench recorded no time"),
        columns={"device": devices.get(str(device), str(device))}
        if isinstance(device, int)
        else {},
    )


def _items(data: object) -> list[dict[str, Any]]:
    """The values of a summary: a list of objects with names, in older files an object of them."""
    if isinstance(data, dict):
        return [{"name": name, **an_object(item)} for name, item in data.items()]
    return [an_object(item) for item in a_list(data)]
