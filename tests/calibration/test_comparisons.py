"""How often `compare` is wrong, on few simulated pairs of runs; docs/comparing.md has more."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PAIRS = 8


@pytest.fixture(scope="module")
def comparisons() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("comparisons")


@pytest.mark.slow
def test_equal_runs_are_seldom_called_different(comparisons):
    found = [comparisons.outcome(comparisons.LEVELS[1], "none", number) for number in range(PAIRS)]

    assert sum(bool(one["wrong series"] or one["wrong cell"]) for one in found) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("change", "told"), [("10 %", "series"), ("n^0.2", "law")])
def test_a_change_is_found_and_nothing_else(comparisons, change, told):
    found = [comparisons.outcome(comparisons.LEVELS[1], change, number) for number in range(PAIRS)]

    assert sum(bool(one[told]) for one in found) >= PAIRS - 1
    assert sum(bool(one["wrong series"] or one["wrong cell"]) for one in found) <= 1
