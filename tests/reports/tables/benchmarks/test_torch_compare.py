import pytest

from reports.tables.benchmarks.torch_compare import compare_contents, is_compare
from reports.tables.columns import TableError

TABLE = """[------------- dot -------------]
             |   matmul  |   bmm
1 threads: ----------------------
      n=64   |     11.5  |   13.0
      n=128  |  \x1b[92m\x1b[1m   44.0  \x1b[0m\x1b[0m|
2 threads: ----------------------
      n=64   |      8.0  |    9.0
      n=128  |      (!) |   27.5

Times are in microseconds (us).
"""


def test_a_column_is_an_implementation_and_a_label_has_the_sizes() -> None:
    assert is_compare(TABLE)
    contents = compare_contents(TABLE)
    frame = contents.frame
    assert contents.parameters == ("n",)
    found = frame[["implementation", "threads", "n", "time_s"]].to_numpy().tolist()
    assert found[0] == ["matmul", 1, 64, pytest.approx(11.5e-6)]
    assert found[2] == ["matmul", 1, 128, pytest.approx(44e-6)]
    assert found[3][:3] == ["matmul", 2, 64]
    assert frame["reason"].dropna().tolist() == ["the table has (!)"]


def test_tables_under_several_titles_are_kept_apart() -> None:
    other = TABLE.replace("dot", "sum").replace("Times are in microseconds (us).", "")
    names = set(compare_contents(other + TABLE).frame["implementation"])
    assert {"matmul[sum]", "matmul[dot]"} <= names


def test_labels_that_are_shapes_have_a_size_for_each_number_that_varies() -> None:
    text = TABLE.replace("n=64 ", "[64, 8]").replace("n=128", "[128, 8]")
    assert compare_contents(text).parameters == ("arg0",)


def test_a_table_without_its_unit_is_refused_and_json_is_not_one() -> None:
    with pytest.raises(TableError, match="without its last line, which states the unit"):
        compare_contents(TABLE.replace("Times", "# Times"))
    assert not is_compare('[{"n": 3}]')
    assert not is_compare("[" + "-" * 100_000)
