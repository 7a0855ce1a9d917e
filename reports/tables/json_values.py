"""What a value is that somebody else wrote as JSON: a number, an object, a list, or none."""

from __future__ import annotations

import json
import math
import re
from typing import Any, TypeGuard

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 40


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


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def is_positive(value: object) -> TypeGuard[int | float]:
    """Whether a value is a positive, finite number, as a time or a size must be."""
    return is_number(value) and value > 0


def parsed(text: str) -> object:
    """The value of a JSON text; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def an_object(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def a_list(value: object) -> list[Any]:
    """A JSON list, or an empty one for anything else."""
    return value if isinstance(value, list) else []


def float_or_none(value: object) -> float | None:
    """A finite number as a float; None for anything else."""
    try:
        return float(value) if is_number(value) else None
    except OverflowError:  # an integer beyond all floats
        return None
