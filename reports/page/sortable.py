"""A text of a table that sorts by a number, since `1.2 ms` and `900 µs` do not sort as texts."""

from __future__ import annotations

import math


class Amount(str):
    """A text with the number that it stands for; None sorts last."""

    __slots__ = ("value",)

    value: float | None

    def __new__(cls, text: str, value: float | None) -> Amount:
        """The text of a value; one that is not finite is unknown."""
        made = super().__new__(cls, text)
        made.value = value if value is not None and math.isfinite(value) else None
        return made
