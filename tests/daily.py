"""Which of many like cases are asked every day; the others are slow ones, for the night."""

from collections.abc import Iterable
from typing import Any

import pytest


def daily(cases: Iterable[Any], most: int = 1) -> list[Any]:
    """Parameters for a test: the first `most` as they are, the rest marked as slow."""
    return [
        case if place < most else pytest.param(case, marks=pytest.mark.slow)
        for place, case in enumerate(cases)
    ]
