import pandas as pd
import pytest

from reports.tables.columns import TableError
from reports.tables.condition import ConditionError
from reports.tables.selection import columns_meant, rows_where

FRAME = pd.DataFrame(
    {
        "n": [3, 5, 7, 11],
        "heads": ["4", "16", "16.0", None],
        "status": ["ok", "OK", "failed", "ok"],
        "done": [True, False, True, True],
        "a=b": ["x", "y", "x", "y"],
    }
)


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (["status=ok"], [3, 11]),
        (["status=Failed"], [7]),
        (["status!=failed"], [3, 5, 11]),
        (["heads=16"], [5, 7]),
        (["heads == 16.0"], [5, 7]),
        (["heads!=16"], [3, 11]),
        (["heads="], [11]),
        (["heads!="], [3, 5, 7]),
        (["N=2^3", "n!=3"], None),
        (["n!=7", "status=ok"], [3, 11]),
        (["done=true"], [3, 7, 11]),
        ([], [3, 5, 7, 11]),
    ],
)
def test_rows_are_chosen_by_numbers_and_words(conditions: list[str], left: list[int]) -> None:
    if left is None:
        with pytest.raises(TableError, match="leaves no row"):
            rows_where(FRAME, conditions)
    else:
        assert rows_where(FRAME, conditions)["n"].tolist() == left


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("status", "--where: expected COLUMN=VALUE or COLUMN!=VALUE such as status=ok, got 'stat"),
        ("=3", "--where: expected COLUMN=VALUE"),
        ("state=ok", 'there is no column "state"; did you mean "status"?'),
        ("heads=8", "--where heads=8 leaves no row; heads is 4 in 1 row, 16 in 1 row, 16.0 in"),
    ],
)
def test_a_condition_that_cannot_be_met_is_one_line(condition: str, message: str) -> None:
    with pytest.raises((ConditionError, TableError)) as refused:
        rows_where(FRAME, [condition])
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_patterns_mean_columns_that_have_no_other_part() -> None:
    frame = pd.DataFrame(columns=["n", "time_a", "Time_B", "time_n", "time_*"])
    assert columns_meant(frame, ["TIME_?"], ["time_n"]) == ["time_a", "Time_B", "time_*"]
    assert columns_meant(frame, ["time_*"], []) == ["time_*"]
    assert columns_meant(frame, ["N", "n", "time_[ab]"], []) == ["n", "time_a", "Time_B"]


@pytest.mark.parametrize("name", ["zeit_*", "zeit", "[", "*?[a"])
def test_a_pattern_without_a_column_is_refused(name: str) -> None:
    with pytest.raises(TableError, match="there is no column"):
        columns_meant(pd.DataFrame(columns=["n", "time_a"]), [name], [])


def test_more_columns_than_can_be_judged_are_refused() -> None:
    frame = pd.DataFrame(columns=[f"t{i}" for i in range(101)])
    with pytest.raises(TableError, match="--value means 101 columns; at most 100"):
        columns_meant(frame, ["t*"], [])
