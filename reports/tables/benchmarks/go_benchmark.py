"""Reads what `go test -bench` prints: `BenchmarkSort/n=1024-8   5000   240123 ns/op   16 B/op`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reports.tables.benchmarks.rows import Benchmark, Contents, contents_of
from reports.tables.json_values import to_number

_LINE = re.compile(r"^(?P<name>Benchmark\S*)[ \t]+(?P<runs>[0-9]{1,18})[ \t]+(?P<rest>\S.*)$", re.M)
_PROCS = re.compile(r"-(?P<procs>[0-9]{1,6})$")
_COLUMNS = {"ns/op": "time_s", "B/op": "allocated_bytes", "allocs/op": "allocations"}
_LOOKED_AT = 16384


def is_go_benchmark(text: str) -> bool:
    """Whether a text has a line of a Go benchmark near its beginning."""
    found = _LINE.search(text[:_LOOKED_AT])
    return found is not None and any(unit == "ns/op" for _, unit in _measures(found["rest"]))


def go_contents(text: str) -> Contents:
    """One row a line; `-count` makes several of one benchmark, which are its readings.

    A part of the name that is a number, or ends with `=` and one, is a parameter: `n` in
    `BenchmarkSort/n=1024`, `arg0` in `BenchmarkSort/1024`.
    """
    lines = list(_LINE.finditer(text))
    procs = {found[0] if (found := _PROCS.search(line["name"])) else None for line in lines}
    # Go adds the number of processors to every name, or to none.
    suffix = procs.pop() if len(procs) == 1 else None
    benchmarks = []
    for line in lines:
        test, params = _parts(line["name"].removesuffix(suffix or "").removeprefix("Benchmark"))
        reading = {_COLUMNS.get(unit, unit): value for value, unit in _measures(line["rest"])}
        if "time_s" in reading:
            reading["time_s"] *= 1e-9
        readings = [reading] if reading and reading.get("time_s", 1.0) > 0 else []
        benchmarks.append(
            Benchmark(test=test, params=params, readings=readings, reason="go test printed no time")
        )
    return contents_of(benchmarks)


def _parts(name: str) -> tuple[str, dict[str, object]]:
    words: list[str] = []
    params: dict[str, object] = {}
    for part in name.split("/"):
        key, _, value = part.rpartition("=")
        number = to_number(value)
        if number is None or not words:
            words.append(part)
        else:
            params[key or f"arg{sum(one.startswith('arg') for one in params)}"] = number
    return "/".join(words), params


def _measures(rest: str) -> Iterator[tuple[float, str]]:
    fields = rest.split()
    for text, unit in zip(fields[::2], fields[1::2], strict=False):
        value = to_number(text)
        if value is not None:
            yield float(value), unit
