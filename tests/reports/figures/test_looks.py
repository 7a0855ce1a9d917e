"""An implementation has the same look on every page, and no two have the same on one."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from bench.plan.plan import load_preset, presets
from implementations.naming import suite_names
from reports.figures.drawing.dark import DARK
from reports.figures.drawing.looks import COLOURS, looks_for, looks_of_series


def test_one_of_ours_looks_the_same_whoever_is_beside_it():
    alone = looks_for(["sdpa"])["sdpa"]
    assert looks_for(["matmul", "mine", "sdpa", "zeta"])["sdpa"] == alone
    assert looks_for(["sdpa †"])["sdpa †"] == alone


def test_the_only_kernel_of_a_user_has_the_same_look_beside_any_of_ours():
    beside = (["sdpa"], ["matmul", "query_chunked", "sdpa"], ["loop", "row_loop", "sdpa_flash"])
    assert len({looks_for(["mine", *names])["mine"] for names in beside}) == 1


def test_no_two_of_fifty_look_the_same():
    looks = looks_for([*(f"kernel{index}" for index in range(50)), "sdpa", "matmul"])
    assert len(set(looks.values())) == 52


def test_seven_implementations_have_seven_colours():
    names = ["matmul", "online_softmax", "query_chunked", "sdpa", "sdpa_efficient", "sdpa_flash"]
    looks = looks_for([*names, "mine"])
    assert len({look.colour for look in looks.values()}) == 7
    assert len({look.marker for look in looks.values()}) == 7


def test_two_runs_of_an_implementation_share_its_colour_and_differ_in_the_line():
    of = {"sdpa [run a]": "sdpa", "sdpa [run b]": "sdpa"}
    first, second = looks_of_series(of, looks_for(["sdpa"])).values()
    assert (first.colour, first.marker) == (second.colour, second.marker)
    assert first.line != second.line


def test_no_look_is_lost_in_the_dark():
    """Blue, vermilion, green and pink have lighter ones there; sky and orange do for both."""
    ground = DARK["#ffffff"]
    for colour in COLOURS:
        shown = DARK.get(to_hex(colour), colour)
        assert _contrast(shown, ground) > 5


def _contrast(first: str, second: str) -> float:
    """The contrast of two colours as WCAG 2.1 defines it: 1 to 21."""
    dark, light = sorted(_luminance(one) for one in (first, second))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def test_no_two_of_ours_look_the_same():
    looks = looks_for(suite_names())

    assert len(set(looks.values())) == len(looks)


@pytest.mark.parametrize("preset", sorted({*presets()} - {"cuda"}))  # which has one too many
def test_what_a_preset_measures_differs_in_colour(preset: str) -> None:
    plan = load_preset(preset)
    names = {name for series in plan.series for name in series.implementations}

    colours = [look.colour for look in looks_for(names).values()]

    assert len(set(colours)) == len(names)
