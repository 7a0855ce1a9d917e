"""Counts of the cores that cut a call by the machine's caches are those of one machine here."""

from functools import cache

import pytest

from bench.counting import counter
from bench.counting.direct import count
from implementations import blocks

# Searches of several tests follow the same calls of the same implementations.
COUNTED_ONCE = cache(count)


@pytest.fixture(autouse=True)
def a_cache_of_one_mebibyte(monkeypatch):
    monkeypatch.setattr(blocks, "_l2_bytes", lambda: 2**20)
    monkeypatch.setattr(counter, "count", COUNTED_ONCE)
