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
@pytest.mark.parametrize(("level", "most"), [("quiet", 0), ("shared", 2)])
def test_equal_runs_are_seldom_called_different(comparisons, level, most):
    """On the shared machine a quarter of the answers at most is wrong, as the docs say."""
    (machine,) = [one for one in comparisons.LEVELS if one.name == level]
    found = [comparisons.outcome(machine, "none", number) for number in range(PAIRS)]

    assert sum(bool(one["wrong series"] or one["wrong cell"]) for one in found) <= most


@pytest.mark.slow
@pytest.mark.parametrize(("change", "told"), [("10 %", "series"), ("n^0.2", "growth")])
def test_a_change_is_found_and_nothing_else(comparisons, change, told):
    found = [comparisons.outcome(comparisons.LEVELS[1], change, number) for number in range(PAIRS)]

    assert sum(bool(one[told]) for one in found) >= PAIRS - 1
    assert sum(bool(one["wrong series"] or one["wrong cell"]) for one in found) <= 1
