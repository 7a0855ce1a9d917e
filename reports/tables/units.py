"""Units of columns and of budgets: seconds, bytes and joules, their multiples, and rates.

A unit is read off a column's name (`time_s`, `memory [MiB]`), never off its values. What names no
unit has none, and is then only ever compared with plain numbers.

A rate is what is done in a second, such as `TFLOPS`, `GB/s` and `ops/s`. It falls where a cost
grows, so that none is judged as a cost. Where the work is the call itself (`ops/s`), the inverse
is the time of a call. Where it is not (`GB/s`), the work of a call has to be known, which is often
what grows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from reports.text.wording import in_scale, rounded, shortened

Kind = Literal["time", "memory", "energy"]


class UnitError(ValueError):
    """A quantity that cannot be read or does not fit a column; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit: what it measures, its symbol, and how many seconds, bytes or joules it is.

    A column without a unit has kind None, no symbol and factor 1.
    """

    kind: Kind | None
    symbol: str
    factor: float


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """An amount that somebody wrote: `value` in seconds, bytes or joules, and `text` as written.

    Without a unit, kind is None and `value` is the plain number.
    """

    value: float
    kind: Kind | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Work in a time: its name, and the seconds of that time, NaN where the work is no call."""

    symbol: str
    factor: float


NO_UNIT = Unit(kind=None, symbol="", factor=1.0)

# Kind, symbol, factor, other spellings. A capital prefix before a small b means bits elsewhere
# (Mb), and a small or a capital m before J are far apart, so those are never guessed.
_SPELLINGS: tuple[tuple[Kind, str, float, str], ...] = (
    ("time", "h", 3600.0, "hr hrs hour hours"),
    ("time", "min", 60.0, "mins minute minutes"),
    ("time", "s", 1.0, "sec secs second seconds"),
    ("time", "ms", 1e-3, "msec millisecond milliseconds"),
    ("time", "µs", 1e-6, "us μs usec microsecond microseconds"),
    ("time", "ns", 1e-9, "nsec nanosecond nanoseconds"),
    ("memory", "TiB", 2.0**40, "tib TIB"),
    ("memory", "GiB", 2.0**30, "gib GIB"),
    ("memory", "MiB", 2.0**20, "mib MIB"),
    ("memory", "KiB", 2.0**10, "kib KIB"),
    ("memory", "TB", 1e12, "tb"),
    ("memory", "GB", 1e9, "gb"),
    ("memory", "MB", 1e6, "mb"),
    ("memory", "kB", 1e3, "KB kb"),
    ("memory", "B", 1.0, "byte bytes"),
    ("energy", "MJ", 1e6, "megajoule megajoules"),
    ("energy", "kJ", 1e3, "kilojoule kilojoules"),
    ("energy", "J", 1.0, "joule joules"),
    ("energy", "mJ", 1e-3, "millijoule millijoules"),
)
_UNITS = {
    name: Unit(kind=kind, symbol=symbol, factor=factor)
    for kind, symbol, factor, others in _SPELLINGS
    for name in (symbol, *others.split())
}
_DECIMAL, _BINARY = ("kB", "MB", "GB", "TB"), ("KiB", "MiB", "GiB", "TiB")
# What may end a name after "_": x_h and x_b are letters of laws, and x_mj could be either prefix.
_SUFFIXES = {
    name.lower(): unit
    for name, unit in _UNITS.items()
    if len(name) > 1 and (unit.kind != "energy" or len(name) > 2)
} | {"s": _UNITS["s"], "j": _UNITS["J"], "J": _UNITS["J"]}

_ARTICLES: dict[Kind, str] = {"time": "a time", "memory": "a memory size", "energy": "an energy"}
BASE: Mapping[Kind, str] = MappingProxyType({"time": "s", "memory": "B", "energy": "J"})
"""The symbol of the unit that all amounts of a kind are turned into."""

_BRACKETED = re.compile(r"(?P<space>^|\s)?[(\[]\s*(?P<unit>[^()\[\]]+?)\s*[)\]]\s*$")
_QUANTITY = re.compile(
    r"\s*\+?(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"\s*(?P<unit>[^\s0-9.,][^\s.,]*)?\s*"
)
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
_EXAMPLES = "24GiB, 90s or 1.5 ms"


def unit_of(column: str) -> Unit:
    """The unit that a column's name states: `time_s`, `peak_mib`, `time (ms)`, `memory [MiB]`.

    `_min` is minutes. `items_per_s` is a rate and `item(s)` a plural: they state no unit.
    """
    bracketed = _BRACKETED.search(column)
    if bracketed:
        plural = bracketed["unit"] == "s" and bracketed["space"] is None
        return NO_UNIT if plural else unit_named(bracketed["unit"]) or NO_UNIT
    before, _, end = column.strip().rpartition("_")
    if not before:  # a whole name such as "seconds"; a letter or two may stand for a size
        return _SUFFIXES.get(end.lower(), NO_UNIT) if len(end) > 3 else NO_UNIT
    if re.search(r"(?:^|[_\W])per$", before, flags=re.IGNORECASE):
        return NO_UNIT
    return _SUFFIXES.get(end if len(end) == 1 else end.lower(), NO_UNIT)


def unit_named(text: str) -> Unit | None:
    """The unit of that spelling; capitals matter only in short symbols."""
    return _UNITS.get(text.lower() if len(text) > 3 else text)


def rate_in(text: str) -> Rate | None:
    """The rate that the name of a column, or of a unit, states; None where it states none.

    `flops` is a count and `GFLOPS` a rate; `us/op` and `ms per call` are times.
    """
    folded = text.casefold()[:_LONGEST]
    for found in _PER.finditer(folded):
        time = unit_named(found["second"])
        if time is not None and time.kind == "time":
            calls = found["first"] in _CALLS
            return Rate(symbol=text, factor=time.factor if calls else math.nan)
    short = _SHORT.search(folded)
    if short is None:
        return None
    return Rate(symbol=text, factor=1.0 if short[0] == _OF_CALLS else math.nan)


def time_of_call(text: str) -> Unit:
    """The unit of a time for each call, such as `us/op` or `ms per iteration`; else no unit."""
    for found in _PER.finditer(text.casefold()[:_LONGEST]):
        unit = unit_named(found["first"])
        if unit is not None and unit.kind == "time" and found["second"] in _CALLS:
            return unit
    return NO_UNIT


def parse_quantity(text: str) -> Quantity:
    """Read a positive amount with or without a unit: `24GiB`, `90s`, `1.5 ms`, `2h`, `0.3`.

    Raises:
        UnitError: the text is no positive number, or its unit is not known.

    """
    shown = shortened(text, most=40)
    found = _QUANTITY.fullmatch(text)
    if found is None:
        hint = "; write decimals with a point" if "," in text else ""
        raise UnitError(
            f"expected a positive number with a unit such as {_EXAMPLES}, got {shown!r}{hint}"
        )
    unit = unit_named(found["unit"]) if found["unit"] else NO_UNIT
    if unit is None:
        raise UnitError(
            f"{shown!r} has an unknown unit {found['unit'][:12]!r}; expected one of "
            f"{', '.join(symbol for _, symbol, _, _ in _SPELLINGS)}"
        )
    value = float(found["number"]) * unit.factor
    if not 0 < value < math.inf:
        raise UnitError(f"expected a positive, finite amount such as {_EXAMPLES}, got {shown!r}")
    return Quantity(value=value, kind=unit.kind, text=text.strip())


def in_unit(quantity: Quantity, unit: Unit) -> float:
    """The quantity as a number in a column of that unit; a plain number is taken to be in it.

    Raises:
        UnitError: one is a time and the other a memory, or the column states no unit.

    """
    if quantity.kind is None:
        return quantity.value
    if unit.kind is None:
        raise UnitError(
            f"{quantity.text} cannot be compared with a column that states no unit; write a plain "
            "number in the column's unit, or name the unit in the header, such as time_s"
        )
    if quantity.kind != unit.kind:
        raise UnitError(
            f"{quantity.text} states {_ARTICLES[quantity.kind]}, but the column holds "
            f"{_ARTICLES[unit.kind]} in {unit.symbol}; give the amount in {unit.symbol}"
        )
    return quantity.value / unit.factor


def show(value: float, unit: Unit) -> str:
    """A value in a unit as people read it, with three significant figures: `1.23 ms`, `24 GiB`.

    Columns of kB, MB and so on are shown in powers of 1000, other memory in powers of 1024.
    """
    if not math.isfinite(value):
        return f"{value:g} {unit.symbol}".rstrip()
    if unit.kind is None:
        return f"{rounded(value):.10g}"
    base = value * unit.factor
    if base == 0:
        return f"0 {BASE[unit.kind]}"
    foreign = _BINARY if unit.symbol in _DECIMAL else _DECIMAL
    scales = [
        (factor, symbol)
        for kind, symbol, factor, _ in _SPELLINGS
        if kind == unit.kind and symbol not in foreign
    ]
    return in_scale(base, scales)
