"""One number as people spell it: `64K`, `2^10`, `n=256`, `1_000`, `12.5 ± 0.3 ms`. No pandas."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from reports.tables.plain_text.notation import Mark, decimal_mark, in_points, is_number

_NUMBER = re.compile(
    r"(?:[A-Za-z_]\w{0,40}\s*[=:]\s*)?"
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)\s*"
    r"(?:(?:±|\+/?-)\s*[0-9.]+\s*)?"
    r"(?:(?:\^|\*\*)\s*(?P<power>[0-9]{1,4})|(?P<thousand>[kKMGT]i?)|(?P<unit>[A-Za-zµμ][A-Za-z_/µμ]*))?"
    r"(?:\s*(?:±|\+/?-).*)?"
)
_LONGEST = 80
_THOUSANDS = ("", "K", "M", "G", "T")


class Number(NamedTuple):
    """What a text says: a number, times which power of a thousand, of which unit."""

    number: float
    thousand: str = ""
    unit: str = ""

    def value(self, thousand: int) -> float:
        """The number where K stands for this many."""
        power = _THOUSANDS.index(self.thousand[:1].upper())
        base = 1024.0 if self.thousand.endswith("i") else float(thousand)
        return self.number * base**power


def number_in(text: str, mark: Mark) -> Number | None:
    """What a text says whose decimals stand behind this mark; None where that is no number."""
    text = in_points(text.strip(), mark)
    if is_number(text):
        return Number(float(text))
    found = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    number = float(found["number"])
    if found["power"]:
        try:
            number **= int(found["power"])
        except OverflowError:
            number = math.inf
    return Number(number, found["thousand"] or "", found["unit"] or "")


def thousand_among(read: Sequence[Number]) -> int | None:
    """What a K stands for: 1024 where all numbers are powers of two, else 1000; None without K."""
    if not any(one.thousand and not one.thousand.endswith("i") for one in read):
        return None
    numbers = {one.number for one in read}
    return 1024 if numbers != {1.0} and all(map(_is_power_of_two, numbers)) else 1000


def plain_number(text: str) -> float | None:
    """A number by itself, without a unit; None where it is none, or may be two."""
    mark = decimal_mark([text])
    read = number_in(text, mark) if mark else None
    if read is None or read.unit or math.isnan(read.number):
        return None
    return read.value(thousand_among([read]) or 1000)


def _is_power_of_two(number: float) -> bool:
    return math.isfinite(number) and math.frexp(number)[0] == 0.5
