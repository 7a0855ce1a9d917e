"""Turns what JMH writes, as JSON or as the table that it prints, into rows: one a fork."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from reports.tables.benchmarks.rows import SECONDS, Benchmark, Contents, contents_of, short_names
from reports.tables.columns import TableError
from reports.tables.json_values import a_list, an_object, is_positive, number_or_text, to_number

_SECONDS = SECONDS | {"min": 60.0, "hr": 3600.0, "day": 86400.0}
_HEADER = re.compile(
    r"^Benchmark[ \t](?:.{0,400}?[ \t])?Mode[ \t]+(?:Cnt|Samples)[ \t]+Score.*$", re.MULTILINE
)
_LOOKED_AT = 65536
_MODES = frozenset({"thrpt", "avgt", "sample", "ss"})


def is_jmh(rows: Sequence[object]) -> bool:
    """Whether a parsed list is of JMH."""
    return bool(rows) and all(
        {"benchmark", "primaryMetric"} <= an_object(one).keys() for one in rows
    )


def is_jmh_text(text: str) -> bool:
    """Whether a text has the table that JMH prints."""
    head = text[:_LOOKED_AT]
    about = "# JMH version" in head or _HEADER.search(head) is not None
    return about and _HEADER.search(text) is not None


def jmh_contents(rows: Sequence[Mapping[str, Any]]) -> Contents:
    """One row a fork, the median of its iterations; the score where there are no iterations.

    Forks are processes, the iterations of one follow each other and share what disturbs them. A
    throughput (`ops/s`) is read as the time of one operation, its inverse.
    """
    tests = _short([str(one["benchmark"]) for one in rows])
    return contents_of([_benchmark(one, test) for one, test in zip(rows, tests, strict=True)])


def jmh_text_contents(text: str) -> Contents:
    """The rows of the last table that JMH printed in a text; each is the mean of its iterations."""
    header = list(_HEADER.finditer(text))[-1]
    names = header[0].split()
    params = [name.strip("()") for name in names[1 : names.index("Mode")]]
    found = []
    for line in text[header.end() :].splitlines():
        fields = [field for field in line.split() if field != "±"]
        at = next((i for i, field in enumerate(fields) if field in _MODES), 0)
        if at != len(params) + 1 or ":" in fields[0]:
            continue  # a remark, a percentile of a sample, or a secondary metric such as gc
        rest = fields[at + 1 : -1]
        # Cnt and Error are left empty where there was one iteration.
        written = rest[0] if len(rest) == 1 else rest[1] if len(rest) > 1 else ""
        found.append((fields[0], fields[1:at], fields[at], written, fields[-1]))
    tests = _short([name for name, *_ in found])
    return contents_of(
        [
            Benchmark(
                test=test,
                params=_numbers(dict(zip(params, values, strict=True))) | {"mode": mode},
                readings=_readings([to_number(score)], unit, name),
                reason="JMH printed no score",
            )
            for test, (name, values, mode, score, unit) in zip(tests, found, strict=True)
        ]
    )


def _benchmark(entry: Mapping[str, Any], test: str) -> Benchmark:
    metric = an_object(entry.get("primaryMetric"))
    name, unit, threads = entry["benchmark"], metric.get("scoreUnit"), entry.get("threads")
    forks = [list(filter(is_positive, a_list(fork))) for fork in a_list(metric.get("rawData"))]
    middle = an_object(metric.get("scorePercentiles")).get("50.0")
    return Benchmark(
        test=test,
        params=_numbers(an_object(entry.get("params"))) | {"mode": str(entry.get("mode"))},
        readings=_readings([median(fork) for fork in forks if fork], unit, name)
        or _readings([middle, metric.get("score")], unit, name)[:1],
        reason="JMH recorded no score",
        columns={"threads": threads} if isinstance(threads, int) else {},
    )


def _numbers(params: Mapping[str, object]) -> dict[str, object]:
    return {key: number_or_text(value) for key, value in params.items()}


def _readings(scores: Sequence[object], unit: object, benchmark: object) -> list[dict[str, float]]:
    return [{"time_s": _seconds(score, unit, benchmark)} for score in filter(is_positive, scores)]


def _seconds(score: float, unit: object, benchmark: object) -> float:
    """The time of one operation."""
    above, _, below = str(unit).partition("/")
    if below == "op" and above in _SECONDS:
        return score * _SECONDS[above]
    if above == "ops" and below in _SECONDS:
        return _SECONDS[below] / score
    raise TableError(
        f"{benchmark!s:.80} has the score unit {str(unit)!r:.40}; expected a time such as us/op, "
        "or a throughput such as ops/ms"
    )


def _short(names: Sequence[str]) -> list[str]:
    """`Sort.run` of `org.example.Sort.run`, unless two classes would be called the same."""
    return short_names([".".join(name.split(".")[-2:]) for name in names], names)
