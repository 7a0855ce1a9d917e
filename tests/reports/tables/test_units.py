import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.tables.units import (
    BASE,
    NO_UNIT,
    Quantity,
    Unit,
    UnitError,
    in_unit,
    parse_quantity,
    show,
    unit_named,
    unit_of,
)

SUFFIXES = {
    "_s": ("time", 1.0),
    "_ms": ("time", 1e-3),
    "_us": ("time", 1e-6),
    "_ns": ("time", 1e-9),
    "_min": ("time", 60.0),
    "_bytes": ("memory", 1.0),
    "_kib": ("memory", 2.0**10),
    "_mib": ("memory", 2.0**20),
    "_gib": ("memory", 2.0**30),
    "_kb": ("memory", 1e3),
    "_mb": ("memory", 1e6),
    "_gb": ("memory", 1e9),
    "_j": ("energy", 1.0),
}
SYMBOLS = ["h", "min", "s", "ms", "µs", "us", "ns", "B", "kB", "MB", "GB", "TB"]
SYMBOLS += ["KiB", "MiB", "GiB", "TiB", "J", "kJ", "MJ", "mJ"]

amounts = st.floats(1e-3, 1e6)
symbols = st.sampled_from(SYMBOLS)


def unit(symbol: str) -> Unit:
    return unit_of(f"cost ({symbol})")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_end_of_a_name_states_its_unit(suffix: str) -> None:
    kind, factor = SUFFIXES[suffix]
    for name in (f"cost{suffix}", f"Peak_cost{suffix.upper() if len(suffix) > 2 else suffix}"):
        assert (unit_of(name).kind, unit_of(name).factor) == (kind, factor)


@pytest.mark.parametrize(
    ("header", "kind", "factor"),
    [
        ("time (ms)", "time", 1e-3),
        ("memory [MiB]", "memory", 2.0**20),
        ("elapsed(us)", "time", 1e-6),
        ("elapsed [ μs ]", "time", 1e-6),
        ("time (Seconds) ", "time", 1.0),
        ("time (s)", "time", 1.0),
        ("peak (KB)", "memory", 1e3),
        ("energy (mJ)", "energy", 1e-3),
        ("energy (MJ)", "energy", 1e6),
        ("n (max) [ms]", "time", 1e-3),
        ("seconds", "time", 1.0),
    ],
)
def test_a_header_states_its_unit_in_brackets(header: str, kind: str, factor: float) -> None:
    assert (unit_of(header).kind, unit_of(header).factor) == (kind, factor)


@pytest.mark.parametrize(
    "name",
    # a letter may be a size; a rate is no time; a plural is no second; Mb may be bits
    ["", "s", "h", "n", "seq_len", "items_per_s", "rate (GB/s)", "item(s)", "rate (Mb)", "x_mj"],
)
def test_a_name_that_states_no_unit_has_none(name: str) -> None:
    assert unit_of(name) == NO_UNIT


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("24GiB", 24 * 2.0**30, "memory"),
        ("90s", 90.0, "time"),
        (" 1.5 ms ", 1.5e-3, "time"),
        ("2h", 7200.0, "time"),
        ("0.3", 0.3, None),
        (".5e1 kJ", 5e3, "energy"),
        ("1e3", 1e3, None),
        ("16 gib", 16 * 2.0**30, "memory"),
    ],
)
def test_a_quantity_is_read_in_its_base_unit(text: str, value: float, kind: str | None) -> None:
    found = parse_quantity(text)
    assert found.value == pytest.approx(value, rel=1e-15)
    assert (found.kind, found.text) == (kind, text.strip())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a positive number with a unit such as 24GiB"),
        ("ms", "expected a positive number"),
        ("-5s", "expected a positive number"),
        ("nan", "expected a positive number"),
        ("inf s", "expected a positive number"),
        ("1\n2", "expected a positive number"),
        ("١s", "expected a positive number"),
        ("1,5 ms", "write decimals with a point"),
        ("0s", "positive, finite"),
        ("1e400", "positive, finite"),
        ("9e307GiB", "positive, finite"),
        ("24Gb", "unknown unit 'Gb'; expected one of h, min, s"),
        ("24G", "unknown unit 'G'"),
        ("2h30m", "unknown unit 'h30m'"),
        ("1_0s", "unknown unit '_0s'"),
        ("x" * 999, "x…'"),
    ],
)
def test_a_quantity_that_is_none_is_refused_in_one_line(text: str, expected: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_quantity(text)
    message = str(refused.value)
    assert expected in message
    assert "\n" not in message
    assert len(message) < 200


@given(amount=amounts, symbol=symbols)
def test_a_quantity_in_a_columns_own_unit_is_its_number(amount: float, symbol: str) -> None:
    assert in_unit(parse_quantity(f"{amount!r} {symbol}"), unit(symbol)) == pytest.approx(amount)


@given(amount=amounts, first=symbols, second=symbols)
def test_conversion_to_another_unit_and_back_loses_nothing(
    amount: float, first: str, second: str
) -> None:
    given_in, column = unit(first), unit(second)
    quantity = parse_quantity(f"{amount!r}{first}")
    if given_in.kind != column.kind:
        with pytest.raises(UnitError, match=f"the column holds .* in {column.symbol}"):
            in_unit(quantity, column)
        return
    back = in_unit(quantity, column) * column.factor / given_in.factor
    assert back == pytest.approx(amount, rel=1e-12)


def test_a_plain_number_is_taken_to_be_in_the_columns_unit() -> None:
    assert in_unit(parse_quantity("0.3"), unit("ms")) == 0.3
    assert in_unit(parse_quantity("7"), NO_UNIT) == 7


def test_a_budget_of_memory_for_a_time_is_refused_in_one_line() -> None:
    with pytest.raises(UnitError) as refused:
        in_unit(parse_quantity("24GiB"), unit_of("time_s"))
    assert str(refused.value) == (
        "24GiB states a memory size, but the column holds a time in s; give the amount in s"
    )


def test_a_budget_with_a_unit_needs_a_column_that_states_one() -> None:
    with pytest.raises(UnitError, match=r"90s cannot be compared with a column that states no"):
        in_unit(Quantity(value=90.0, kind="time", text="90s"), NO_UNIT)


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (0.00123, "time_s", "1.23 ms"),
        (24 * 2.0**30, "workspace_bytes", "24 GiB"),
        (24.0, "size_gb", "24 GB"),
        (2500.0, "size_kb", "2.5 MB"),
        (999.9, "time_ms", "1 s"),  # never "1e+03 ms"
        (59.97, "time_s", "60 s"),
        (59.9999, "time_s", "1 min"),
        (1023.9, "peak_mib", "1 GiB"),
        (1000.0, "peak_mib", "1000 MiB"),
        (90.0, "time_s", "1.5 min"),
        (1e6, "hours", "1000000 h"),
        (5e-11, "time_s", "0.05 ns"),
        (0.0, "peak_mib", "0 B"),
        (-3.5, "time_ms", "-3.5 ms"),
        (1500.0, "energy_j", "1.5 kJ"),
        (1234567.0, "n", "1230000"),
        (math.inf, "time_ms", "inf ms"),
    ],
)
def test_a_value_is_shown_in_the_multiple_that_fits_it(
    value: float, column: str, shown: str
) -> None:
    assert show(value, unit_of(column)) == shown


@given(value=st.floats(1e-9, 1e12), symbol=symbols)
def test_what_is_shown_reads_back_to_three_figures(value: float, symbol: str) -> None:
    column = unit(symbol)
    read = parse_quantity(show(value, column))
    assert read.kind == column.kind
    assert in_unit(read, column) == pytest.approx(value, rel=0.0051)


@given(value=st.floats(1e-6, 1e6), symbol=symbols)
def test_what_is_shown_has_a_short_number(value: float, symbol: str) -> None:
    number, shown = show(value, unit(symbol)).split(" ")
    scale = unit(shown).factor * float(number)
    if 1e-9 <= scale < 3600 and unit(shown).kind == "time":
        assert 1 <= float(number) < 1000
    digits = number.partition("e")[0]
    assert len(digits.replace(".", "").strip("0")) <= 3


def test_the_base_unit_of_each_kind_is_one_of_it() -> None:
    for kind, symbol in BASE.items():
        unit = unit_named(symbol)
        assert unit is not None
        assert (unit.kind, unit.symbol, unit.factor) == (kind, symbol, 1.0)
        assert show(0.0, unit) == f"0 {symbol}"
    assert set(BASE) == {"time", "memory", "energy"}
