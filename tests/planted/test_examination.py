"""The gate's test of itself: a kernel that is not what it is declared to be is reported."""

import json

import pytest
import torch
from rich.console import Console

from bench.checks.situations import check_cases
from tests.planted.examination import (
    Finding,
    examine,
    findings_table,
    implementation_of,
    planted_kernels,
    tally,
)
from tests.planted.planted import Planted, plain

SMALL = [one for one in check_cases(["float32"]) if one.name in ("plain", "causal", "single_pair")]


def doubled(query, key, value, **options):
    return 2 * plain(query, key, value, **options)


def triangle_ignored(query, key, value, *, is_causal=False):
    return plain(query, key, value)


def planted(fn, killed_by=None):
    return Planted(name=fn.__name__, what="is what it is", fn=fn, killed_by=killed_by)


FAULTY_AS_DECLARED = planted(doubled, "shapes: output")
FAULTY_SAID_RIGHT = planted(triangle_ignored)
RIGHT_AS_DECLARED = planted(plain)
RIGHT_SAID_FAULTY = planted(plain, "shapes: output")


def findings() -> list[Finding]:
    kernels = [FAULTY_AS_DECLARED, RIGHT_SAID_FAULTY, FAULTY_SAID_RIGHT, RIGHT_AS_DECLARED]
    return list(examine(kernels, SMALL))


def test_what_is_as_declared_is_told_from_what_is_not():
    assert [one.as_planted for one in findings()] == [True, False, False, True]


def test_a_finding_names_the_first_check_that_speaks_against_the_kernel():
    caught, missed, wrongly_right, passed = findings()

    assert caught.killed_by == "shapes: output"
    assert missed.killed_by is None
    assert wrongly_right.killed_by == "causal: output"
    assert wrongly_right.against is not None
    assert wrongly_right.against.case.name == "causal"
    assert passed.against is None


def test_a_kernel_is_left_alone_once_something_speaks_against_it():
    calls = []

    def counted(query, key, value):
        calls.append(query.shape)
        return 2 * plain(query, key, value)

    list(examine([planted(counted, "shapes: output")], SMALL))

    assert set(calls) == {(2, 3, 7, 11)}


def test_the_tally_counts_both_kinds_apart():
    assert tally(findings()) == {
        "faulty": 2,
        "faulty_caught": 1,
        "right": 2,
        "right_passed": 1,
    }
    assert tally([]) == {"faulty": 0, "faulty_caught": 0, "right": 0, "right_passed": 0}


def test_the_table_has_a_row_for_each_kernel_and_marks_what_is_wrong():
    console = Console(width=200, force_terminal=False)

    with console.capture() as captured:
        console.print(findings_table(findings()))

    heading, *rows = captured.get().splitlines()
    assert heading.split() == ["kernel", "what", "it", "does", "caught", "by", "in", "case"]
    assert [row.split()[0] for row in rows] == ["doubled", "plain", "triangle_ignored", "plain"]
    assert ["WRONG" in row for row in rows] == [False, True, True, False]
    assert "shapes: output" in rows[0]
    assert "WRONG: passes" in rows[1]
    assert "WRONG: causal: output" in rows[2]
    assert rows[2].split()[-1] == "causal"
    assert rows[3].split()[-1] == "passes"


def test_the_data_of_a_finding_says_what_was_declared_and_what_was_found():
    rows = [one.to_dict() for one in findings()]

    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [(row["name"], row["right"], row["killed_by"], row["as_planted"]) for row in rows] == [
        ("doubled", False, "shapes: output", True),
        ("plain", False, None, False),
        ("triangle_ignored", True, "causal: output", False),
        ("plain", True, None, True),
    ]
    assert [row["case"] and row["case"]["name"] for row in rows] == ["plain", None, "causal", None]


def test_the_number_of_threads_is_put_back_even_if_the_examination_is_given_up():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        examination = examine([RIGHT_AS_DECLARED, FAULTY_AS_DECLARED], SMALL)
        next(examination)
        assert torch.get_num_threads() == 1
        examination.close()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_faulty_kernels_are_examined_first():
    right = [one.killed_by is None for one in planted_kernels()]

    assert right == sorted(right)
    assert {True, False} == set(right)


@pytest.mark.parametrize("kernel", [FAULTY_AS_DECLARED, RIGHT_AS_DECLARED])
def test_a_planted_kernel_is_judged_as_a_users_own(kernel):
    implementation = implementation_of(kernel)

    assert implementation.name == kernel.name
    assert implementation.fn is kernel.fn
    assert not implementation.declared
