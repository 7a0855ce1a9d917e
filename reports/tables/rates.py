"""Rates: what is done in a second, such as `TFLOPS`, `GB/s` and `ops/s`, and their inverse.

A rate falls where a cost grows, so that none is judged as a cost. Where the work is the call itself
(`ops/s`), the inverse is the time of a call. Where it is not (`GB/s`), the work of a call has to be
known, which is often what grows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reports.tables.units import NO_UNIT, Unit, unit_named

_CALLS = frozenset(
    {
        *("op", "ops", "operation", "operations", "call", "calls", "it", "iter", "iters"),
        *("iteration", "iterations", "run", "runs", "invocation", "invocations"),
    }
)
_PER = re.compile(r"(?P<first>[^\W\d_]+)(?:\s*/\s*|[\s_]per[\s_])(?P<second>[^\W\d_]+)(?![^\W_])")
_SHORT = re.compile(
    r"(?<![^\W_])(?:[kmgtpe](?:flops|ops|bps)|bps|qps|rps|tps|fps|ips|thrpt|throughput|bandwidth)"
    r"(?![^\W_])"
)
_LONGEST = 200
_OF_CALLS = "thrpt"
"""The mode of JMH in which it counts calls in a time."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Work in a time: its name as written, and the seconds of that time if the work is a call."""

    text: str
    seconds: float | None


def rate_in(text: str) -> Rate | None:
    """The rate that the name of a column, or of a unit, states; None where it states none.

    `flops` is a count and `GFLOPS` a rate; `us/op` and `ms per call` are times.
    """
    folded = text.casefold()[:_LONGEST]
    for found in _PER.finditer(folded):
        time = unit_named(found["second"])
        if time is not None and time.kind == "time":
            calls = found["first"] in _CALLS
            return Rate(text=text, seconds=time.factor if calls else None)
    short = _SHORT.search(folded)
    return (
        None if short is None else Rate(text=text, seconds=1.0 if short[0] == _OF_CALLS else None)
    )


def time_of_call(text: str) -> Unit:
    """The unit of a time for each call, such as `us/op` or `ms per iteration`; else no unit."""
    for found in _PER.finditer(text.casefold()[:_LONGEST]):
        unit = unit_named(found["first"])
        if unit is not None and unit.kind == "time" and found["second"] in _CALLS:
            return unit
    return NO_UNIT
