"""Numbers and lists in words, the same on every page, figure and terminal; and Markdown escapes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from reports.text.interval import Interval

NOTHING = "–"  # shown where a number is unknown

Thing = TypeVar("Thing")
Scales = Sequence[tuple[float, str]]
_SECONDS: Scales = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES: Scales = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
_JOULES: Scales = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"))
_SPEEDS: Scales = ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"))
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
_MARKDOWN_BLOCK = re.compile(
    r"^([-+#]|\d+(?=[.)](?:\s|$)))"
)  # acts only at the beginning of a line


def in_scale(value: float, scales: Scales) -> str:
    """Three figures in the largest scale of which the value has one: `1.23 ms`."""
    # Rounded first, so that just under a scale "1e+03 ms" cannot come out.
    fitting = (one for one in scales if abs(rounded(value / one[0])) >= 1)
    scale, unit = next(fitting, scales[-1])
    return f"{rounded(value / scale):.10g} {unit}"


def rounded(value: float) -> float:
    """The value to three significant figures."""
    return float(f"{value:.3g}")


def times(ratio: float) -> str:
    """A ratio with two decimals, or three figures where it is large or small: `1.10`, `22.6`."""
    return f"{ratio:.2f}" if 0.1 <= ratio < 10 else f"{rounded(ratio):,.10g}"


def seconds(value: float | None) -> str:
    """Seconds with three figures and a readable unit: `0.00123` is `1.23 ms`."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0 or value >= 999.5:
        return f"{value:,.0f} s"
    return in_scale(value, _SECONDS)


def seconds_between(value: float, low: float, high: float) -> str:
    """Seconds with their interval in one unit: `411 ms [398, 425]`."""
    scale = next((one for one, _ in _SECONDS if abs(rounded(value / one)) >= 1), _SECONDS[-1][0])
    ends = ", ".join(f"{rounded(end / scale):,.10g}" for end in (low, high))
    return f"{seconds(value)} [{ends}]"


def byte_size(value: float | None) -> str:
    """Bytes in binary units with three figures: `1048576` is `1 MiB`."""
    return NOTHING if value is None or not math.isfinite(value) else in_scale(value, _BYTES)


def joules(value: float) -> str:
    """Energy with three figures: `0.0125` is `12.5 mJ`."""
    return in_scale(value, _JOULES)


def speed(flops_per_s: float) -> str:
    """Operations a second with three figures: `2.5e12` is `2.5 TFLOP/s`."""
    return in_scale(flops_per_s, _SPEEDS) if math.isfinite(flops_per_s) else NOTHING


def percent(share: float | None) -> str:
    """A share of one as a percentage: `0.0134` is `1.3 %`, `0.911` is `91 %`."""
    if share is None or not math.isfinite(share):
        return NOTHING
    amount = share * 100
    if abs(amount) >= 9.95:
        return f"{amount:.0f} %"
    if amount != 0 and abs(amount) < 1e-4:
        return "< 0.0001 %"
    return f"{amount:.1f} %" if abs(amount) >= 0.095 else f"{amount:.2g} %"


def exponent(value: float) -> str:
    """An exponent with two decimals, and never a negative zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def interval(value: Interval | None) -> str:
    """An exponent with its interval, `2.00 [1.98, 2.02]`; a dash where there is none."""
    if value is None or value.estimate is None or not math.isfinite(value.estimate):
        return NOTHING
    return f"{exponent(value.estimate)} {bounds(value)}".strip()


def bounds(value: Interval | None) -> str:
    """The interval alone, `[1.98, 2.02]`; a bound that could not be had is a question mark."""
    if value is None or (value.low is None and value.high is None):
        return ""
    low, high = (
        "?" if bound is None or not math.isfinite(bound) else exponent(bound)
        for bound in (value.low, value.high)
    )
    return f"[{low}, {high}]"


def count(number: int, noun: str) -> str:
    """A count with its noun: `1 cell`, `3 cells`, `1,200 cells`. Regular nouns only."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(items: Sequence[str], most: int = 8) -> str:
    """Items as a sentence lists them, `a, b and c`; beyond `most` the rest is counted."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def by_text(pairs: Iterable[tuple[str, Thing]]) -> dict[str, list[Thing]]:
    """Every text once, in order of first appearance, with those it holds for."""
    found: dict[str, list[Thing]] = {}
    for text, thing in pairs:
        found.setdefault(text, []).append(thing)
    return found


def capital(text: str) -> str:
    """With a capital letter, as a sentence and a heading begin."""
    return text[:1].upper() + text[1:]


def shortened(name: str, most: int = 44) -> str:
    """A name short enough for a legend, a title or a sentence; tables carry it in full."""
    return name if len(name) <= most else name[: most - 1] + "…"


def one_line(text: object) -> str:
    """The text on one line: runs of spaces, line ends and control characters become one space."""
    printable = "".join(char if char.isprintable() else " " for char in str(text))
    return " ".join(printable.split())


def markdown(text: object) -> str:
    """The text as one line of literal Markdown, safe in a table: nothing in it acts as markup."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    inline = _MARKDOWN.sub(r"\\\1", plain)
    start = _MARKDOWN_BLOCK.match(inline)
    if start is None:
        return inline
    # A digit cannot be escaped; the sign after it can.
    at = 0 if start[0] in "-+#" else start.end()
    return f"{inline[:at]}\\{inline[at:]}"
