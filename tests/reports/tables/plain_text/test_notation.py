import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.tables.plain_text.notation import decimal_mark, in_points, marks_elsewhere, shown_mark


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        (["0,5"], ","),
        (["1.024.000"], ","),
        (["1.024,5"], ","),
        (["12,5 ms"], ","),
        (["0.5"], "."),
        (["1,024,000"], "."),
        (["1,024.5"], "."),
        (["1e-3", "12.25 ms"], "."),
        (["1,024"], None),
        (["1.024"], None),
        (["0,5", "0.5"], None),
        (["3", "v1.2.3", "a,b", ""], None),
    ],
)
def test_a_mark_is_shown_where_it_can_be_nothing_else(values: list[str], mark: str | None) -> None:
    assert shown_mark(values) == mark


@pytest.mark.parametrize(
    ("values", "elsewhere", "separator", "mark"),
    [
        (["512", "1.024"], None, ";", None),
        (["512", "1.024"], ",", ";", ","),
        (["512", "1.024"], ".", ";", None),  # whoever writes 0.5 may have copied the sizes
        (["1.024", "2.048"], None, ";", "."),
        (["4096", "1.024"], None, ";", "."),
        (["512", "1,024"], None, ";", "."),
        (["1,024", "2,048"], None, ";", None),
        (["1,024", "2,048"], None, ",", "."),
        (["1,024", "2,048"], ",", ";", ","),
        (["4096", "1,024"], None, ";", None),
        (["1,024", "1.024"], None, ",", None),
        (["a", "b"], ",", ";", "."),
    ],
)
def test_what_a_column_does_not_show_is_told_by_the_table_or_left_open(
    values: list[str], elsewhere: str | None, separator: str, mark: str | None
) -> None:
    assert decimal_mark(values, elsewhere=lambda: elsewhere, separator=separator) == mark


def test_a_table_shows_a_mark_if_its_columns_do_not_differ() -> None:
    assert marks_elsewhere([["1,024"], ["0,5"], ["7"]]) == ","
    assert marks_elsewhere([["0.5"], ["0,5"]]) is None


@given(
    number=st.integers(1, 10**12),
    decimals=st.integers(0, 99),
    marks=st.sampled_from([(",", "."), (".", ","), (" ", "."), ("'", ","), ("_", "."), ("", ",")]),
)
def test_a_number_is_the_same_with_and_without_its_marks(
    number: int, decimals: int, marks: tuple[str, str]
) -> None:
    thousands, mark = marks
    written = f"{number:,}".replace(",", thousands) + f"{mark}{decimals:02}"
    assert float(in_points(written, mark)) == float(f"{number}.{decimals:02}")
