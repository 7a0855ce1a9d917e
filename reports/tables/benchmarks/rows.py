"""From the benchmarks in another program's file to rows like ours: what all such files share.

A reader raises a TableError where a file is broken; the message lacks the file's name.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reports.tables.columns import TableError
from reports.tables.json_values import an_object, is_number, to_number

# "--size 64", "n=64" and a bare "64"; the 32 of "float32" and the 2 of "1.2.3" are no sizes.
_SIZE_IN_TEXT = re.compile(
    r"(?:--?(?P<flag>[A-Za-z][\w-]{0,40})[ =]|(?P<key>[A-Za-z_]\w{0,40})[=:] ?)?"
    r"(?<![A-Za-z0-9.])(?P<number>[0-9]{1,18}(?:\.[0-9]{1,18})?)(?![A-Za-z0-9]|\.[0-9])"
)
_TAKEN = frozenset(
    {
        *("name", "implementation", "status", "reason", "time_s", "time_min_s", "run", "round"),
        *("worker", "schema", "claim", "workspace_claim", "readings", "samples_s", "noisy"),
        *("typical_s", "params", "graph_time_s"),
    }
)
"""Columns that mean something to the judge; a parameter of that name gets `param_` before it."""


SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
"""Units of time as benchmark programs write them."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file holds: its rows, what it tells of the machine, and which columns it calls sizes.

    `parameters` are the numeric columns that the format itself states to be parameters or
    arguments of the benchmark; a table that says no such thing has none.
    """

    frame: pd.DataFrame = field(repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark as its program recorded it.

    `test` is what was timed, None where the file has no name for it. Those of `params` that are
    numbers are sizes; the others tell tests apart. Each of `readings` is a row, a mapping from
    columns (`time_s`) to values; a benchmark without any has a `status` and a `reason`. `columns`
    are further columns of every row.
    """

    test: str | None
    params: Mapping[str, object] = field(default_factory=dict)
    readings: Sequence[Mapping[str, float]] = ()
    status: str = "crashed"
    reason: str | None = None
    columns: Mapping[str, object] = field(default_factory=dict)


def contents_of(benchmarks: Sequence[Benchmark], info: Mapping[str, Any] | None = None) -> Contents:
    """The table of some benchmarks: a row a reading, a column a parameter.

    `implementation` is the test with those of its parameters that are no numbers and not the same
    everywhere, such as `Sort.run[merge]`.
    """
    words = [
        {key: _word(key, value) for key, value in one.params.items() if not is_number(value)}
        for one in benchmarks
    ]
    named = _telling_names([one.test or "" for one in benchmarks], words)
    parameters = {
        column_of(key): None
        for one in benchmarks
        for key, value in one.params.items()
        if is_number(value)
    }
    rows = []
    for one, name in zip(benchmarks, named, strict=True):
        row: dict[str, Any] = {}
        if name:
            row["implementation"] = name
        row |= {column_of(k): v for k, v in one.params.items() if not isinstance(v, dict | list)}
        row |= one.columns
        if one.readings:
            row |= {"status": "measured", "reason": None}
        else:
            row |= {"status": one.status, "reason": one.reason}
        rows += [row | dict(reading) for reading in one.readings or ({},)]
    return Contents(frame=pd.DataFrame(rows), info=info or {}, parameters=tuple(parameters))


def _telling_names(tests: Sequence[str], words: Sequence[Mapping[str, str]]) -> list[str]:
    """Each benchmark's test, and in brackets the words that are not the same in all of that test.

    `words` has, for each benchmark, the text of its parameters that are no numbers.
    """
    seen: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    keys = {key for one in words for key in one}
    for test, one in zip(tests, words, strict=True):
        for key in keys:
            seen[test, key].add(one.get(key))
    named = []
    for test, one in zip(tests, words, strict=True):
        telling = dict.fromkeys(text for key, text in one.items() if len(seen[test, key]) > 1)
        named.append(f"{test}[{', '.join(telling)}]" if telling else test)
    return named


def short_names(short: Sequence[str], full: Sequence[str]) -> list[str]:
    """The short names, but the full one where two full names share a short one."""
    meant: dict[str, set[str]] = defaultdict(set)
    for name, whole in zip(short, full, strict=True):
        meant[name].add(whole)
    return [
        whole if len(meant[name]) > 1 else name for name, whole in zip(short, full, strict=True)
    ]


def sizes_in(texts: Sequence[str]) -> list[tuple[str, dict[str, int | float]]]:
    """Each text with its sizes taken out, and these: `sort -n 64` gives `sort -n {n}` and n 64.

    A number is a size where it differs between texts that are otherwise equal. One without a name
    before it is called by its place (`arg0`).
    """
    found = [list(_SIZE_IN_TEXT.finditer(text)) for text in texts]
    bare = [_SIZE_IN_TEXT.sub(_blanked, text) for text in texts]
    values: dict[tuple[str, int], set[str]] = defaultdict(set)
    for template, matches in zip(bare, found, strict=True):
        for place, match in enumerate(matches):
            values[template, place].add(match["number"])
    result = []
    for text, template, matches in zip(texts, bare, found, strict=True):
        sizes: dict[str, int | float] = {}
        parts, end, unnamed = [], 0, 0
        for place, match in enumerate(matches):
            if len(values[template, place]) < 2:
                continue
            name = match["flag"] or match["key"]
            if name is None or name in sizes:
                name, unnamed = f"arg{unnamed}", unnamed + 1
            sizes[name] = to_number(match["number"]) or 0
            parts += [text[end : match.start("number")], f"{{{name}}}"]
            end = match.end("number")
        result.append(("".join([*parts, text[end:]]), sizes))
    return result


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a folder; an empty one where the file holds something else."""
    try:
        return an_object(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as problem:
        raise TableError(
            f"has {path}, which is not JSON: {problem!s:.100}; run the benchmarks again"
        ) from None


def column_of(key: str) -> str:
    """The column of a parameter, which must not be one that means something else."""
    return f"param_{key}" if key in _TAKEN else key


def _word(key: str, value: object) -> str:
    """A parameter that is no number, as it stands in the name of a group."""
    if isinstance(value, str):
        return value
    return f"{key}={json.dumps(value, sort_keys=True, default=str)}"


def _blanked(match: re.Match[str]) -> str:
    return match[0].replace(match["number"], "\0")
