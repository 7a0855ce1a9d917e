"""Counts of the cores that cut a call by the machine's caches are those of one machine here."""

import pytest

from implementations import blocks


@pytest.fixture(autouse=True)
def a_cache_of_one_mebibyte(monkeypatch):
    monkeypatch.setattr(blocks, "_l2_bytes", lambda: 2**20)
