"""Turns the JSON of google/benchmark into rows like ours, one a repetition.

Its sizes stand in the names: `BM_x/1024/64` has `arg0` and `arg1`, `BM_x/n:1024/d:64` has `n` and
`d`. The rows that it fits itself (BigO and RMS) are never data.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import pandas as pd

from reports.tables.benchmarks.rows import LeftOutWarning
from reports.tables.columns import TableError
from reports.tables.contents import Contents

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_STATISTICS = ("median", "mean", "stddev", "cv", "BigO", "RMS")
_SPEAKING = ("median", "mean")
"""The aggregates that may stand for repetitions which are not in the file, the better one first."""
_FITTED = ("big_o", "rms", "cpu_coefficient", "real_coefficient")
_OWN = frozenset(
    {
        *("name", "run_name", "run_type", "family_index", "per_family_instance_index"),
        *("repetitions", "repetition_index", "threads", "iterations", "label"),
        *("aggregate_name", "aggregate_unit", "error_occurred", "error_message", "skipped"),
        *("skip_message", "real_time", "cpu_time", "time_unit", *_FITTED),
    }
)
"""Keys of the format itself; any other number is a counter."""
_COLUMNS = frozenset(
    {"name", "implementation", "round", "status", "reason", "time_s", "cpu_time_s", "label"}
)

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
_MODIFIER = re.compile(
    r"(?:iterations|repeats|min_time|min_warmup_time):[0-9.e+-]+s?|real_time|process_time|manual_time"
)


@dataclass(frozen=True, kw_only=True)
class Name:
    """What a benchmark's name says: the function with its template, its arguments, its threads."""

    function: str
    arguments: Mapping[str, int | float]
    threads: int | None


def is_google_benchmark(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is of google/benchmark."""
    if not isinstance(document.get("benchmarks"), list):
        return False
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    own = ("run_type", "real_time", "cpu_time", "error_occurred", *_FITTED)
    return any(key in entry for entry in entries for key in own) or (
        not entries and "num_cpus" in _object(document.get("context"))
    )


def google_contents(document: Mapping[str, Any]) -> Contents:
    """The rows of a parsed document, its sizes, and what it tells of the machine."""
    return Contents(
        frame=pd.DataFrame(google_rows(document)),
        info=google_info(document),
        parameters=google_parameters(document),
    )


def google_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a repetition, from a parsed google/benchmark document.

    `time_s` is the real time and `cpu_time_s` the CPU time, in seconds. Where a file has only
    aggregates of a benchmark, its median is its one row, else its mean, without a round; other
    statistics are no times of a call, and a benchmark that has only those is left out with a
    LeftOutWarning. `implementation` is the name without arguments, `round` the repetition, and
    every argument, counter and label is a column. A counter whose name is taken gets `counter_`
    before it. A benchmark that reported an error, or was skipped, is `crashed`, with its message.

    Repetitions follow one another within one process, so that their spread is a lower bound on
    what another run would give.

    Raises:
        TableError: a time has a unit that is not known.

    """
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    names = {str(entry.get("name", "")) for entry in entries}
    runs: dict[str, dict[str | None, list[dict[str, Any]]]] = {}
    for entry in entries:
        statistic = _statistic(entry, names)
        run = runs.setdefault(_run_name(entry, statistic), {})
        run.setdefault(statistic, []).append(entry)
    rows = []
    silent = []
    for name, by_statistic in runs.items():
        speaking = next((s for s in (None, *_SPEAKING) if s in by_statistic), "")
        if speaking != "":
            found = by_statistic[speaking]
            rows += [_row(entry, name, i, speaking) for i, entry in enumerate(found)]
        elif not set(by_statistic) <= {"BigO", "RMS"}:
            silent.append(name)
    if silent:
        warnings.warn(
            f"{len(silent)} benchmarks that have neither repetitions nor a median left out: "
            f"{', '.join(silent)}",
            LeftOutWarning,
            stacklevel=2,
        )
    return rows


def google_parameters(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the arguments: each is a size, until somebody says no."""
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    names = {str(entry.get("name", "")) for entry in entries}
    found: dict[str, None] = {}
    for entry in entries:
        name = parse_name(_run_name(entry, _statistic(entry, names)))
        found |= dict.fromkeys(name.arguments)
    return tuple(found)


def google_info(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the document tells of the machine, in the shape of `run.json`; absent means null.

    The processor's name is not in the format, its clock rate is.
    """
    context = _object(document.get("context"))
    mhz, load = context.get("mhz_per_cpu"), context.get("load_avg")
    build = context.get("library_build_type")
    caveats = []
    if build == "debug":
        caveats.append("The benchmark library was built for debugging, which slows what it times.")
    if context.get("cpu_scaling_enabled") is True:
        caveats.append("CPU frequency scaling was on: the clock may have changed between cells.")
    return {
        "schema": 1,
        "created": context.get("date"),
        "machine": {
            "cpu": f"{mhz} MHz, name not recorded" if mhz else None,
            "cores_logical": context.get("num_cpus"),
            "caches_bytes": _caches(context.get("caches")),
            "host": context.get("host_name"),
            "mhz_per_cpu": mhz,
            "load_1m": load[0] if isinstance(load, list) and load else None,
        },
        "versions": {
            "google-benchmark": context.get("library_version")
            or context.get("libbenchmark_version"),
            "library_build_type": build,
        },
        "caveats": caveats,
    }


def parse_name(name: str) -> Name:
    """Take a name apart: `BM_x<float>/n:1024/64/threads:4` is n 1024, arg1 64, on 4 threads.

    Arguments without a name are called by their place, as `state.range(1)` is. Numbers before
    another word of the name, and all that is between `<` and `>`, belong to the function.
    """
    first, *parts = _parts(name)
    function: list[str] = []
    arguments: list[tuple[str, str]] = []
    threads = None
    for part in reversed(parts):
        key, _, value = part.rpartition(":")
        if _MODIFIER.fullmatch(part):
            continue
        if key == "threads" and value.isdecimal():
            threads = int(value)
        elif _NUMBER.fullmatch(value) and (key or not function):
            arguments.insert(0, (key, value))
        else:
            function.insert(0, part)
    values = {
        _free(key or f"arg{place}", "arg_"): _read(value)
        for place, (key, value) in enumerate(arguments)
    }
    return Name(function="/".join([first, *function]), arguments=values, threads=threads)


def _row(
    entry: Mapping[str, Any], run_name: str, repetition: int, statistic: str | None
) -> dict[str, Any]:
    name = parse_name(run_name)
    row: dict[str, Any] = {
        "name": run_name,
        "implementation": name.function,
        **name.arguments,
        "round": entry.get("repetition_index", repetition) if statistic is None else None,
        "status": "measured",
        "reason": None,
        "time_s": None,
        "cpu_time_s": None,
    }
    threads = entry.get("threads", name.threads)
    if threads is not None:
        row["threads"] = threads
    if isinstance(entry.get("label"), str):
        row["label"] = entry["label"]
    for key, value in entry.items():
        if key not in _OWN and _is_number(value):
            row[_free(key, "counter_", row)] = value
    trouble = _trouble(entry)
    if trouble is not None:
        return row | {"status": "crashed", "reason": trouble}
    unit = entry.get("time_unit", "ns")
    if not isinstance(unit, str) or unit not in _SECONDS:
        raise TableError(
            f"{run_name} has the time unit {unit!r}; expected one of {', '.join(_SECONDS)}"
        )
    row["time_s"] = entry["real_time"] * _SECONDS[unit]
    cpu_time = entry.get("cpu_time")
    row["cpu_time_s"] = cpu_time * _SECONDS[unit] if _is_number(cpu_time) else None
    return row


def _trouble(entry: Mapping[str, Any]) -> str | None:
    """Why a row carries no time; None if it does."""
    if entry.get("error_occurred") or entry.get("skipped"):
        message = entry.get("error_message") or entry.get("skip_message")
        return str(message) if message else "the benchmark reported an error"
    return None if _is_number(entry.get("real_time")) else "the benchmark has no real_time"


def _statistic(entry: Mapping[str, Any], names: set[str]) -> str | None:
    """Which aggregate an entry is; None for a repetition.

    Files from before there was a `run_type` say it at the end of the name only, which counts if
    the repetitions or other aggregates of that name are there too.
    """
    if "real_time" not in entry and any(key in entry for key in _FITTED):
        return "BigO"  # or RMS; a counter may have these names, but comes with a time
    if "run_type" in entry:
        return str(entry.get("aggregate_name", "")) if entry["run_type"] == "aggregate" else None
    base, _, last = str(entry.get("name", "")).rpartition("_")
    family = Counter(f"{base}_{one}" in names for one in _STATISTICS)
    return last if last in _STATISTICS and (base in names or family[True] > 1) else None


def _run_name(entry: Mapping[str, Any], statistic: str | None) -> str:
    name = str(entry.get("name", ""))
    return str(entry.get("run_name") or (name.removesuffix(f"_{statistic}") if statistic else name))


def _parts(name: str) -> list[str]:
    """A name split at each slash that is not between `<` and `>`; at all if those do not match."""
    parts, depth = [""], 0
    for char in name:
        depth += (char == "<") - (char == ">")
        if char == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts if depth == 0 else name.split("/")


def _caches(caches: object) -> dict[str, int] | None:
    """Bytes of each data or unified cache, such as {"L1d": 32768, "L2": …}."""
    found = {}
    for cache in caches if isinstance(caches, Sequence) else ():
        one = _object(cache)
        level, size = one.get("level"), one.get("size")
        if one.get("type") != "Instruction" and isinstance(size, int) and size > 0:
            found[f"L{level}{'d' if one.get('type') == 'Data' else ''}"] = size
    return found or None


def _free(name: str, prefix: str, taken: Mapping[str, Any] | None = None) -> str:
    return f"{prefix}{name}" if name in _COLUMNS or name in (taken or ()) else name


def _read(text: str) -> int | float:
    return float(text) if set(text) & set(".e") else int(text)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
