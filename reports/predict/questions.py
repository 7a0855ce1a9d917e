"""What is asked of sizes that were not measured: sizes and budgets as people write them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd

from reports.judge.compatible.ensemble import LARGEST_SIZE
from reports.tables.spelled import spelled
from reports.tables.units import Quantity, UnitError, parse_quantity
from reports.text.wording import one_line, shortened


class PredictionError(ValueError):
    """A request for a prediction that cannot be met; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A budget as somebody wrote it, and the sizes that are held still."""

    quantity: Quantity
    at: Mapping[str, float] = field(default_factory=dict)


def parse_sizes(text: str, names: Collection[str]) -> dict[str, float]:
    """Read sizes such as `n=65536,d=1024`; only these names are allowed, and not all are needed.

    Raises:
        PredictionError: the text names no size, or an unknown one, or one twice, or no number.

    """
    sizes: dict[str, float] = {}
    example = ",".join(f"{name}={value}" for name, value in zip(names, (65536, 1024), strict=False))
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name:
            raise PredictionError(f"expected sizes such as {example}, got {quoted(part)}")
        if name not in names:
            known = ", ".join(names)
            raise PredictionError(f"{quoted(name)} is no size of this fit; its sizes are {known}")
        if name in sizes:
            raise PredictionError(f"{name} is given twice in {quoted(text)}; give each size once")
        read = spelled(pd.Series([value]))
        if read.words[0] or read.units[0] or math.isnan(read.numbers[0]) or not read.mark:
            raise PredictionError(
                f"{name} must be a number such as 65536 or 64K, got {quoted(value)}"
            )
        sizes[name] = checked_size(name, float(read.numbers[0]))
    return sizes


def parse_budget(text: str, names: Collection[str]) -> Budget:
    """Read a budget such as `24GiB`, perhaps with sizes to hold still: `24GiB,d=1024`.

    Raises:
        PredictionError: the amount or a size cannot be read.

    """
    amount, comma, rest = text.partition(",")
    try:
        quantity = parse_quantity(amount)
    except UnitError as problem:
        raise PredictionError(str(problem)) from None
    return Budget(quantity=quantity, at=parse_sizes(rest, names) if comma else {})


def checked_size(name: str, value: float) -> float:
    """The value of a size, if it can be one.

    Raises:
        PredictionError: it is not positive, or beyond LARGEST_SIZE.

    """
    if not 0 < value <= LARGEST_SIZE:
        raise PredictionError(
            f"{name} must be positive and at most 2^60, got {value:g}; correct it"
        )
    return value


def quoted(text: str) -> str:
    """What somebody wrote, quoted, on one line and not too long."""
    return repr(shortened(one_line(text), most=40))
