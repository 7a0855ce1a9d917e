"""The simulation of spells: what a machine does to calls, and what the new method makes of it."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SHARED, LOADED = 2, 4


@pytest.fixture(scope="module")
def spells() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("spells")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_long_call_averages_spells_that_a_short_one_meets_whole(spells, rng):
    always_busy = replace(spells.LEVELS[SHARED], busy=0.999, drift=0.0)
    machine = spells.Machine(always_busy, rng, 260.0)
    begun = rng.uniform(0, 200, 2000)

    short = machine.core.between(begun, np.full(2000, 1e-4)) / 1e-4
    long = machine.core.between(begun, np.full(2000, 0.5)) / 0.5

    assert np.isclose(short.mean(), long.mean(), rtol=0.1)
    assert (short == 0).mean() > 0.1
    assert (long == 0).mean() < 0.02
    assert long.std() < short.std() / 2


def test_what_takes_one_call_is_what_many_take(spells, rng):
    cells = spells.draw_cells(rng)
    machine = spells.Machine(spells.LEVELS[LOADED], rng, 260.0)
    which, begun = np.arange(len(cells)), rng.uniform(0, 200, len(cells))

    many = machine.elapsed(begun, cells.cost, cells, which)
    single = [machine.took(begun[k], cells.cost[k], k, cells) for k in which]

    np.testing.assert_allclose(single, many, rtol=1e-6)
    assert (many > cells.cost * 0.9).all()


def test_the_quiet_end_of_many_visits_is_the_undisturbed_cost(spells, rng):
    cells = spells.draw_cells(rng)
    machine = spells.Machine(spells.LEVELS[SHARED], rng, 260.0)
    readings = spells.passes(machine, cells, rng)
    short = ((cells.cost < 0.003) & (cells.memory == 0))[readings["cell"]]

    quiet = spells.values_of(readings[short], cells).groupby("cell")["time_s"].median()
    mean = readings[short].groupby("cell")["time_s"].mean()

    np.testing.assert_allclose(quiet, cells.cost[quiet.index], rtol=0.03)
    assert (mean / cells.cost[mean.index]).mean() > 1.1


def test_the_new_method_confirms_the_law_on_a_shared_machine(spells, rng):
    cells = spells.draw_cells(rng)
    machine = spells.Machine(spells.LEVELS[SHARED], rng, 260.0)
    values = spells.values_of(spells.passes(machine, cells, rng), cells)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = spells.judged(values[values["series"] == 0], spells.TRUE)

    assert found.verdict == "confirmed"
    assert found.exponents["n"].low < 2 < found.exponents["n"].high
