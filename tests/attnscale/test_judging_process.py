"""What the judging process is sent: every value of the session, and what it makes of them there."""

import json
import math
import re
from enum import Enum, IntEnum
from fractions import Fraction
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from attnscale import judging_process
from attnscale.judging_process import JudgeError, MarkedTest, as_json, ask
from reports.claims_in_pytest.tests import Received, groups


class Size(IntEnum):
    SMALL = 3


class Mode(int, Enum):
    FAST = 1


class Colour(Enum):
    RED = 1


def marked(*, keywords: dict[str, Any] | None = None, **params: Any) -> MarkedTest:
    mark = pytest.mark.complexity("n", **keywords or {}).mark
    return MarkedTest(test="test_it.py::test_a", ident="", params=params, marks=[mark])


def received(*tests: MarkedTest) -> Received:
    return Received(json.loads(json.dumps([one.to_dict() for one in tests])))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        ("a\ud800ß", "a\ud800ß"),
        (10**30, 10**30),
        (np.int64(8), 8),
        (np.float32(0.5), 0.5),
        (Fraction(1, 4), 0.25),
        (math.inf, math.inf),
        (Size.SMALL, 3),
        (Colour.RED, "Colour.RED"),
        (Mode.FAST, "Mode.FAST"),
        (np.str_("text"), "text"),
    ],
    ids=repr,
)
def test_text_and_numbers_arrive_as_such(value, plain):
    (arrived,) = received(marked(n=1, other=value)).tests

    assert repr(arrived.params["other"]) == repr(plain)


@pytest.mark.parametrize("value", [np.bool_(True), [5, 7], 10**400, 10**5000, object()], ids=type)
def test_anything_else_arrives_as_one_object_each_that_looks_as_it_did(value):
    arrived = received(*(marked(n=n, other=[value, "plain"][n % 2]) for n in (2, 3, 4))).tests

    first, plain, again = (one.params["other"] for one in arrived)
    assert first is again
    assert first not in (value, plain)
    assert repr(first) == as_json(value)["look"]
    assert len(repr(first)) < 100


def test_functions_keep_the_names_that_groups_are_called_by():
    tests = [marked(n=n, call=call) for n in (3, 5) for call in (math.sin, math.cos)]

    arrived = received(*tests).tests

    found = groups(arrived[0].claims[0], arrived)
    assert [dict(group.values) for group in found] == [{"call": "sin"}, {"call": "cos"}]


def test_lists_of_a_mark_arrive_as_lists():
    (arrived,) = received(marked(keywords={"by": ["kind", "extra_info.x"]}, n=1, kind=2)).tests

    assert arrived.claims[0].by == ("kind", "extra_info.x")


def test_a_wrong_mark_has_a_line_at_its_place_and_the_other_tests_arrive():
    wrong = marked(keywords={"tolerance": [0.1]}, n=1)

    found = received(marked(n=1), wrong, marked(n=[2]), marked(n=2))

    assert [one.params["n"] for one in found.tests] == [1, 2]
    assert found.wrong == [
        "",
        "tolerance must lie between 0 and 0.5, got [0.1]; try 0.1",
        'n stands for the parameter "n", which must be a positive number, got [2]',
        "",
    ]


def unknown(*_: object, **__: object) -> None:
    raise FileNotFoundError("no such\npython")


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (unknown, "FileNotFoundError: no such python"),
        (lambda *_, **__: CompletedProcess([], -9, "", ""), "exit code -9"),
        (lambda *_, **__: CompletedProcess([], 1, "", "Traceback\nOh: no\n"), "Oh: no"),
        (lambda *_, **__: CompletedProcess([], 0, "hello", ""), "JSONDecodeError: .*"),
    ],
)
def test_a_process_that_gives_no_answer_is_one_line(monkeypatch, run, told):
    monkeypatch.setattr(judging_process.subprocess, "run", run)

    with pytest.raises(JudgeError) as caught:
        ask("claims", [])

    assert re.fullmatch(told, str(caught.value))
