"""The table in every format."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from reports.table1.outputs import WRITERS, printed, write_files
from reports.table1.published import ROWS
from reports.table1.written import HEADINGS, latex
from reports.tables.columns import TableError
from reports.text.choices import TABLE1_FORMATS
from tests.reports.table1.counts import MECHANISMS
from tests.reports.table1.measured import judged_rows, times


@pytest.fixture(scope="module")
def records():
    frame = times()
    return frame[frame["implementation"] != "linear"]


@pytest.fixture(scope="module")
def rows():
    *measured, linear = judged_rows()
    assert linear.published.measured == "linear"
    return [*measured, replace(linear, fit=None, control=None)]


def text(rows, name):
    return WRITERS[name][1](rows)


def test_the_terminal_shows_what_was_published_counted_and_measured(rows):
    console = Console(width=80, record=True, file=io.StringIO())

    printed(rows, "text", console)

    shown = console.export_text().replace("\N{NO-BREAK SPACE}", " ")
    for words in ("O(n²·d)", "4·n²·d + 5·n² ✓", "3·n + 2 ✓", "2·⌈log₃ n⌉ ✓", "not measured"):
        assert words in shown
    assert re.search(r"n (1\.9|2\.0)\d", shown)
    assert "127 in what was timed" in " ".join(shown.split())


def test_csv_has_numbers_as_numbers(rows):
    found = list(csv.DictReader(io.StringIO(text(rows, "csv"))))

    assert [line["layer"] for line in found] == [one.title for one in ROWS]
    assert float(found[0]["n_exponent"]) == pytest.approx(2, abs=0.05)
    assert {line["path_holds"] for line in found} == {"True"}
    assert found[-1]["n_exponent"] == found[-1]["verdict"] == ""


def test_json_is_null_where_nothing_was_measured(rows):
    document = json.loads(text(rows, "json"))

    assert document["rows"][-1]["n_exponent"] is None
    assert document["rows"][-1]["verdict"] is None
    assert document["rows"][0]["path_holds"] is True


def test_markdown_has_as_many_cells_in_every_line(rows):
    lines = [line for line in text(rows, "markdown").splitlines() if line.startswith("|")]

    cells = [re.split(r"(?<!\\)\|", line) for line in lines]
    assert {len(line) for line in cells} == {len(HEADINGS) + 2}
    assert len(lines) == 2 + len(ROWS)


def test_latex_is_plain_ascii_with_a_column_for_each_heading(rows):
    found = text(rows, "latex")
    table = [line for line in found.splitlines() if line.endswith(r"\\")]

    assert "\n".join(line for line in found.splitlines() if not line.startswith("%")).isascii()
    assert {line.count(" & ") for line in table} == {len(HEADINGS) - 1}
    assert all(line.count("$") % 2 == 0 for line in table)
    assert len(table) == 1 + len(ROWS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("O(n²·d)", r"$O(n^2 \cdot d)$"),
        ("2·⌈log₃ n⌉ ✓", r"$2 \cdot \lceil \log_3$ $n\rceil$ $\checkmark$"),
        ("O(log_k(n))", r"$O(\log_k(n))$"),
        ("Convolutional (dilated)", "Convolutional (dilated)"),
        ("under n²·d", r"under $n^2 \cdot d$"),
    ],
)
def test_formulas_stand_in_mathematical_mode(words, expected):
    assert latex(words) == expected


def test_everything_is_written_and_the_same_twice(rows, records, tmp_path):
    for name in ("first", "second"):
        write_files(rows, MECHANISMS, records, tmp_path / name)

    first, second = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("first", "second")
    )
    assert first == second
    assert first.keys() == {
        *(file for file, _ in WRITERS.values()),
        *("counts.json", "table1.png", "table1.svg", "table1_figure.csv"),
    }
    assert set(TABLE1_FORMATS) == {"text", *WRITERS}


def test_a_directory_that_cannot_be_written_is_one_line(rows, records, tmp_path):
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(TableError, match=r"cannot write the table to .*--out"):
        write_files(rows, MECHANISMS, records, tmp_path / "taken")
