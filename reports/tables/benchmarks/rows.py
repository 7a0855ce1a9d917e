"""From the benchmarks in another program's file to rows like ours: what all such files share."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import pandas as pd

from reports.tables.contents import Contents

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 40
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


class LeftOutWarning(UserWarning):
    """Benchmarks that were left out of a table."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark as its program recorded it.

    `test` is what was timed, None where the file has no name for it. Those of `params` that are
    numbers are sizes; the others tell tests apart. Each of `readings` is a row, a mapping from
    columns (`time_s`) to values; a benchmark without any has none but a `reason`. `columns` are
    further columns of every row.
    """

    test: str | None
    params: Mapping[str, object] = field(default_factory=dict)
    readings: Sequence[Mapping[str, float]] = ()
    status: str = "measured"
    reason: str | None = None
    columns: Mapping[str, object] = field(default_factory=dict)


def contents_of(benchmarks: Sequence[Benchmark], info: Mapping[str, Any] | None = None) -> Contents:
    """The table of some benchmarks: a row a reading, a column a parameter.

    `implementation` is the test with those of its parameters that are no numbers and not the same
    everywhere, such as `Sort.run[merge]`. Benchmarks without readings have the status `crashed`,
    or the one that they bring.
    """
    words = [
        {key: word(key, value) for key, value in one.params.items() if not is_number(value)}
        for one in benchmarks
    ]
    named = telling_names([one.test or "" for one in benchmarks], words)
    parameters = {
        column_of(key): None
        for one in benchmarks
        for key, value in one.params.items()
        if is_number(value)
    }
    rows = []
    for one, name, texts in zip(benchmarks, named, words, strict=True):
        row: dict[str, Any] = {}
        if name:
            row["implementation"] = name
        row |= {column_of(key): text for key, text in texts.items()}
        row |= {column_of(key): v for key, v in one.params.items() if is_number(v)}
        row |= one.columns
        measured = one.status == "measured" and bool(one.readings)
        status = one.status if measured or one.status != "measured" else "crashed"
        row |= {"status": status, "reason": None if measured else one.reason}
        rows += [row | dict(reading) for reading in one.readings] if measured else [row]
    return Contents(frame=pd.DataFrame(rows), info=info or {}, parameters=tuple(parameters))


def telling_names(tests: Sequence[str], words: Sequence[Mapping[str, str]]) -> list[str]:
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


def column_of(key: str) -> str:
    """The column of a parameter, which must not be one that means something else."""
    return f"param_{key}" if key in _TAKEN else key


def to_number(text: object) -> int | float | None:
    """A text as a finite number, or a number as it is; None for what is neither."""
    if is_number(text):
        return text
    if not isinstance(text, str) or len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else number


def number_or_text(value: object) -> object:
    """A parameter that its program writes as text, as a number where it is one."""
    number = to_number(value)
    return value if number is None else number


def word(key: str, value: object) -> str:
    """A parameter that is no number, as it stands in the name of a group."""
    if isinstance(value, str):
        return value
    return f"{key}={json.dumps(value, sort_keys=True, default=str)}"


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def is_time(value: object) -> TypeGuard[int | float]:
    """Whether a value is a positive, finite number, as a time must be."""
    return is_number(value) and value > 0


def an_object(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def a_list(value: object) -> list[Any]:
    """A JSON list, or an empty one for anything else."""
    return value if isinstance(value, list) else []


def _blanked(match: re.Match[str]) -> str:
    return match[0].replace(match["number"], "\0")
