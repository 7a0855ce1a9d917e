"""The caches that a cell may lie in: the processor's, if it ran there."""

import pytest

from reports.conditions.bounds import caches_of

INFO = {
    "machine": {
        "caches_bytes": {"L3": 1000, "L1d": 10, "L2": None},
        "gpu_caches_bytes": {"L2": 50},  # overwritten before every call
    }
}


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", {"L1d": 10, "L3": 1000}),
        ("cuda", {}),
        ("cuda:1", {}),
        ("", {}),
        ("mps", {}),
    ],
)
def test_caches_are_the_processors_and_the_smallest_comes_first(device, expected):
    found = caches_of(INFO, device)

    assert found == expected
    assert list(found.values()) == sorted(found.values())


@pytest.mark.parametrize("info", [{}, {"machine": None}, {"machine": {"caches_bytes": 3}}])
def test_where_nothing_is_told_there_are_none(info):
    assert caches_of(info, "cpu") == {}
