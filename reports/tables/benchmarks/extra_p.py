"""Turns the inputs of Extra-P into rows: its text, Talpas, JSON lines and JSON."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from reports.tables.benchmarks.rows import Benchmark, Contents, contents_of
from reports.tables.columns import TableError
from reports.tables.json_values import a_list, an_object, is_number, parsed, to_number

_POINT = re.compile(r"\(([^()]*)\)|(\S+)")
_KEYWORDS = ("PARAMETER", "POINTS", "REGION", "METRIC", "DATA")
_METRIC = "value"
"""The column of values that belong to no metric."""


def is_extra_p_text(text: str) -> bool:
    """Whether the first line of a text that is no remark names a parameter."""
    lines = (line.strip() for line in text[:4096].splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return first.startswith(("PARAMETER ", "PARAMETER\t"))


def is_extra_p(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is the JSON of Extra-P."""
    return "measurements" in document and isinstance(document.get("parameters"), list)


def is_extra_p_line(row: Mapping[str, Any]) -> bool:
    """Whether a parsed line is one value of Extra-P's JSON lines or of Talpas."""
    params = row.get("params", row.get("parameters"))
    return isinstance(params, dict) and "value" in row


def is_talpas_line(line: str) -> bool:
    """Whether a line is of Talpas, which is JSON with semicolons for commas."""
    row = an_object(parsed(line.replace(";", ",")))
    return {"parameters", "metric", "value"} <= row.keys()


def extra_p_lines_contents(rows: Sequence[Mapping[str, Any]]) -> Contents:
    """One row a repetition; a metric is a column, in the unit that it has in the file."""
    values = []
    for number, row in enumerate(rows, start=1):
        params = an_object(row.get("params", row.get("parameters")))
        if not params or not is_number(row.get("value")):
            raise TableError(
                f"line {number} must have params and a number as value, as Extra-P has them, got "
                f"{json.dumps(row):.80}"
            )
        values.append((row.get("callpath"), row.get("metric"), params, [row["value"]]))
    return _contents(values)


def extra_p_contents(document: Mapping[str, Any]) -> Contents:
    """The same of a JSON document of Extra-P 4."""
    names = [str(one) for one in a_list(document["parameters"])]
    if not isinstance(document["measurements"], dict) or not names:
        raise TableError(
            "is JSON of Extra-P 3; open it in Extra-P 4 and save it, or write it as JSON lines "
            '{"params": {"n": 128}, "metric": "time", "value": 0.5}'
        )
    values = []
    for callpath, metrics in document["measurements"].items():
        for metric, measurements in an_object(metrics).items():
            for one in map(an_object, a_list(measurements)):
                point = a_list(one.get("point"))
                readings = [v for v in a_list(one.get("values")) if is_number(v)]
                values.append((callpath, metric, _named(names, point, f"{one!s:.60}"), readings))
    return _contents(values)


def extra_p_text_contents(text: str) -> Contents:
    """The same of Extra-P's text: PARAMETER, POINTS, and DATA for each REGION and METRIC."""
    names: list[str] = []
    points: list[Mapping[str, float]] = []
    region = metric = ""
    at = 0
    values = []
    for number, line in enumerate(text.splitlines(), start=1):
        keyword, *more = line.split(maxsplit=1) or [""]
        rest = "".join(more).strip()
        if not keyword or keyword.startswith("#"):
            continue
        if keyword not in _KEYWORDS:
            raise TableError(
                f"line {number} begins with {keyword!r:.40}; expected one of {', '.join(_KEYWORDS)}"
            )
        if keyword == "PARAMETER":
            names += rest.split()
        elif keyword == "POINTS":
            points += [
                _named(names, (found[1] if found[1] is not None else found[2]).split(), line)
                for found in _POINT.finditer(rest)
            ]
        elif keyword == "DATA":
            if at >= len(points):
                raise TableError(
                    f"line {number} is DATA number {at + 1} of its metric, but there are "
                    f"{len(points)} POINTS; name as many points as lines of DATA"
                )
            values.append((region, metric, points[at], _numbers(rest.split(), number)))
            at += 1
        else:
            region, metric = (rest, metric) if keyword == "REGION" else (region, rest)
            at = 0
    return _contents(values)


def _contents(
    values: Sequence[tuple[object, object, Mapping[str, object], Sequence[float]]],
) -> Contents:
    by_point: dict[tuple[object, str], dict[str, list[float]]] = defaultdict(dict)
    params_of: dict[str, Mapping[str, object]] = {}
    for region, metric, params, readings in values:
        point = json.dumps(params, sort_keys=True)
        params_of[point] = params
        column = str(metric) if metric else _METRIC
        by_point[region, point].setdefault(column, []).extend(readings)
    return contents_of(
        [
            Benchmark(
                test=str(region) if region else None,
                params={name: _plain(value) for name, value in params_of[point].items()},
                readings=[
                    {name: v for name, v in zip(metrics, row, strict=True) if v is not None}
                    for row in zip_longest(*metrics.values())
                ],
                reason="there is no value",
            )
            for (region, point), metrics in by_point.items()
        ]
    )


def _named(names: Sequence[str], values: Sequence[object], line: str) -> dict[str, float]:
    numbers = [number for number in map(to_number, values) if number is not None]
    if not len(names) == len(values) == len(numbers):
        raise TableError(
            f"has {len(names)} parameters ({', '.join(names):.60}) and a point with other than as "
            f"many numbers, in {line:.60}; write POINTS (64 8) (128 8)"
        )
    return dict(zip(names, numbers, strict=True))


def _numbers(fields: Sequence[str], line: int) -> list[float]:
    numbers = []
    for field in fields:
        number = to_number(field)
        if number is None:
            raise TableError(f"line {line} must hold numbers after DATA, got {field!r:.40}")
        numbers.append(number)
    return numbers


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value
