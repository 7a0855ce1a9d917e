import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.tables.columns import FILES, TableError, no_column, numbers, row_of


def frame_of(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"seq_len": range(len(values)), "elapsed": values})


@pytest.mark.parametrize(
    "values",
    [
        [3, 5],
        ["3", " 5.0 "],
        [3, "5"],
        [decimal.Decimal(3), decimal.Decimal(5)],
        pd.Categorical([3, 5]),
        pd.array([3, 5], dtype="Int64"),
        np.array([3, 5], dtype=np.uint8),
    ],
)
def test_whatever_is_a_number_counts_as_one(values: Any) -> None:
    assert numbers(frame_of(values), "elapsed").tolist() == [3.0, 5.0]


def test_what_is_missing_is_nan() -> None:
    assert np.isnan(numbers(frame_of([None, 3]), "elapsed")).tolist() == [True, False]
    assert np.isnan(numbers(frame_of(pd.array([None, 3], "Int64")), "elapsed"))[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False], "holds true and false; expected numbers"),
        ([None, True, 3], "must hold numbers, got True in row 2"),
        (pd.to_timedelta([1, 2], unit="s"), "holds timedelta64"),
        (pd.to_datetime(["2026-03-05", "2026-03-07"]), "holds datetime64"),
        ([1j, 2j], "holds complex128"),
        ([3, [5]], r"must hold numbers, got [5] in row 2"),
        (["3", "5", "fast", "7", "slow"], "must hold numbers, got 'fast' in row 3; correct the"),
        (["3", "0,5"], "got '0,5' in row 2; write 0.5, with a decimal point"),
        (["1,024,000.5"], "write 1024000.5, with a decimal point and no marks between the thous"),
        (["3", "0,512"], "write 0.512, with a decimal point"),
        (["1.024.000"], "write 1024000, with a decimal point and no marks between the thousands"),
        (["3", "12 ms"], "write the number alone, and its unit in the header, such as time (ms)"),
        (["x" * 500], "xxx…"),
        (["a\nb"], r"'a\nb'"),
    ],
)
def test_what_is_no_number_is_told_in_one_line(values: Any, expected: str) -> None:
    with pytest.raises(TableError) as refused:
        numbers(frame_of(values), "elapsed")
    message = str(refused.value)
    assert expected in message
    assert 'column "elapsed"' in message
    assert "\n" not in message


def test_the_first_of_many_wrong_values_is_the_one_that_is_named() -> None:
    values = np.arange(1000).astype(str).astype(object)
    values[[617, 881]] = "?"
    with pytest.raises(TableError, match=r"got '\?' in row 618"):
        numbers(frame_of(values), "elapsed")


def test_rows_are_counted_in_the_file_also_where_some_were_left_out() -> None:
    frame = frame_of(["3", "x", "5", "?", "7"])
    frame.attrs[FILES] = [(0, "a.csv"), (2, "b.csv")]
    with pytest.raises(TableError, match=r"^b.csv: column .* got '\?' in row 2"):
        numbers(frame[frame["seq_len"] > 1], "elapsed")
    with pytest.raises(TableError, match=r"^a.csv: column .* got 'x' in row 2"):
        numbers(frame, "elapsed")


def test_rows_of_a_table_with_its_own_index_are_named_by_it() -> None:
    frame = frame_of(["x"]).set_axis(["big"])
    assert row_of(frame, 0) == ("", " in row 'big'")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("seqlen", "seq_len"), ("Elapsed", "elapsed"), ("elapsed_s", "elapsed")],
)
def test_a_missing_column_suggests_the_nearest_name(asked: str, meant: str) -> None:
    with pytest.raises(TableError) as refused:
        numbers(frame_of([3]), asked)
    assert str(refused.value) == (
        f'there is no column "{asked}"; did you mean "{meant}"? the table has seq_len, elapsed'
    )


def test_a_name_like_no_column_gets_the_list_alone() -> None:
    frame = pd.DataFrame({f"column {i}": [i] for i in range(17)})
    frame.attrs[FILES] = [(0, "a.csv")]
    message = str(no_column(frame, "??"))
    assert message.startswith('a.csv: there is no column "??"; the table has column 0, column 1, ')
    assert message.endswith("column 11 and 5 more")


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame([[3, 5]], columns=["n", "n"])
    with pytest.raises(TableError, match='two columns are called "n"'):
        numbers(frame, "n")
