"""What can share a figure, and how its series look."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from reports.figures.drawing.view import views
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
