"""Fixed pieces of work whose time tells whether others use the same core, cache or memory."""

from __future__ import annotations

import numpy as np

COUNTED = 1500
STREAMED_BYTES = 2**27  # more than the caches of a core's neighbourhood hold
STREAMED_AT_ONCE = 2**20


def count_up() -> None:
    """Count in one thread, which a neighbour on the same core halves."""
    for _ in range(COUNTED):
        pass


class Stream:
    """Reads a MiB that no cache holds, the next one each time."""

    def __init__(self) -> None:
        self._numbers = np.ones(STREAMED_BYTES // 4, dtype=np.float32)
        self._at = 0

    def __call__(self) -> None:
        """Read; the largest number is looked for since that takes next to no work."""
        end = self._at + STREAMED_AT_ONCE // 4
        self._numbers[self._at : end].max()
        self._at = end if end < self._numbers.size else 0
