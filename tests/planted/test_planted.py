"""Every planted fault is caught, by the check that it names; no right kernel is failed.

The right kernels meet the largest situations only in the slow tests: those take minutes.
"""

import copy
import importlib
import re
from collections.abc import Iterator
from typing import get_args

import pytest

from bench.checks.results import CheckResult
from bench.checks.run_situation import verify
from bench.checks.situation import AREAS, CheckCase
from bench.checks.situations import check_cases
from implementations.case import DTYPES
from implementations.interface import Kind
from tests.planted.planted import Planted, modules, planted_kernels

# Some kernels remember what they were called with, and other tests call them: take them as new.
KERNELS = copy.deepcopy(planted_kernels())
FAULTY = [one for one in KERNELS if one.killed_by is not None]
RIGHT = [one for one in KERNELS if one.killed_by is None]
# float32 first: most faults show there, and what rounding hides or makes shows in the others.
BY_DTYPE = ("float32", *(dtype for dtype in DTYPES if dtype != "float32"))
MODERATE, LARGER = 5_000, 100_000


def place(one: CheckCase) -> tuple[bool, int, int]:
    """What takes long is asked last, so that a fault is found early."""
    dtype = BY_DTYPE.index(one.case.dtype)
    return one.size >= (MODERATE if dtype else LARGER), dtype, one.size


SITUATIONS = sorted(check_cases(BY_DTYPE, asked=get_args(Kind)), key=place)
# Daily are the first fault of each check and every third of the others; at night those too that
# show in large situations only.
SHOWS_LATE = re.compile("128|256|512|1024|2048")
FIRST_OF_EACH = {one.killed_by: one.name for one in reversed(FAULTY)}.values()
DAILY = {*FIRST_OF_EACH, *(one.name for one in FAULTY[::3] if not SHOWS_LATE.search(one.name))}
# So that each situation is asked of six kernels daily, and of all by the slow tests.
RIGHT_BY_FIVES = [pytest.param(one, number % 5, id=one.name) for number, one in enumerate(RIGHT)]
# What these areas hold is checked in the situations of all.
EVERYWHERE = ("gradients", "state")


def named(one: Planted) -> str:
    return one.name


def failures(planted: Planted, area: str) -> Iterator[CheckResult]:
    own = [one for one in SITUATIONS if one.area == area]
    others = [one for one in SITUATIONS if one.area != area] if area in EVERYWHERE else []
    # What shows in none of its own takes large situations, and shows in float32 too.
    others.sort(key=lambda one: (BY_DTYPE.index(one.case.dtype), one.size))
    mine = own + others
    return (one for one in verify(planted.implementation, mine) if one.bad)


def test_there_are_at_least_thirty_faulty_kernels_and_a_dozen_right_ones():
    assert len(FAULTY) >= 30
    assert len(RIGHT) >= 12


def test_every_planted_kernel_has_a_name_and_a_description_of_its_own():
    names = [one.name for one in KERNELS]

    assert len(set(names)) == len(names)
    assert len({one.what for one in KERNELS}) == len(names)
    assert all(one.what and "\n" not in one.what for one in KERNELS)


@pytest.mark.parametrize("module", modules())
def test_a_planted_kernel_can_be_named_as_an_attribute_of_its_module(module):
    loaded = importlib.import_module(module)

    for planted in getattr(loaded, "PLANTED", ()):
        assert getattr(loaded, planted.name) is planted.fn


@pytest.mark.parametrize("module", modules())
def test_no_kernel_of_a_collection_is_left_unplanted(module):
    loaded = importlib.import_module(module)
    planted = {one.name for one in getattr(loaded, "PLANTED", ())}

    written = {
        name
        for name, thing in vars(loaded).items()
        if planted
        and not name.startswith("_")
        and callable(thing)
        and not isinstance(thing, type)
        and getattr(thing, "__module__", "") == module
        and "value" in getattr(getattr(thing, "__code__", None), "co_varnames", ())[:3]
    }

    assert written - planted == set()


def test_every_declared_check_has_an_area():
    assert {str(one.killed_by).partition(": ")[0] for one in FAULTY} <= set(AREAS)


@pytest.mark.parametrize(
    "planted",
    [pytest.param(one, marks=() if one.name in DAILY else pytest.mark.slow) for one in FAULTY],
    ids=named,
)
def test_a_faulty_kernel_is_caught_by_the_check_that_it_names(planted):
    area = str(planted.killed_by).partition(":")[0]

    assert any(f"{one.area}: {one.check}" == planted.killed_by for one in failures(planted, area))


@pytest.mark.parametrize(("planted", "first"), RIGHT_BY_FIVES)
def test_a_right_kernel_passes_a_fifth_of_the_situations_of_moderate_size(planted, first):
    moderate = [one for one in check_cases(["float32"]) if one.size < MODERATE][first::5]

    results = list(verify(planted.implementation, moderate))

    assert [str(one) for one in results if one.bad] == []
    assert sum(one.status == "pass" for one in results) > len(moderate) / 2


@pytest.mark.parametrize("planted", RIGHT, ids=named)
def test_a_right_kernel_passes_beyond_the_blocks_of_64_and_128(planted):
    names = ("block_129x127", "causal_129x127", "boolean_mask_65x131", "float_mask_65x131")
    asked = [one for one in SITUATIONS if one.case.dtype in ("float32", "bfloat16")]
    larger = [one for one in asked if one.name in names]

    assert [str(one) for one in verify(planted.implementation, larger) if one.bad] == []


@pytest.mark.slow
@pytest.mark.parametrize("planted", RIGHT, ids=named)
def test_a_right_kernel_passes_every_situation(planted):
    results = list(verify(planted.implementation, SITUATIONS))

    assert [str(one) for one in results if one.bad] == []
    for dtype in DTYPES:
        moderate = [
            one.status
            for one in results
            if one.case.case.dtype == dtype and one.case.size < MODERATE
        ]
        assert moderate.count("pass") > len(moderate) / 2
