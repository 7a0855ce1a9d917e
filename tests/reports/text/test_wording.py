"""How numbers and names are said."""

from __future__ import annotations

import pytest

from reports.text.interval import Interval
from reports.text.wording import byte_size, interval, markdown, one_line, percent, seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00123, "1.23 ms"), (2.5, "2.5 s"), (0.9999, "1 s"), (3e-10, "0.3 ns"), (None, "–")],
)
def test_seconds_are_readable(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_bytes_percentages_and_intervals_are_readable() -> None:
    assert byte_size(2**29) == "512 MiB"
    assert byte_size(1000) == "1000 B"
    assert percent(0.0134) == "1.3 %"
    assert percent(0.911) == "91 %"
    assert percent(1e-15) == "< 0.0001 %"
    assert interval(Interval(estimate=-0.001, low=-0.004, high=0.2)) == "0.00 [0.00, 0.20]"
    assert interval(Interval(estimate=2.0, low=None, high=2.5)) == "2.00 [?, 2.50]"
    assert interval(None) == "–"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("x\n| y", r"x \| y"),
        ("[t](u)", r"\[t\](u)"),
        ("1. x", r"1\. x"),
        ("- x", r"\- x"),
        ("2.00", "2.00"),
        ("`a*b_c`", r"\`a\*b\_c\`"),
    ],
)
def test_markdown_is_escaped_to_literal_text_on_one_line(text: str, written: str) -> None:
    assert markdown(text) == written


def test_control_characters_become_spaces() -> None:
    assert one_line("a\x1b[31m\r\n\tb\u2028c") == "a [31m b c"
