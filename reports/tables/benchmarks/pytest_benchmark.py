"""Turns the JSON of pytest-benchmark into rows like ours: `extra_info` carries the case."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.tables.benchmarks.pytest_ids import shared_part
from reports.tables.benchmarks.rows import (
    Benchmark,
    Contents,
    contents_of,
    short_names,
)
from reports.tables.columns import TableWarning
from reports.tables.json_values import an_object, is_number

# What pytest-benchmark writes for a parameter that JSON cannot hold, such as a numpy integer.
_UNWRITTEN = re.compile(r"UNSERIALIZABLE\[(?P<text>.*)\]", flags=re.DOTALL)
_NUMBER = re.compile(r"(?:[\w.]+\()?'?(?P<number>[+-]?[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)'?\)?")
_OBJECT = re.compile(
    r"<(?:(?:built-in )?function |class |(?:bound|built-in) method )?'?"
    r"(?P<name>(?:[\w.]|<\w{1,40}>){1,200})"
)
_ADDRESS = re.compile(r" at (?P<address>0x[0-9a-fA-F]+)")
_LONGEST_SHAPE = 8  # a longer list of numbers is what was sorted, not how large it was


@dataclass(frozen=True, kw_only=True)
class _Object:
    """A parameter that JSON could not hold, such as a lambda: its own name, and where it was."""

    name: str
    address: str
    is_function: bool


def is_benchmark_json(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is of pytest-benchmark."""
    if not isinstance(document.get("benchmarks"), list):
        return False
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    return any("stats" in entry for entry in entries) or "machine_info" in document


def benchmark_contents(document: Mapping[str, Any]) -> Contents:
    """One row a benchmark, its sizes, and what the document tells of the machine.

    `time_s` is `stats.median` and `time_min_s` is `stats.min`, in seconds; every key of
    `extra_info` is a column. A benchmark whose `extra_info` has no `seq_len` also gets its
    `params` as columns, so that `--size n=...` can name them; a list of numbers `shape` becomes
    `shape_0`, `shape_1`. `implementation` is then the test's name with those parameters that are
    no numbers and not the same everywhere, such as `test_sort[merge]`; lambdas and other objects
    are called what the test ids call them. `name` is the benchmark's name, `param` its id,
    `params` its parameters as JSON. Where some benchmarks carry a case and others do not, the
    others are left out with a TableWarning: they time something else.

    A row is the median, and not one of the readings in `stats.data`: the rounds of a benchmark are
    calls in a row within one process, so that whatever disturbs one disturbs all. Taken as
    replicates, they would promise an accuracy that a second session would not keep. Replicates
    are sessions: several files.
    """
    entries = [entry for entry in document["benchmarks"] if isinstance(entry, dict)]
    cases = [entry for entry in entries if _is_case(entry)]
    if cases and len(cases) < len(entries):
        others = [str(entry.get("name")) for entry in entries if not _is_case(entry)]
        warnings.warn(
            f"{len(others)} benchmarks without seq_len in extra_info left out: {', '.join(others)}",
            TableWarning,
            stacklevel=2,
        )
    if cases:
        named: Sequence[tuple[str | None, dict[str, object]]] = [(None, {})] * len(cases)
    else:
        tests = _tests(entries)
        named = list(zip(tests, _with_names(tests, entries), strict=True))
    found = [
        Benchmark(
            test=test,
            params=params,
            readings=_readings(entry),
            reason="the benchmark has no median",
            columns=_columns(entry),
        )
        for entry, (test, params) in zip(cases or entries, named, strict=True)
    ]
    return contents_of(found, _info(document))


def _info(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the document tells of the machine, in the shape of `run.json`; absent means null."""
    machine = an_object(document.get("machine_info"))
    commit = an_object(document.get("commit_info"))
    cpu = an_object(machine.get("cpu"))
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


def _is_case(entry: Mapping[str, Any]) -> bool:
    """Whether a benchmark is of a case of ours."""
    return "seq_len" in an_object(entry.get("extra_info"))


def _columns(entry: Mapping[str, Any]) -> dict[str, object]:
    written = an_object(entry.get("params"))
    return {
        "name": str(entry.get("name", "")),
        "param": entry.get("param"),
        "params": json.dumps(written, sort_keys=True, default=str) if written else None,
        **an_object(entry.get("extra_info")),
    }


def _readings(entry: Mapping[str, Any]) -> list[dict[str, float]]:
    stats = an_object(entry.get("stats"))
    times = {"time_s": stats.get("median"), "time_min_s": stats.get("min")}
    known = {name: time for name, time in times.items() if is_number(time)}
    return [known] if "time_s" in known else []


def _with_names(
    tests: Sequence[str], entries: Sequence[Mapping[str, Any]]
) -> list[dict[str, object]]:
    """The parameters of each benchmark, with names for the objects that JSON could not hold.

    An object is told from others by its address. It is called what the test ids call it
    (`<lambda>0`, or what the user chose), else by its own name, with the address where two would
    be called the same.
    """
    params = [_params(entry) for entry in entries]
    found: dict[tuple[str, str], dict[_Object, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, (test, own) in enumerate(zip(tests, params, strict=True)):
        for key, value in own.items():
            if isinstance(value, _Object):
                found[test, key][value].append(place)
    for (_, key), places_of in found.items():
        if _name_the_sizes(places_of, params, entries):
            names = {value: value.name for value in places_of}
        else:
            names = _distinct_names(places_of, params, entries)
        for value, places in places_of.items():
            for place in places:
                params[place][key] = names[value]
    return params


def _distinct_names(
    places_of: Mapping[_Object, Sequence[int]],
    params: Sequence[Mapping[str, object]],
    entries: Sequence[Mapping[str, Any]],
) -> dict[_Object, str]:
    names = {}
    for value, places in places_of.items():
        idents = [_ident(entries[place]) for place in places]
        others = [
            [
                other
                for other in params[place].values()
                if isinstance(other, str) or is_number(other)
            ]
            for place in places
        ]
        names[value] = shared_part(idents, others) or value.name
    called = Counter(names.values())
    return {
        value: f"{name} at {value.address}" if called[name] > 1 else name
        for value, name in names.items()
    }


def _name_the_sizes(
    places_of: Mapping[_Object, Sequence[int]],
    params: Sequence[Mapping[str, object]],
    entries: Sequence[Mapping[str, Any]],
) -> bool:
    """Whether objects (not functions) are the inputs, one for each size that a number states."""
    if len(places_of) < 2 or any(value.is_function for value in places_of):
        return False
    numbers = [
        tuple((key, value) for key, value in case.items() if is_number(value))
        for case in (
            {**own, **an_object(entry.get("extra_info"))}
            for own, entry in zip(params, entries, strict=True)
        )
    ]
    sizes = [{numbers[place] for place in places} for places in places_of.values()]
    return all(len(one) == 1 for one in sizes) and len(set.union(*sizes)) == len(sizes)


def _ident(entry: Mapping[str, Any]) -> str:
    """The id of a test: `<lambda>0-1024`."""
    param = entry.get("param")
    if isinstance(param, str):
        return param
    return str(entry.get("name", "")).partition("[")[2].removesuffix("]")


def _tests(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each benchmark's test without parameters, with its file where two files share the name."""
    names = [str(entry.get("name", "")) for entry in entries]
    full = [str(e.get("fullname") or name) for e, name in zip(entries, names, strict=True)]
    return short_names(*([name.split("[", 1)[0] for name in texts] for texts in (names, full)))


def _params(entry: Mapping[str, Any]) -> dict[str, object]:
    """The parameters as they were meant: lists of numbers apart, numpy's integers as integers."""
    found: dict[str, object] = {}
    for key, value in an_object(entry.get("params")).items():
        shape = isinstance(value, list) and 0 < len(value) <= _LONGEST_SHAPE
        if shape and all(map(is_number, map(_plain, value))):
            found |= {f"{key}_{place}": _plain(item) for place, item in enumerate(value)}
        else:
            found[key] = _plain(value)
    return found


def _plain(value: object) -> object:
    """A parameter, with what JSON could not hold read as a number, a name or an object."""
    unwritten = _UNWRITTEN.fullmatch(value) if isinstance(value, str) else None
    if unwritten is None:
        return value
    number = _NUMBER.fullmatch(unwritten["text"])
    if number:
        read = float(number["number"])
        return int(read) if read.is_integer() else read
    named = _OBJECT.match(unwritten["text"])
    name = named["name"] if named else unwritten["text"]
    address = _ADDRESS.search(unwritten["text"])
    if address is None:
        return name
    is_function = bool(re.match(r"<(?:function|bound method|built-in)", unwritten["text"]))
    return _Object(name=name, address=address["address"], is_function=is_function)
