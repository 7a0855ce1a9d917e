"""Figures: what they say, that nothing hides the data, and that they show what `data` returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports.figures import CHARTS
from reports.figures.drawing.canvas import save, styled
from reports.figures.drawing.chart import Chart, SizeChart
from reports.figures.drawing.view import View
from reports.figures.peak_share import PeakShare
from reports.judge.result import Regime, Verdict
from tests.daily import daily
from tests.reports.figures.some_cells import (
    INFO,
    OVERHEAD_S,
    SPEEDS,
    fit_of,
    record,
    records,
    view_of,
)

*ALWAYS, time_against_heads = CHARTS
time_against_n, speed_against_n, winner_over_sizes, workspace_against_n, *_ = ALWAYS
*_, time_against_d, local_slope, peak_share = ALWAYS


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A chart drawn once for all that is asked of it; matplotlib's settings before and after."""

    figure: Figure
    canvas: FigureCanvasAgg
    before: Mapping[str, object]
    after: Mapping[str, object]


AnyChart = Chart[View, Any]
Draw = Callable[[AnyChart], Drawing]


@pytest.fixture(scope="module")
def view() -> View:
    return view_of(records(), fit_of("fast"), fit_of("slow", verdict=Verdict.INCONCLUSIVE))


def named(chart: AnyChart) -> str:
    return chart.stem


@pytest.fixture(params=ALWAYS, ids=named)
def chart(request: pytest.FixtureRequest) -> AnyChart:
    found: AnyChart = request.param
    return found


def drawn(chart: AnyChart, view: View) -> Drawing:
    before = dict(mpl.rcParams)
    with styled():
        figure = chart.draw(view)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return Drawing(figure=figure, canvas=canvas, before=before, after=dict(mpl.rcParams))


@pytest.fixture(scope="module")
def drawing_of(view: View) -> Draw:
    """The figure of `view`; nobody may change it."""
    return cache(lambda chart: drawn(chart, view))


@pytest.fixture
def drawing(chart: AnyChart, drawing_of: Draw) -> Drawing:
    return drawing_of(chart)


def test_every_chart_has_title_labelled_axes_and_alt_text(
    chart: AnyChart, view: View, drawing: Drawing
) -> None:
    figure = drawing.figure
    said = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert chart.title(view) in said
    assert view.described() in said
    assert all(axes.get_xlabel() for axes in figure.axes)
    assert figure.axes[0].get_ylabel()
    assert len(chart.alt(view)) > 40
    assert view.described() not in chart.caption(view)


def test_units_stand_on_the_axes(drawing: Drawing) -> None:
    figure = drawing.figure
    labels = [figure.axes[0].get_ylabel(), *(axes.get_xlabel() for axes in figure.axes)]
    assert all("(" in label for label in labels)


def test_the_legend_lies_outside_the_axes_and_inside_the_figure(drawing: Drawing) -> None:
    figure, renderer = drawing.figure, drawing.canvas.get_renderer()
    (legend,) = figure.legends
    box = legend.get_window_extent(renderer)
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1
    for axes in figure.axes:
        tight = axes.get_tightbbox(renderer)
        assert tight is not None
        assert not box.overlaps(tight)


def test_no_text_overlaps_another_or_leaves_the_figure(drawing: Drawing) -> None:
    figure, renderer = drawing.figure, drawing.canvas.get_renderer()
    texts = [*figure.texts, *(axes._left_title for axes in figure.axes)]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    for index, box in enumerate(boxes):
        assert box.x1 <= figure.bbox.x1 + 1
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    for axes in figure.axes:
        ticks = [t.get_window_extent(renderer) for t in axes.get_xticklabels() if t.get_text()]
        low, high = axes.get_xlim()
        inside = [
            box for box, at in zip(ticks, axes.get_xticks(), strict=True) if low <= at <= high
        ]
        assert not any(a.overlaps(b) for a, b in pairwise(inside))


def test_every_axis_carries_data(drawing: Drawing) -> None:
    assert drawing.figure.axes
    assert all(axes.has_data() for axes in drawing.figure.axes)


@pytest.mark.parametrize(
    ("chart", "x", "y"),
    [
        (time_against_n, "seq_len", "time_s"),
        (time_against_d, "d_model", "time_s"),
        (speed_against_n, "seq_len", "speed"),
        (local_slope, "seq_len", "slope"),
        (workspace_against_n, "seq_len", "workspace_bytes"),
        (peak_share, "seq_len", "share"),
    ],
    ids=lambda value: getattr(value, "stem", value),
)
def test_the_table_holds_exactly_the_points_that_are_drawn(
    chart: AnyChart, x: str, y: str, view: View, drawing_of: Draw
) -> None:
    figure = drawing_of(chart).figure
    marked = {
        (round(float(a), 9), round(float(b), 9))
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() not in ("None", None, "", "|", "_")
        for a, b in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    table = chart.data(view)
    if chart is local_slope:  # points of the same sizes stand side by side
        assert {b for _, b in marked} >= {round(b, 9) for b in table[y]}
        sizes = np.array([a for a, _ in marked])
        assert np.abs(np.log(sizes[:, None] / table[x].to_numpy())).min(axis=1).max() < 0.05
        return
    expected = {(round(a, 9), round(b, 9)) for a, b in zip(table[x], table[y], strict=True)}
    assert marked >= expected
    caps_and_points = {point for point in marked if point not in expected}
    # Error bars' caps are markers too, at the sizes of the points.
    assert {a for a, _ in caps_and_points} <= {a for a, _ in expected}


def test_no_error_bar_covers_another_of_the_same_sizes(drawing_of: Draw) -> None:
    for axes in drawing_of(local_slope).figure.axes:
        bars = [
            (round(float(path.vertices[0][0]), 6), float(path.vertices[0][1]))
            for bar in axes.collections
            for path in bar.get_paths()
        ]
        assert len({at for at, _ in bars}) == len(bars) >= 3


def test_panels_stand_in_the_order_of_their_sizes_and_no_marker_is_cut(drawing_of: Draw) -> None:
    for chart in (one for one in ALWAYS if isinstance(one, SizeChart)):
        figure = drawing_of(chart).figure
        values = [axes.get_title(loc="left").split()[-1] for axes in figure.axes]
        assert values == sorted(values, key=float)
    assert all(axes.get_ylim()[0] < 0 for axes in figure.axes)  # of the share of the peak


def test_the_title_states_the_exponents_and_who_is_undecided(view: View) -> None:
    assert time_against_n.title(view) == "Time grows as n^2.00 (fast); undecided: slow"
    assert time_against_d.title(view) == "Time grows as d^1.01 (fast); undecided: slow"


def test_without_a_fit_the_title_says_that_no_exponent_could_be_fitted() -> None:
    assert "no exponent" in time_against_n.title(view_of(records()))


def test_tiny_implementations_get_a_panel_of_their_own(view: View) -> None:
    table = time_against_n.data(view)
    panels = table.groupby("d_model")["series"].unique()
    assert list(panels[8]) == ["tiny [wider heads]"]
    assert set(panels[512]) == {"fast", "slow"}


def test_the_local_slope_of_a_square_law_nears_two_and_names_the_claim(view: View) -> None:
    table = local_slope.data(view)
    last = table[(table["series"] == "slow") & (table["d_model"] == 512)].iloc[-1]
    assert last["slope"] == pytest.approx(2.0, abs=0.01)
    assert last["claimed"] == 2.0
    assert last["seq_len"] == pytest.approx(math.sqrt(1024 * 2048))
    assert last["slope_low"] < last["slope"] < last["slope_high"]


def test_a_claim_on_the_number_of_keys_is_one_on_n_where_one_query_decodes() -> None:
    rows = [
        record("fast", n, 64, key_len=n, query_len=1, claim="m*d", time_s=1e-9 * n * 64)
        for n in (128, 256, 512, 1024)
    ]
    assert set(local_slope.data(view_of(pd.DataFrame(rows)))["claimed"]) == {1.0}


def test_the_workspace_title_says_who_needs_how_much(view: View) -> None:
    title = workspace_against_n.title(view)
    assert title == "Workspace at n = 2048, d_model 512: slow 32 MiB and fast 1 MiB"


def test_workspace_of_zero_is_told_in_the_caption_and_not_drawn() -> None:
    frame = records()
    frame.loc[frame["implementation"] == "fast", "workspace_bytes"] = 0
    view = view_of(frame)
    assert "fast" not in set(workspace_against_n.data(view)["series"])
    assert "No workspace at all, so not on the axis: fast." in workspace_against_n.caption(view)


def test_the_share_of_the_peak_is_useful_flops_over_time_over_the_peak(view: View) -> None:
    table = peak_share.data(view)
    row = table[(table["series"] == "fast") & (table["d_model"] == 512)].iloc[-1]
    expected = 4 * 2048**2 * 512 / row["time_s"] / 2e11
    assert row["share"] == pytest.approx(expected)
    assert 0.45 < row["share"] <= 0.5


def test_the_peak_of_a_device_serves_its_numbered_devices_too() -> None:
    frame = records(device="cuda:0")
    view = view_of(frame, info={"ceilings": {"cuda/float32": {"matmul_flops_per_s": 5e13}}})
    assert {PeakShare().ceiling(one) for one in view.series} == {5e13}


def test_the_fitted_curve_and_its_band_are_in_the_table(view: View) -> None:
    table = time_against_n.data(view)
    rows = table[table["series"] == "fast"]
    expected = OVERHEAD_S + 4 * rows["seq_len"] ** 2 * rows["d_model"] / SPEEDS["fast"]
    assert np.allclose(rows["fitted_s"], expected)
    assert np.allclose(rows["fitted_high_s"] / rows["fitted_s"], math.exp(0.04))


def test_points_before_the_last_regime_are_hollow_and_the_legend_says_so() -> None:
    regimes = (
        Regime(name="overhead", start=128, end=256, evidence="fixed cost"),
        Regime(name="compute-bound", start=512, end=2048, evidence="near the peak"),
    )
    view = view_of(records(), fit_of("fast", regimes=regimes))
    table = time_against_n.data(view)
    rows = table[table["series"] == "fast"].sort_values("seq_len")
    assert list(rows["settled"]) == [False, False, True, True, True]
    assert rows["regime"].iloc[0] == "overhead"
    figure = drawn(time_against_n, view).figure
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "hollow: not in the fitted law" in labels
    faces = [line.get_markerfacecolor() for axes in figure.axes for line in axes.lines]
    assert "white" in faces


def test_a_law_that_misses_its_points_is_not_drawn_and_the_caption_says_so() -> None:
    frame = records()
    bent = frame["implementation"] == "fast"
    frame.loc[bent, "time_s"] = frame.loc[bent, "seq_len"] * 1e-6
    view = view_of(frame, fit_of("fast"), fit_of("slow"))
    table = time_against_n.data(view).groupby("series")["fitted_s"]
    assert not table.any()["fast"]
    assert table.any()["slow"]
    assert "No law is drawn for fast: the fitted one misses" in time_against_n.caption(view)


def test_the_machines_memory_is_a_line_where_the_workspace_comes_near() -> None:
    for memory, label in ((2**26, True), (2**40, False)):
        info = INFO | {"machine": {"memory_bytes": memory}}
        view = view_of(records(), info=info)
        labels = [
            entry.label
            for entry in workspace_against_n._entries(view, workspace_against_n.data(view))
        ]
        assert ("the machine's memory" in labels) is label
        assert "The memory of the machine is" in workspace_against_n.caption(view)


def test_where_regimes_overlap_in_size_the_law_tells_which_points_are_settled() -> None:
    frame = records()
    jumped = (frame["implementation"] == "fast") & (frame["seq_len"] ** 2 * frame["d_model"] > 1e8)
    frame.loc[~jumped, "time_s"] /= 3
    regimes = (
        Regime(name="regime 1", start=128, end=1024, evidence="few faults"),
        Regime(name="page-fault", start=512, end=2048, evidence="many faults"),
    )
    table = time_against_n.data(view_of(frame, fit_of("fast", regimes=regimes)))
    rows = table[(table["series"] == "fast") & (table["d_model"] == 512)].sort_values("seq_len")
    assert list(rows["settled"]) == [False, False, True, True, True]
    assert rows["regime"].iloc[2] == "regime 1 or page-fault"
    table = time_against_d.data(view_of(frame, fit_of("fast", regimes=regimes)))
    rows = table[(table["series"] == "fast") & (table["seq_len"] == 2048)].sort_values("d_model")
    assert rows["settled"].all()


@pytest.mark.parametrize(
    ("chart", "drop", "words"),
    [
        (time_against_n, ["seq_len"], "no seq_len column"),
        (time_against_d, ["d_model"], "no d_model column"),
        (local_slope, ["seq_len"], "no seq_len column"),
        (workspace_against_n, ["workspace_bytes"], "no workspace was recorded"),
        (peak_share, ["flops"], "no operation counts were recorded"),
    ],
    ids=lambda value: getattr(value, "stem", None),
)
def test_a_chart_whose_data_is_absent_says_why_and_refuses_to_draw(
    chart: AnyChart, drop: list[str], words: str
) -> None:
    view = view_of(records().drop(columns=drop))
    reason = chart.missing(view)
    assert reason is not None
    assert words in reason
    with pytest.raises(ValueError, match=words):
        chart.draw(view)


def test_the_share_of_the_peak_needs_the_machines_own_peak() -> None:
    reason = peak_share.missing(view_of(records(), info={"ceilings": None}))
    assert reason is not None
    assert "peak of this machine was not measured" in reason


def test_two_sizes_are_too_few_for_a_figure() -> None:
    frame = records()
    view = view_of(frame[frame["seq_len"].isin([128, 256])])
    assert "three or more values of seq_len" in str(time_against_n.missing(view))
    assert time_against_d.missing(view) is None


def test_heads_at_one_width_are_compared_by_what_the_most_cost() -> None:
    rows = [
        record("fast", n, 512, num_heads=h, head_dim=512 // h, growth="head_dim", time_s=h * 1e-3)
        for n in (128, 2048)
        for h in (1, 2, 8, 32)
    ]
    view = view_of(pd.DataFrame(rows))

    assert time_against_heads.title(view).endswith(
        "32 heads take so many times as long as 1: fast 32"
    )
    assert set(time_against_heads.data(view)["num_heads"]) == {1, 2, 8, 32}
    assert "d_model 512" in view.described()
    drawn(time_against_heads, view)


def test_heads_that_grow_with_the_width_are_another_figures_business(view: View) -> None:
    assert "at one d_model" in str(time_against_heads.missing(view))


def test_a_table_of_sizes_and_times_alone_is_enough_for_time_against_n() -> None:
    frame = pd.DataFrame({"seq_len": [64, 128, 256, 512], "time_s": [0.1, 0.4, 1.6, 6.4]})
    view = view_of(frame)
    assert time_against_n.missing(view) is None
    assert list(local_slope.data(view)["slope"]) == pytest.approx([2, 2, 2])
    drawn(time_against_n, view)


def test_unmeasured_cells_are_never_drawn() -> None:
    frame = records()
    late = frame["seq_len"] == 2048
    frame.loc[late, "status"] = "out_of_memory"
    frame.loc[late, "time_s"] = np.nan
    assert time_against_n.data(view_of(frame))["seq_len"].max() == 1024


HOSTILE = [
    "<script>alert(1)</script>",
    "$\\nosuch{$ a|b",
    "_hidden",
    "名前",
    "x" * 300,
    "%s {} \\frac",
]


def test_hostile_names_are_drawn_as_text_without_a_warning(chart: AnyChart) -> None:
    frame = pd.DataFrame(
        [record(name, n, d) for name in HOSTILE for n in (128, 256, 512) for d in (64, 128, 256)]
    )
    view = view_of(frame)
    figure = drawn(chart, view).figure
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert all(len(label) < 100 for label in labels)
    if chart in (speed_against_n, winner_over_sizes):
        return  # the reference and the losers are in no legend
    assert any(label.startswith("_hidden") for label in labels)
    assert any(label.startswith("$\\nosuch{$ a|b") for label in labels)


@pytest.mark.parametrize("chart", daily(ALWAYS), ids=named)
def test_equal_data_gives_equal_files(
    chart: AnyChart, view: View, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every day those of all charts are compared in the pages of one run."""
    made: list[tuple[bytes, ...]] = []
    for _ in range(2):
        with styled():
            figure = chart.draw(view)
        paths = save(figure, tmp_path_factory.mktemp("figures") / chart.stem)
        made.append(tuple(path.read_bytes() for path in paths))
    assert made[0] == made[1]
    assert b"<svg" in made[0][1]
    assert b"prefers-color-scheme:dark" in made[0][1]


def test_drawing_leaves_matplotlibs_settings_alone(drawing: Drawing) -> None:
    assert drawing.after == drawing.before
