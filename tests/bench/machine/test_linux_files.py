"""Files of /proc and /sys, and lists of CPUs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.machine.linux_files import parse_cpus, read, read_counters, read_number, write_cpus


@given(st.frozensets(st.integers(0, 300)))
def test_a_list_of_cpus_survives_being_written_and_read(cpus):
    assert parse_cpus(write_cpus(cpus)) == cpus


@pytest.mark.parametrize(
    ("cpus", "text"), [({0}, "0"), ({0, 1}, "0-1"), ({0, 2, 3, 4, 11}, "0,2-4,11"), ((), "")]
)
def test_cpus_are_written_as_linux_writes_them(cpus, text):
    assert write_cpus(cpus) == text


def test_what_is_missing_or_no_number_is_none(system):
    root = system({"limit": "max", "number": "-7", "counters": "low 0\nhigh 13\nbroken x"})

    assert read(root / "absent") is None
    assert read_number(root / "absent") is None
    assert read_number(root / "limit") is None
    assert read_number(root / "number") == -7
    assert read_counters(root / "counters") == {"low": 0, "high": 13}
    assert read_counters(root / "absent") == {}
