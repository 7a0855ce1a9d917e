import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.tables.columns import TableError
from reports.tables.plain_text.delimited import read_delimited

words = st.text("abc ;,\t\"'-\n", min_size=1, max_size=6).map(lambda text: f"w{text}w")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_separator_and_the_line_ends_are_found(separator: str, end: str) -> None:
    lines = [("n", "time, mean (ms)", "who"), ("3", "0.5", "a,b;c\td"), ("5", "2.5", "e")]
    text = end.join(separator.join(f'"{field}"' for field in line) for line in lines)
    frame = read_delimited(text + end)
    assert list(frame.columns) == ["n", "time, mean (ms)", "who"]
    assert frame["n"].tolist() == [3, 5]
    assert frame["time, mean (ms)"].tolist() == [0.5, 2.5]
    assert frame["who"].tolist() == ["a,b;c\td", "e"]


@given(
    rows=st.lists(st.tuples(st.integers(1, 2**40), st.floats(1e-9, 1e9), words), min_size=1),
    separator=st.sampled_from(",;\t"),
)
def test_what_pandas_writes_is_read_back(
    rows: list[tuple[int, float, str]], separator: str
) -> None:
    frame = pd.DataFrame(rows, columns=["n", "time_s", "who"])
    found = read_delimited(frame.to_csv(index=False, sep=separator))
    pd.testing.assert_frame_equal(found, frame, check_dtype=False, rtol=1e-14)


def test_values_that_are_missing_are_missing_in_every_kind_of_column() -> None:
    frame = read_delimited("n,time_s,noisy,reason,none\n3,,True,None,\n,0.5,,late,NA\n")
    assert math.isnan(frame["n"][1])
    assert math.isnan(frame["time_s"][0])
    assert frame["noisy"][0] is True
    assert pd.isna(frame["reason"][0])
    assert frame["none"].isna().all()


def test_booleans_are_booleans() -> None:
    frame = read_delimited("a,b\nTrue,false\nFalse,true\n")
    assert frame["a"].dtype == np.bool_
    assert frame["b"].tolist() == [False, True]


def test_blanks_around_fields_and_blank_lines_do_not_count() -> None:
    frame = read_delimited("n , time_s \n\n 3 , 0.5 \n,\n5,2.5")
    assert frame.to_dict("list") == {"n": [3, 5], "time_s": [0.5, 2.5]}


def test_a_column_without_name_and_values_is_left_out_and_an_index_is_kept() -> None:
    frame = read_delimited(",n,time_s,\n0,3,0.5,\n1,5,2.5,\n")
    assert list(frame.columns) == ["column 1", "n", "time_s"]


def test_commas_in_names_and_numbers_do_not_hide_the_semicolon() -> None:
    frame = read_delimited("n;time, mean\n3;0,5\n5;2,5\n")
    assert list(frame.columns) == ["n", "time, mean"]


@pytest.mark.parametrize(
    ("text", "n", "t"),
    [
        ("n;t\n1;0,5\n1.024;2,25\n", [1, 1024], [0.5, 2.25]),
        ("n;t\n512;3\n1.024;5\n1.024.000;7\n", [512, 1024, 1024000], [3, 5, 7]),
        ("n;t\n1.000;0,5\n2.000;2,25\n", [1000, 2000], [0.5, 2.25]),
        ("n;t\n1.024;0.5\n2.048;2.25\n", [1.024, 2.048], [0.5, 2.25]),
        ("n\tt\tshape\n1\t1.125\t8,64\n2\t4.250\t8,64\n", [1, 2], [1.125, 4.25]),
        ("n;t\n512;0.5\n1,024;2.5\n", [512, 1024], [0.5, 2.5]),
        ("n;t\n1,024;0.5\n2,048;2.5\n", [1024, 2048], [0.5, 2.5]),
        ('n,t\n"1,024",3\n"2,048,000",5\n', [1024, 2048000], [3, 5]),
        ('n,t\n"1,024.5",3\n7,5\n', [1024.5, 7], [3, 5]),
        ("n\tt\n1 024\t3\n7\t5\n", [1024, 7], [3, 5]),
        ("n,t\n1_024,3\n7,5\n", [1024, 7], [3, 5]),
        ("n,t\n1.125,3\n1.25,5\n", [1.125, 1.25], [3, 5]),
        ("n,t\n1.125,3\n2.250,5\n", [1.125, 2.25], [3, 5]),
        ("n,t\n1.125,3\n4096,5\n", [1.125, 4096], [3, 5]),
        ("n;t\n3;1,5e-3\n5;2,5E-3\n", [3, 5], [1.5e-3, 2.5e-3]),
    ],
)
def test_thousands_and_decimals_are_told_apart(text: str, n: list[float], t: list[float]) -> None:
    frame = read_delimited(text)
    assert (frame["n"].tolist(), frame["t"].tolist()) == (n, t)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("n;t\n512;3\n1.024;5\n", ["512", "1.024"]),
        ("n;t\n1,024;3\n2,048;5\n", ["1,024", "2,048"]),
        ('n,t\n"1,024",3\n"1.024",5\n', ["1,024", "1.024"]),
    ],
)
def test_numbers_that_may_have_thousands_or_decimals_stay_text(
    text: str, values: list[str]
) -> None:
    assert read_delimited(text)["n"].tolist() == values


def test_words_among_numbers_with_decimal_commas_stay_and_the_numbers_are_numbers() -> None:
    assert read_delimited("n;t\n3;0,512\n5;1,024\n7;OOM\n")["t"].tolist() == [0.512, 1.024, "OOM"]


def test_comments_are_skipped_but_not_inside_of_quotes() -> None:
    text = '# made "by\n// hand\nn,who\n3,"a\n#b"\n # 4,c\n5,d\n'
    assert read_delimited(text).to_dict("list") == {"n": [3, 5], "who": ["a\n#b", "d"]}


def test_a_comment_above_numbers_alone_names_the_columns() -> None:
    assert read_delimited("# 7 runs\n# n, t\n3,0.5\n5,2.5\n").to_dict("list") == {
        "n": [3, 5],
        "t": [0.5, 2.5],
    }


def test_lines_may_end_with_separators_that_the_header_lacks() -> None:
    assert read_delimited("n,t\n3,0.5,\n5,2.5, ,\n").to_dict("list") == {
        "n": [3, 5],
        "t": [0.5, 2.5],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n,time_s\n3,0.5\n1,024,0.5\n", "line 3 has 3 fields, expected 2 as in the header; numb"),
        ("n,time_s\n3\n", "line 2 has 1 field, expected 2 as in the header; give every line"),
        ("n;t;u\n3;5\n", "with a semicolon between"),
        ("n,t,n\n1,2,3\n", 'has two columns called "n"'),
        ('n,t\n"1,2\n', "is not CSV: unexpected end of data"),
        ("hello\nworld\n", "there is no comma, semicolon or tab in its header 'hello'"),
        (",,\n", "is no table"),
        ("# n,t\n", "is no table"),
    ],
)
def test_a_broken_table_is_one_clear_line(text: str, expected: str) -> None:
    with pytest.raises(TableError) as refused:
        read_delimited(text)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_line_numbers_count_the_line_ends_inside_quotes() -> None:
    with pytest.raises(TableError, match="line 4 has 3 fields"):
        read_delimited('n,who\n3,"a\nb"\n5,c,d\n')
