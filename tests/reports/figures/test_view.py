"""What can share a figure, and how its series look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from reports.figures.drawing.split import views
from reports.figures.time_against import TimeAgainst
from tests.reports.figures.some_cells import INFO, fit_of, record, records, view_of


def test_series_differ_in_colour_and_marker() -> None:
    looks = [series.look for series in view_of(records()).series]
    assert len({look.colour for look in looks}) == len(looks)
    assert len({look.marker for look in looks}) == len(looks)


def test_the_first_colours_differ_in_lightness_so_that_grey_prints_can_be_read() -> None:
    names = [f"impl{index}" for index in range(4)]
    frame = pd.DataFrame([record(name, n, 64) for name in names for n in (128, 256, 512)])
    (view,) = views(frame)
    greys = [float(np.dot(to_rgb(s.look.colour), (0.21, 0.72, 0.07))) for s in view.series]
    markers = {series.look.marker for series in view.series}
    assert len(markers) == 4
    assert max(greys) - min(greys) > 0.15


def test_a_series_keeps_its_look_in_every_view() -> None:
    frame = pd.concat([records(), records(dtype="float64")])
    frame = frame[~((frame["dtype"] == "float64") & (frame["implementation"] == "fast"))]
    first, second = views(frame, (), INFO)
    looks = {series.label: series.look for series in first.series}
    assert "fast" in looks
    assert {series.label for series in second.series} == {"slow", "tiny [wider heads]"}
    assert all(series.look == looks[series.label] for series in second.series)


@pytest.mark.parametrize("column", ["dtype", "pass", "device", "is_causal", "mask"])
def test_conditions_that_cannot_be_compared_make_figures_apart(column: str) -> None:
    other = {"dtype": "bfloat16", "pass": "forward_backward", "device": "cuda", "is_causal": True}
    frame = pd.concat([records(), records(**{column: other.get(column, "bool")})])
    found = views(frame, (), INFO)
    assert len(found) == 2
    assert found[0].suffix != found[1].suffix
    assert all(view.suffix and view.name for view in found)


def test_growth_of_one_implementation_in_two_ways_makes_figures_apart() -> None:
    frame = pd.concat([records(), records(growth="head_dim", num_heads=1)])
    frame = frame[frame["implementation"] != "tiny"]
    found = views(frame)
    assert [view.conditions["growth"] for view in found] == ["head_dim", "heads"]
    assert "d_model grows by wider heads, num_heads 1" in found[0].described()
    assert "d_model grows by more heads of head_dim 64" in found[1].described()


def test_a_fit_belongs_to_the_view_that_its_group_names() -> None:
    frame = pd.concat([records(), records(dtype="float64")])
    fits = [fit_of("fast", group={"implementation": "fast", "dtype": "float64"})]
    first, second = views(frame, fits, INFO)
    fitted = {
        (view.conditions["dtype"], series.label)
        for view in (first, second)
        for series in view.series
        if series.fit
    }
    assert fitted == {("float64", "fast")}


def two_runs(**changes: Any) -> pd.DataFrame:
    return pd.concat([records(run="before"), records(run="after", **changes)])


def test_two_runs_share_a_figure_and_differ_in_the_line() -> None:
    (view,) = views(two_runs())
    looks = {series.label: series.look for series in view.series}
    before, after = looks["fast [run before]"], looks["fast [run after]"]
    assert (before.colour, before.marker) == (after.colour, after.marker)
    assert before.line != after.line


def test_a_run_on_a_cpu_shares_a_figure_with_one_on_a_gpu_and_the_subtitle_tells_them_apart():
    runs = {"before": {"name": "cpu"}, "after": {"name": "gpu"}}
    (view,) = views(two_runs(device="cuda", dtype="bfloat16"), (), {}, runs)
    assert "run after: cuda, bfloat16; run before: cpu, float32" in view.described()
    assert {series.run: series.info for series in view.series} == runs
    assert "device" not in view.conditions


def test_runs_with_too_many_series_for_one_legend_have_figures_of_their_own() -> None:
    names = [f"impl{index}" for index in range(7)]
    rows = [record(name, n, 64, run=run) for name in names for n in (64, 128) for run in "ab"]
    assert [view.name for view in views(pd.DataFrame(rows))] == ["run a", "run b"]


def test_passes_never_share_a_figure_even_if_each_run_has_one() -> None:
    found = views(two_runs(**{"pass": "forward_backward"}))
    assert [view.name for view in found] == ["forward", "forward + backward"]


def test_on_a_gpu_the_time_is_that_of_the_gpu_alone_with_its_own_fit() -> None:
    frame = records(device="cuda")
    frame["graph_time_s"] = frame["time_s"] / 4
    fits = [fit_of("fast"), fit_of("fast", value="graph_time_s")]
    (view,) = views(frame, fits)
    assert view.is_gpu_time
    assert view.cells["time_s"].max() == frame["graph_time_s"].max() / 1.01
    (fast,) = (one for one in view.series if one.label == "fast")
    assert fast.fit is fits[1]
    assert TimeAgainst("t", along="seq_len", fixed="d_model")._axis_label(view).startswith("GPU")


def test_a_gpu_cell_without_that_time_keeps_all_to_the_time_of_the_call() -> None:
    frame = records(device="cuda")
    frame["graph_time_s"] = (frame["time_s"] / 4).where(frame["seq_len"] < 2048)
    (view,) = views(frame)
    assert not view.is_gpu_time
