"""The files of an answer: the document, the figure and its points."""

import json

import pandas as pd
import pytest

from reports.overtaking.answer import Overtaking, overtaking_in
from reports.overtaking.files import points_of, title_of, write_overtaking
from reports.tables.columns import TableError
from tests.reports.overtaking.some_run import LENGTHS, WIDTHS, records


@pytest.fixture(scope="module")
def found() -> Overtaking:
    batches = pd.concat([records(), records(slower=0.7, batch=2)], ignore_index=True)
    return overtaking_in(batches, {})


def test_the_points_of_a_curve_are_of_one_sort(found):
    points = points_of(found)

    assert set(points["pair"]) == {"square / line (batch 1)", "square / line (batch 2)"}
    assert not points.duplicated(["pair", "d_model", "seq_len"]).any()
    assert len(points) == 2 * len(LENGTHS) * len(WIDTHS)


def test_the_title_tells_the_crossing_at_the_middle_width_under_each_condition(found):
    title = title_of(found)

    assert title.startswith("At d_model 48 square overtakes line (batch 1) at n = ")
    assert "(batch 2)" in title


def test_document_figure_and_points_are_written(found, tmp_path):
    folder = write_overtaking(found, tmp_path / "new")

    assert {path.name for path in folder.iterdir()} == {
        f"crossovers.{kind}" for kind in ("json", "csv", "png", "svg")
    }
    assert json.loads((folder / "crossovers.json").read_text()) == found.to_dict()
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "crossovers.csv"), points_of(found), check_dtype=False
    )


def test_where_nothing_crosses_there_is_only_the_document(tmp_path):
    folder = write_overtaking(overtaking_in(records("line"), {}), tmp_path)

    assert [path.name for path in folder.iterdir()] == ["crossovers.json"]


def test_a_place_that_cannot_be_written_is_one_line(found, tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(TableError, match=r"cannot write the crossovers to .*--out"):
        write_overtaking(found, tmp_path / "file" / "out")
