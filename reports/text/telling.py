"""Who is told how far the work is?"""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[str, int, int], None]
"""Is told what is being done, how many are done, and of how many."""


def tell_nobody(what: str, done: int, total: int) -> None:
    """Keep silent."""
