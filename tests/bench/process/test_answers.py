"""An answer that a kernel wrote, or lost a part of, says so and breaks nothing."""

import math
from typing import Any

import pytest

from bench.process.answers import checked_answer
from bench.process.supervisor import succeeded

VISITED = {"status": "measured", "time_s": 2e-3, "calls": 2}


def test_a_sound_answer_is_left_as_it_is() -> None:
    for operation, answer in (
        ("visit", VISITED),
        ("visit", {**VISITED, "graph_time_s": None}),
        ("check", {"status": "done", "results": []}),
        ("rest", {"status": "done"}),
        ("trial", {"status": "unsupported", "reason": "not today"}),
    ):
        assert checked_answer(operation, answer) == answer


@pytest.mark.parametrize("answer", [None, [], "done", 7, {}, {"status": "fine"}, {"status": None}])
def test_what_is_no_answer_is_a_crash_with_a_reason(answer: object) -> None:
    found = checked_answer("visit", answer)

    assert found["status"] == "crashed"
    assert found["reason"].startswith("the measuring process answered with ")


@pytest.mark.parametrize(
    ("operation", "lacking"),
    [("visit", "time_s"), ("visit", "calls"), ("trial", "workspace_bytes"), ("check", "results")],
)
def test_an_answer_that_lacks_a_part_says_which(operation: str, lacking: str) -> None:
    whole = {**VISITED, "workspace_bytes": 7, "results": []}
    del whole[lacking]

    found = checked_answer(operation, whole)

    assert (found["status"], found["reason"]) == (
        "crashed",
        f"the measuring process answered with no {lacking}",
    )


@pytest.mark.parametrize("value", [0.0, -1e-3, math.nan, math.inf, "2", None])
@pytest.mark.parametrize("name", ["time_s", "calls"])
def test_a_time_that_is_none_is_never_a_reading(name: str, value: Any) -> None:
    found = checked_answer("visit", {**VISITED, name: value})

    assert not succeeded(found)
    assert found["reason"].startswith(f"the measuring process answered with {name} = ")


def test_a_failure_without_a_word_has_a_reason() -> None:
    assert checked_answer("visit", {"status": "crashed"})["reason"] == "without a word"
