"""Error against allowed: the title's finding, every point shown, nothing on top of another."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports.conditions.checks import AREAS, check_table
from reports.figures.drawing.canvas import save, styled
from reports.figures.drawing.split import views
from reports.figures.error_against_allowed import Checked, ErrorAgainstAllowed, looks_of
from tests.reports.conditions.some_checks import entry

CHART = ErrorAgainstAllowed()
EPS = {"float64": 2e-16, "float32": 1e-7, "float16": 1e-3, "bfloat16": 8e-3}
HOSTILE = [
    "<script>alert(1)</script>",
    "$\\nosuch{$ a|b",
    "_hidden",
    "名前",
    "x" * 300,
    "%s {} \\frac",
]


def shown(*entries: dict[str, Any]) -> Checked:
    checks = check_table({"run": {"verification": {"matrix": list(entries)}}})
    return Checked(checks=checks, looks=looks_of(checks["implementation"], ()))


def many(*names: str, dtypes: tuple[str, ...] = tuple(EPS)) -> list[dict[str, Any]]:
    """Errors up to half of what is allowed, some zero, and one check that allows none."""
    chance = np.random.default_rng(7)
    made = []
    for name in names:
        for dtype in dtypes:
            for area in AREAS:
                allowed = EPS[dtype] * 10 ** chance.uniform(-0.5, 1.5)
                error = allowed * 10 ** chance.uniform(-2, -0.3) if area != "state" else 0.0
                allowed = 0.0 if area == "state" else allowed
                changes = {"dtype": dtype, "area": area}
                numbers = {"worst_error": error, "worst_allowed": allowed}
                made.append(entry(implementation=name, **changes, **numbers))
    return made


def drawn(one: Checked) -> tuple[Figure, FigureCanvasAgg]:
    with styled():
        figure = CHART.draw(one)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return figure, canvas


def points(figure: Figure) -> list[tuple[float, float]]:
    """What is drawn as markers, in exponents of ten."""
    return [
        (float(x), float(y))
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


TEN = [f"implementation_{number}" for number in range(10)]
FAILING = entry(
    implementation="mine", dtype="bfloat16", fail=3, worst_error=0.4, worst_allowed=1.3e-7
)
CROWDED = [
    many(*TEN),
    [*many(*TEN), FAILING],
    many("sdpa", "mine", dtypes=("float32", "bfloat16")),
    [entry()],
    [entry(worst_error=0.0, worst_allowed=0.0)],
    [entry(worst_error=5e-324, worst_allowed=1.7e308)],
    [entry(worst_error=3e-7, worst_allowed=0.0, fail=1)],
    [
        entry(worst_error=0.0, worst_allowed=4e-9),
        entry(area="masks", worst_error=7.0, worst_allowed=4e-7, fail=1),
    ],
    [entry(dtype=letter * 300) for letter in "vwxyz"],
    [*many(*HOSTILE), *(entry(dtype=name, area=name) for name in HOSTILE)],
]


@pytest.fixture(scope="module", params=CROWDED)
def crowded(request: pytest.FixtureRequest) -> tuple[Figure, FigureCanvasAgg]:
    return drawn(shown(*request.param))


def test_no_text_lies_on_another_or_leaves_the_figure(crowded: tuple[Figure, FigureCanvasAgg]):
    figure, canvas = crowded
    renderer = canvas.get_renderer()
    texts = [*figure.texts, *(axes._left_title for axes in figure.axes)]
    texts += [axes.xaxis.label for axes in figure.axes]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    for axes in figure.axes:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            ticks = [label.get_window_extent(renderer) for label in labels if label.get_text()]
            assert ticks
            assert not any(a.overlaps(b) for a, b in pairwise(ticks))
            boxes += ticks
    (legend,) = figure.legends
    boxes.append(legend.get_window_extent(renderer))
    for index, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1 + 1
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


def test_no_point_lies_on_the_word_fails_or_outside_its_panel(
    crowded: tuple[Figure, FigureCanvasAgg],
):
    figure, canvas = crowded
    renderer = canvas.get_renderer()
    for axes in figure.axes:
        (word,) = axes.texts
        box = word.get_window_extent(renderer)
        for line in axes.lines:
            if line.get_marker() in ("None", None, ""):
                continue
            at = axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
            assert all(axes.bbox.contains(x, y) for x, y in at)
            assert not any(box.contains(x, y) for x, y in at)


def test_the_figure_shows_the_title_and_units_and_explains_line_and_shade():
    one = shown(*many("sdpa", "mine"))
    figure, _ = drawn(one)
    said = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert CHART.title(one) in said
    assert figure.axes[0].get_ylabel() == "error (largest absolute difference)"
    assert {axes.get_xlabel() for axes in figure.axes} == {"allowed error"}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["mine", "sdpa", "error = allowed", "above it a check fails"]


def test_every_dtype_has_a_panel_from_fine_to_coarse():
    figure, _ = drawn(shown(*many("sdpa", dtypes=("bfloat16", "float64", "float32"))))
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["float64", "float32", "bfloat16"]


def test_the_table_holds_exactly_the_points_that_are_drawn():
    one = shown(*(row for row in many("a", "b") if row["area"] != "state"))
    figure, _ = drawn(one)
    table = CHART.data(one)
    expected = zip(np.log10(table["worst_allowed"]), np.log10(table["worst_error"]), strict=True)
    rounded = sorted((round(x, 9), round(y, 9)) for x, y in points(figure))
    assert rounded == sorted((round(x, 9), round(y, 9)) for x, y in expected)


def test_errors_of_zero_stand_on_a_line_of_their_own_below_all_others():
    one = shown(entry(check="a", worst_error=0.0), entry(check="b"))
    figure, _ = drawn(one)
    (axes,) = figure.axes
    labels = dict(
        zip((t.get_text() for t in axes.get_yticklabels()), axes.get_yticks(), strict=True)
    )
    low, high = sorted(y for _, y in points(figure))
    assert low == labels["exact"]
    assert high == pytest.approx(-7)
    assert labels["exact"] < min(at for name, at in labels.items() if name != "exact")
    assert 'zero stand on the line "exact"' in CHART.caption(one)
    assert len(CHART.data(one)) == 2


def test_without_errors_of_zero_there_is_no_such_line():
    figure, _ = drawn(shown(entry()))
    assert "exact" not in {label.get_text() for label in figure.axes[0].get_yticklabels()}
    assert "exact" not in CHART.caption(shown(entry()))


def test_checks_that_allow_nothing_have_a_place_of_their_own():
    one = shown(entry(check="a", worst_error=0.0, worst_allowed=0.0), entry(check="b"))
    figure, _ = drawn(one)
    (axes,) = figure.axes
    labels = dict(
        zip((t.get_text() for t in axes.get_xticklabels()), axes.get_xticks(), strict=True)
    )
    assert min(x for x, _ in points(figure)) == labels["none"]
    assert 'allow no error at all stand at "none"' in CHART.caption(one)


def test_the_line_runs_where_error_is_what_is_allowed_and_failures_lie_in_the_shade():
    figure, _ = drawn(shown(entry(), FAILING | {"dtype": "float32"}))
    (axes,) = figure.axes
    diagonal = next(line for line in axes.lines if line.get_marker() in ("None", None, ""))
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    (shade,) = axes.collections
    inside = [shade.get_paths()[0].contains_point(point) for point in sorted(points(figure))]
    assert inside == [True, False]


def test_failures_are_drawn_larger():
    figure, _ = drawn(shown(entry(), FAILING | {"dtype": "float32"}))
    sizes = {
        float(line.get_ydata()[0]): line.get_markersize()
        for line in figure.axes[0].lines
        if line.get_marker() not in ("None", None, "")
    }
    assert sizes[max(sizes)] > sizes[min(sizes)]


def test_the_title_names_the_nearest_where_nothing_exceeds_its_allowance():
    one = shown(entry(dtype="bfloat16", worst_error=0.51, worst_allowed=1.0), entry())
    assert CHART.title(one) == (
        "Nothing exceeds its allowance: the nearest, sdpa in bfloat16, uses 51 % of it"
    )


def test_the_title_says_who_exceeds_the_allowance_where_and_by_how_much():
    one = shown(entry(), FAILING)
    assert (
        CHART.title(one) == "mine exceeds its allowance in causal by a factor of 3.1e6 (bfloat16)"
    )


def test_the_title_of_several_failures_says_the_worst():
    one = shown(
        FAILING,
        FAILING | {"area": "shapes", "worst_error": 0.1},
        FAILING | {"implementation": "yours", "worst_error": 0.04},
    )
    assert CHART.title(one) == (
        "mine and yours exceed their allowance in shapes and causal by up to a factor of 3.1e6 "
        "(mine, causal, bfloat16)"
    )


def test_the_title_of_an_error_where_none_is_allowed_gives_the_error():
    one = shown(entry(fail=1, worst_error=0.2, worst_allowed=0.0))
    assert CHART.title(one) == (
        "sdpa exceeds its allowance in causal: 0.2 where none is allowed (float32)"
    )


def test_the_title_of_exact_results_says_so():
    assert CHART.title(shown(entry(worst_error=0.0))) == (
        "Nothing exceeds its allowance: every error is exactly zero"
    )


def test_failures_without_a_number_are_in_title_and_caption_and_never_drawn():
    lost = entry(
        implementation="mine",
        area="masks",
        fail=3,
        error=2,
        worst_error=None,
        worst_allowed=1e-7,
        reason="not finite where the reference is",
    )
    one = shown(entry(), lost)
    assert (
        CHART.title(one)
        == "mine fails 5 checks without a number; every error is within its allowance"
    )
    assert "5 failed checks have no number to draw" in CHART.caption(one)
    assert "No error was recorded for mine." in CHART.caption(one)
    assert len(points(drawn(one)[0])) == 1
    both = shown(entry(), lost, FAILING)
    assert CHART.title(both).endswith("(bfloat16); 5 more failures without a number")


def test_a_failure_whose_worst_number_is_within_its_allowance_is_not_hidden():
    one = shown(entry(fail=1))
    assert (
        CHART.title(one)
        == "sdpa fails 1 check without a number; every error is within its allowance"
    )
    assert "1 failed check has no number to draw" in CHART.caption(one)


def test_the_alt_text_names_every_implementation_with_its_worst():
    text = CHART.alt(shown(entry(), FAILING, entry(implementation="exact_one", worst_error=0.0)))
    assert "sdpa 25 % (float32, causal)" in text
    assert "mine 3.1e6 times (bfloat16, causal)" in text
    assert "exact_one 0 %" in text


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "kept no errors"),
        ([entry(worst_error=None)], "no check recorded both"),
        ([entry(worst_allowed=math.nan)], "no check recorded both"),
    ],
)
def test_without_numbers_there_is_no_figure_and_a_reason(entries: list[dict[str, Any]], words: str):
    one = shown(*entries)
    assert words in str(CHART.missing(one))
    with pytest.raises(ValueError, match=words):
        CHART.draw(one)


def test_more_dtypes_than_there_is_room_for_are_told_and_the_nearest_are_shown():
    spare = [entry(dtype=f"float{bits}", worst_error=bits * 1e-10) for bits in (4, 5, 6, 7, 8)]
    one = shown(*spare)
    assert set(CHART.data(one)["dtype"]) == {"float5", "float6", "float7", "float8"}
    assert "No room for float4" in CHART.caption(one)


def test_implementations_look_as_they_do_in_the_figures_of_times():
    frame = pd.DataFrame(
        [
            {"implementation": name, "seq_len": n, "d_model": 64, "time_s": 1e-5 * n}
            for name in ("beta", "sdpa")
            for n in (128, 256, 512)
        ]
    )
    seen = views(frame)
    looks = looks_of(["alpha", "beta", "sdpa"], seen)
    timed = {series.label: series.look for series in seen[0].series}
    assert {name: looks[name] for name in timed} == timed
    drawn_as = {(look.colour, look.marker) for look in looks.values()}
    assert len(drawn_as) == 3


def test_equal_checks_give_equal_files(tmp_path: Path):
    made = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        with styled():
            figure = CHART.draw(shown(*many("a", "b", dtypes=("float32",)), FAILING))
        made.append([path.read_bytes() for path in save(figure, tmp_path / folder / "picture")])
    assert made[0] == made[1]
