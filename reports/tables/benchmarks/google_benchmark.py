"""Turns the JSON of google/benchmark into rows like ours, one a repetition.

Its sizes stand in the names: `BM_x/1024/64` has `arg0` and `arg1`, `BM_x/n:1024/d:64` has `n` and
`d`. The rows that it fits itself (BigO and RMS) are never data.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from reports.tables.benchmarks.rows import SECONDS, Benchmark, Contents, contents_of
from reports.tables.columns import TableError, TableWarning
from reports.tables.json_values import a_list, an_object, is_number, to_number

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

_MODIFIER = re.compile(
    r"(?:iterations|repeats|min_time|min_warmup_time):[0-9.e+-]+s?|real_time|process_time|manual_time"
)


def is_google_benchmark(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is of google/benchmark."""
    if not isinstance(document.get("benchmarks"), list):
        return False
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    own = ("run_type", "real_time", "cpu_time", "error_occurred", *_FITTED)
    return any(key in entry for entry in entries for key in own) or (
        not entries and "num_cpus" in an_object(document.get("context"))
    )


def google_contents(document: Mapping[str, Any]) -> Contents:
    """One row a repetition; every argument, counter and label is a column, and an argument a size.

    `time_s` is the real time and `cpu_time_s` the CPU time, in seconds. Where a file has only
    aggregates of a benchmark, its median is its one row, else its mean, without a round; other
    statistics are no times of a call, and a benchmark that has only those is left out with a
    TableWarning. A counter whose name is taken gets `counter_` before it. A benchmark that
    reported an error, or was skipped, is `crashed`, with its message.

    Repetitions follow one another within one process, so that their spread is a lower bound on
    what another run would give.
    """
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    names = {str(entry.get("name", "")) for entry in entries}
    runs: dict[str, dict[str | None, list[dict[str, Any]]]] = {}
    for entry in entries:
        statistic, name = _statistic(entry, names), str(entry.get("name", ""))
        run_name = name.removesuffix(f"_{statistic}") if statistic else name
        run = runs.setdefault(str(entry.get("run_name") or run_name), {})
        run.setdefault(statistic, []).append(entry)
    benchmarks = []
    silent = []
    for name, run in runs.items():
        speaking = [statistic for statistic in (None, *_SPEAKING) if statistic in run][:1]
        for statistic in speaking:
            found = enumerate(run[statistic])
            benchmarks += [_benchmark(entry, name, i, statistic) for i, entry in found]
        if not speaking and not run.keys() <= {"BigO", "RMS"}:
            silent.append(name)
    if silent:
        warnings.warn(
            f"{len(silent)} benchmarks that have neither repetitions nor a median left out: "
            f"{', '.join(silent)}",
            TableWarning,
            stacklevel=2,
        )
    return contents_of(benchmarks, _info(an_object(document.get("context"))))


def _info(context: Mapping[str, Any]) -> dict[str, Any]:
    """What the file tells of the machine, in the shape of `run.json`; absent means null.

    The processor's name is not in the format, its clock rate is.
    """
    mhz, load = context.get("mhz_per_cpu"), a_list(context.get("load_avg"))
    build = context.get("library_build_type")
    caveats = []
    if build == "debug":
        caveats.append("The benchmark library was built for debugging, which slows what it times.")
    if context.get("cpu_scaling_enabled") is True:
        caveats.append("CPU frequency scaling was on: the clock may have changed between cells.")
    version = context.get("library_version") or context.get("libbenchmark_version")
    return {
        "schema": 1,
        "created": context.get("date"),
        "machine": {
            "cpu": f"{mhz} MHz, name not recorded" if mhz else None,
            "cores_logical": context.get("num_cpus"),
            "caches_bytes": _caches(context.get("caches")),
            "host": context.get("host_name"),
            "mhz_per_cpu": mhz,
            "load_1m": load[0] if load else None,
        },
        "versions": {"google-benchmark": version, "library_build_type": build},
        "caveats": caveats,
    }


def parse_name(name: str) -> tuple[str, dict[str, int | float], int | None]:
    """The function, arguments and threads: of `BM_x<float>/n:1024/64/threads:4` n, arg1 and 4.

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
        elif to_number(value) is not None and (key or not function):
            arguments.insert(0, (key, value))
        else:
            function.insert(0, part)
    values = {
        _free(key or f"arg{place}", "arg_"): to_number(value) or 0
        for place, (key, value) in enumerate(arguments)
    }
    return "/".join([first, *function]), values, threads


def _benchmark(
    entry: Mapping[str, Any], run_name: str, repetition: int, statistic: str | None
) -> Benchmark:
    (function, arguments, threads), trouble = parse_name(run_name), _trouble(entry)
    columns: dict[str, object] = {
        "name": run_name,
        "round": entry.get("repetition_index", repetition) if statistic is None else None,
    }
    threads = entry.get("threads", threads)
    if threads is not None:
        columns["threads"] = threads
    if isinstance(entry.get("label"), str):
        columns["label"] = entry["label"]
    taken = {*columns, *arguments}
    for key, value in entry.items():
        if key not in _OWN and is_number(value):
            columns[_free(key, "counter_", taken)] = value
    return Benchmark(
        test=function,
        params=arguments,
        readings=[] if trouble else [_times(entry, run_name)],
        reason=trouble,
        columns=columns,
    )


def _times(entry: Mapping[str, Any], run_name: str) -> dict[str, float]:
    unit = entry.get("time_unit", "ns")
    if not isinstance(unit, str) or unit not in SECONDS:
        raise TableError(
            f"{run_name} has the time unit {unit!r}; expected one of {', '.join(SECONDS)}"
        )
    times = {"time_s": entry.get("real_time"), "cpu_time_s": entry.get("cpu_time")}
    return {name: time * SECONDS[unit] for name, time in times.items() if is_number(time)}


def _trouble(entry: Mapping[str, Any]) -> str | None:
    """Why a row carries no time; None if it does."""
    if entry.get("error_occurred") or entry.get("skipped"):
        message = entry.get("error_message") or entry.get("skip_message")
        return str(message) if message else "the benchmark reported an error"
    return None if is_number(entry.get("real_time")) else "the benchmark has no real_time"


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
    for cache in map(an_object, a_list(caches)):
        kind, size = cache.get("type"), cache.get("size")
        if kind != "Instruction" and isinstance(size, int) and size > 0:
            found[f"L{cache.get('level')}{'d' if kind == 'Data' else ''}"] = size
    return found or None


def _free(name: str, prefix: str, taken: Collection[str] = ()) -> str:
    return f"{prefix}{name}" if name in _COLUMNS or name in taken else name
