"""Table 1 on the page of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.page.page import report
from reports.page.published_table import table1_section
from reports.table1.outputs import COUNTS, FOLDER
from reports.table1.written import HEADINGS
from reports.tables.read import Table, read_table
from tests.reports.conftest import make_sweep
from tests.reports.page.some_run import INFO, plain_rows, write_run
from tests.reports.table1.counts import MECHANISMS

FAILED = {"implementation": "sdpa", "dtype": "float32", "area": "masks", "fail": 1}
"""Its name is marked on the page, and it has its row in the table all the same."""


def counted_run(folder: Path, text: str | None) -> Path:
    """A run, and what stands in the file of its counts."""
    write_run(folder, plain_rows("sdpa"), INFO | {"verification": {"matrix": [FAILED]}})
    if text is not None:
        (folder / FOLDER).mkdir()
        (folder / FOLDER / COUNTS).write_text(text)
    return folder


@pytest.mark.usefixtures("one_figure")
def test_the_page_of_a_run_with_counts_has_the_table_and_its_figure(tmp_path: Path) -> None:
    made = report([counted_run(tmp_path / "run", json.dumps(MECHANISMS))])

    html, summary = made.index.read_text("utf-8"), made.summary.read_text("utf-8")
    assert '<a href="#table1">' in html
    assert '<section id="table1">' in html
    assert "| " + " | ".join(HEADINGS) + " |" in summary
    (line,) = (line for line in summary.splitlines() if line.startswith("| Self-attention |"))
    assert "n²·d" in line
    assert "not measured" not in line
    assert "sdpa †" in html
    assert {made.path / "figures" / f"table1.{kind}" for kind in ("png", "svg")} <= set(
        made.figures
    )
    assert made.path / "tables" / "table1.csv" in made.tables


NO_PATHS = {"rows": {name: {**row, "paths": []} for name, row in MECHANISMS["rows"].items()}}


@pytest.mark.parametrize(
    "text", [None, "{", "[]", '{"rows": {}}', '{"rows": null}', json.dumps(NO_PATHS)]
)
def test_a_run_without_counts_or_with_broken_ones_has_no_such_section(
    tmp_path: Path, text: str | None
) -> None:
    table = read_table(counted_run(tmp_path / "run", text))
    assert table1_section(table, tmp_path / "out") is None


def test_two_runs_side_by_side_have_no_such_section(tmp_path: Path) -> None:
    run = counted_run(tmp_path / "run", json.dumps(MECHANISMS))
    table = Table(frame=make_sweep([(1, "n")]), info={}, path=run, runs={"one": {}, "other": {}})
    assert table1_section(table, tmp_path) is None
