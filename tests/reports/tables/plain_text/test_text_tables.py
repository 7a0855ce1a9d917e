import pandas as pd
import pytest

from reports.tables.columns import TableError
from reports.tables.plain_text.text_tables import has_pipes, read_aligned, read_pipes

FRAME = pd.DataFrame({"n": [64, 128], "time (ms)": [0.5, 2.25]})
MARKDOWN = (
    "Some words.\n\n| n | time (ms) |\n|---|:-:|\n| 64 | **0.5** |\n| 128 | `2.25` |\n\nMore.\n"
)
PSQL = " n   | time (ms)\n-----+-----------\n 64  | 0.5\n 128 | 2.25\n(2 rows)\n"
GRID = (
    "+---+---+\n| n | time (ms) |\n+===+===+\n| 64 | 0.5 |\n+---+---+\n| 128 | 2.25 |\n+---+---+\n"
)


@pytest.mark.parametrize("text", [MARKDOWN, PSQL, GRID], ids=["markdown", "psql", "grid"])
def test_tables_with_pipes_are_read_without_what_surrounds_them(text: str) -> None:
    assert has_pipes(text)
    pd.testing.assert_frame_equal(read_pipes(text), FRAME)


def test_a_line_with_other_fields_than_the_header_is_named() -> None:
    with pytest.raises(TableError, match="line 6 has 1 fields, expected 2"):
        read_pipes(MARKDOWN.replace("| 128 | `2.25` |", "| 128"))
    with pytest.raises(TableError, match="has a table without rows"):
        read_pipes("| n |\n|---|\n")


def test_a_csv_with_a_pipe_in_a_field_is_no_table_of_pipes() -> None:
    assert not has_pipes("n,law\n3,n|d\n5,n\n")


@pytest.mark.parametrize(
    "text",
    [
        FRAME.to_string(),
        FRAME.to_string(index=False),
        "sizes:\n n    time (ms)\n64    0.5\n128   2.25\n",
        "# n  time (ms)\n64   0.5\n128  2.25\n",
        "n    time (ms)\n---  ---------\n64   0.5\n128  2.25\n",
        f"{FRAME.to_string()}\n\n[2 rows x 2 columns]",
    ],
)
def test_columns_under_each_other_are_a_table(text: str) -> None:
    found = read_aligned(text)
    assert found is not None
    pd.testing.assert_frame_equal(found, FRAME)


def test_one_space_is_enough_where_no_field_has_any() -> None:
    found = read_aligned("n time_s\n64 0.5\n128 2.25\n")
    assert found is not None
    assert found.to_dict("list") == {"n": [64, 128], "time_s": [0.5, 2.25]}


def test_a_line_with_other_columns_than_those_above_it_is_named() -> None:
    with pytest.raises(TableError, match=r"line 3 does not have the 2 columns .*: 1  128; give"):
        read_aligned("   n  time_s\n0  64  0.5\n1  128\n")


@pytest.mark.parametrize("text", ["hello", "hello there\nall of you\n", "n\n3\n5\n", "1 2\n3 4\n"])
def test_other_text_is_no_table(text: str) -> None:
    assert read_aligned(text) is None
