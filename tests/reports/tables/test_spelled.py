import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.tables.spelled import Spelled, spelled


def read(*values: object) -> Spelled:
    return spelled(pd.Series(list(values), dtype=object))


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1_000", 1000),
        ("1,024,000", 1024000),
        ("1 024", 1024),
        ("2^10", 1024),
        ("2**10", 1024),
        ("10^3", 1000),
        ("n=256", 256),
        ("seq_len = 256", 256),
        ("n:256", 256),
        ("n=2^8", 256),
        ("64Ki", 65536),
        ("1e3", 1000),
        (" 3 ", 3),
        (7, 7),
        (np.float32(0.5), 0.5),
        ("10k", 10_000),
        ("3M", 3_000_000),
        ("3G", 3_000_000_000),
    ],
)
def test_a_number_is_read_however_it_is_spelled(written: object, number: float) -> None:
    found = read(written)
    assert found.numbers.tolist() == [number]
    assert not found.words.any()


@pytest.mark.parametrize(
    "word", ["50%", "OOM", "-", "3 apples and 5", "256x256", "n=", "^2", "x" * 99_999, True]
)
def test_what_is_no_number_is_a_word(word: object) -> None:
    found = read(word, 3)
    assert found.words.tolist() == [True, False]
    assert np.isnan(found.numbers[0])


def test_what_is_empty_is_neither() -> None:
    found = read(None, "", " ", float("nan"))
    assert not found.words.any()
    assert np.isnan(found.numbers).all()


@pytest.mark.parametrize(
    ("values", "thousand", "numbers"),
    [
        (["512", "1K", "64K", "1M"], 1024, [512, 1024, 65536, 1048576]),
        (["500", "1k", "64k"], 1000, [500, 1000, 64000]),
        (["1k", "10k", "1M"], 1000, [1000, 10000, 1000000]),
        (["1k", "1M"], 1000, [1000, 1000000]),
        (["1k", "2k"], 1024, [1024, 2048]),
        (["1Ki", "3"], None, [1024, 3]),
    ],
)
def test_a_k_is_1024_among_powers_of_two(
    values: list[str], thousand: int | None, numbers: list[float]
) -> None:
    found = read(*values)
    assert (found.thousand, found.numbers.tolist()) == (thousand, numbers)


def test_the_unit_of_each_cell_is_told() -> None:
    found = read("12.5 ms", "3us", "7", None, "5 GB/s", "2.5 ± 0.1 ms", "7 us +- 3 us")
    assert found.units.tolist() == ["ms", "us", "", "", "GB/s", "ms", "us"]
    assert found.numbers[[0, 1, 2, 4, 5, 6]].tolist() == [12.5, 3, 7, 5, 2.5, 7]


def test_thousands_that_may_be_decimals_are_told() -> None:
    assert read("512", "1.024").mark is None
    assert read("1,024", "2,048").mark is None
    assert read("512", "1,024").numbers.tolist() == [512, 1024]


@given(st.lists(st.one_of(st.none(), st.text(max_size=12), st.integers(), st.floats())))
def test_any_cell_is_a_number_or_a_word_or_empty(values: list[object]) -> None:
    found = read(*values)
    assert found.numbers.size == found.words.size == found.units.size == len(values)
    assert np.isnan(found.numbers[found.words]).all()
