"""Turns the JSON of pytest-benchmark into rows like ours: `extra_info` carries the case."""

from __future__ import annotations

import json
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

# What pytest-benchmark writes for a parameter that JSON cannot hold, such as a numpy integer.
_UNWRITTEN = re.compile(r"UNSERIALIZABLE\[(?P<text>.*)\]", flags=re.DOTALL)
_NUMBER = re.compile(r"(?:[\w.]+\()?'?(?P<number>[+-]?[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)'?\)?")
_OBJECT = re.compile(r"<(?:function |class )?'?(?P<name>[\w.]+).*>", flags=re.DOTALL)


class LeftOutWarning(UserWarning):
    """Benchmarks that were left out of a table."""


def is_benchmark_json(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document, known to have a list `benchmarks`, is of pytest-benchmark."""
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    return any("stats" in entry for entry in entries) or "machine_info" in document


def benchmark_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a benchmark, from a parsed pytest-benchmark document.

    `time_s` is `stats.median` and `time_min_s` is `stats.min`, in seconds; every key of
    `extra_info` is a column. A benchmark whose `extra_info` has no `seq_len` also gets its
    `params` as columns, so that `--size n=...` can name them; a list of numbers `shape` becomes
    `shape_0`, `shape_1`. `implementation` is then the test's name with those parameters that are
    no numbers and not the same everywhere, such as `test_sort[merge]`. `name` is the benchmark's
    name, `param` its id, `params` its parameters as JSON. One without usable statistics has status
    `crashed`. Where some benchmarks carry a case and others do not, the others are left out with a
    LeftOutWarning: they time something else.

    One row and not one for each reading in `stats.data`, although those are there: the rounds of a
    benchmark are calls in a row within one process, so that whatever disturbs one disturbs all.
    They are the samples of one visit, and the row is their median, as a record of ours is. Taken
    as replicates, thousands of them would promise an accuracy that a second session would not
    keep. Replicates are sessions: several files.
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
    entries = cases or entries
    return [
        _row(entry, implementation)
        for entry, implementation in zip(entries, _implementations(entries), strict=True)
    ]


def benchmark_parameters(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the parameters that hold numbers: each is a size, until somebody says no."""
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    if any("seq_len" in _object(entry.get("extra_info")) for entry in entries):
        return ()  # the case tells the sizes
    found: dict[str, None] = {}
    for entry in entries:
        params = _params(entry)
        found |= {key: None for key, value in params.items() if _is_number(value)}
    return tuple(found)


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


def _row(entry: Mapping[str, Any], implementation: str) -> dict[str, Any]:
    stats = _object(entry.get("stats"))
    case = _object(entry.get("extra_info"))
    written = _object(entry.get("params"))
    row: dict[str, Any] = {
        "name": str(entry.get("name", "")),
        "param": entry.get("param"),
        "params": json.dumps(written, sort_keys=True, default=str) if written else None,
    }
    if "seq_len" not in case:
        params = _params(entry)
        row |= {key: value for key, value in params.items() if not isinstance(value, dict | list)}
        row["implementation"] = implementation
    row |= case
    row["time_s"] = stats.get("median")
    row["time_min_s"] = stats.get("min")
    usable = _is_number(row["time_s"])
    row["status"] = "measured" if usable else "crashed"
    row.setdefault("reason", None if usable else "the benchmark has no median")
    return row


def _implementations(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each benchmark's test, and in brackets what tells its benchmarks apart beside numbers."""
    tests = _tests(entries)
    words: list[dict[str, str]] = [
        {key: _word(key, value) for key, value in _params(entry).items() if not _is_number(value)}
        for entry in entries
    ]
    seen: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    keys = {key for one in words for key in one}
    for test, one in zip(tests, words, strict=True):
        for key in keys:
            seen[test, key].add(one.get(key))
    named = []
    for test, one in zip(tests, words, strict=True):
        telling = [word for key, word in one.items() if len(seen[test, key]) > 1]
        named.append(f"{test}[{', '.join(telling)}]" if telling else test)
    return named


def _tests(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each benchmark's test without parameters, with its file where two files share the name."""
    pairs = []
    for entry in entries:
        name = str(entry.get("name", ""))
        full = str(entry.get("fullname") or name)
        pairs.append((name.split("[", 1)[0], full.split("[", 1)[0]))
    meant = defaultdict(set)
    for name, full in pairs:
        meant[name].add(full)
    return [full if len(meant[name]) > 1 else name for name, full in pairs]


def _params(entry: Mapping[str, Any]) -> dict[str, object]:
    """The parameters as they were meant: lists of numbers apart, numpy's integers as integers."""
    found: dict[str, object] = {}
    for key, value in _object(entry.get("params")).items():
        if isinstance(value, list) and value and all(map(_is_number, map(_plain, value))):
            found |= {f"{key}_{place}": _plain(item) for place, item in enumerate(value)}
        else:
            found[key] = _plain(value)
    return found


def _plain(value: object) -> object:
    """A parameter, with what JSON could not hold read as a number or a name where it is one."""
    unwritten = _UNWRITTEN.fullmatch(value) if isinstance(value, str) else None
    if unwritten is None:
        return value
    number = _NUMBER.fullmatch(unwritten["text"])
    if number:
        read = float(number["number"])
        return int(read) if read.is_integer() else read
    named = _OBJECT.fullmatch(unwritten["text"])
    return named["name"] if named else unwritten["text"]


def _word(key: str, value: object) -> str:
    if isinstance(value, str):
        return value
    return f"{key}={json.dumps(value, sort_keys=True, default=str)}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
