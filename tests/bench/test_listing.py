"""Implementations and check results as people and programs read them."""

import io
from dataclasses import replace

import torch
from rich.console import Console

from bench.listing import MOST_FAILURES, checks_table, declined, failing, listing, listing_table
from bench.situations import check_cases
from bench.verify import CheckResult
from implementations.catalogue import catalogue

CASE = check_cases(["float32"])[0]


def result(name: str, status: str, **values) -> CheckResult:
    return CheckResult(implementation=name, case=CASE, check="output", status=status, **values)


def shown(table) -> str:
    output = io.StringIO()
    Console(file=output, width=160).print(table)
    return output.getvalue()


def test_an_entry_has_exactly_the_keys_of_the_contract():
    assert list(listing(catalogue()["matmul"])) == [
        "name",
        "kind",
        "title",
        "source",
        "time_law",
        "workspace_law",
        "supports",
        "available",
        "reason",
    ]


def test_what_needs_a_device_that_is_missing_says_which(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cudnn = listing(catalogue()["sdpa_cudnn"])
    assert (cudnn["available"], cudnn["reason"]) == (False, "needs cuda")
    matmul = listing(catalogue()["matmul"])
    assert (matmul["available"], matmul["reason"]) == (True, None)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert listing(catalogue()["sdpa_cudnn"])["available"]


def test_the_table_of_implementations_names_every_one_with_its_laws():
    text = shown(listing_table([listing(one) for one in catalogue().values()]))

    for name in catalogue():
        assert name in text
    assert "n^2*d" in text


def test_the_table_of_checks_counts_and_shows_how_near_the_nearest_was():
    text = shown(
        checks_table(
            [
                result("matmul", "pass", error=1.0, allowed=4.0),
                result("matmul", "pass", error=3.0, allowed=4.0),
                result("matmul", "fail", error=None, allowed=4.0),
                result("loop", "unsupported", reason="no"),
            ]
        )
    )

    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["matmul"] == ["2", "1", "0", "0", "0.75"]
    assert rows["loop"] == ["0", "0", "1", "0", "–"]


def test_failures_are_a_line_each_and_reasons_come_once():
    results = [
        result("matmul", "fail", error=1.0, allowed=0.5),
        result("loop", "error", reason="raised ValueError: no"),
        result("sdpa", "pass", error=0.0, allowed=0.5),
        result("loop", "unsupported", reason="no gradients"),
        replace(result("loop", "unsupported", reason="no gradients"), check="grad_key"),
    ]

    assert failing(results) == [f"fail: {results[0]}", f"error: {results[1]}"]
    assert declined(results) == ["no gradients"]


def test_many_failures_of_one_implementation_leave_room_for_those_of_others():
    many = [result("matmul", "fail", error=1.0, allowed=0.5)] * (MOST_FAILURES + 7)

    lines = failing([*many, result("sdpa", "fail", error=1.0, allowed=0.5)])

    assert lines[MOST_FAILURES] == "matmul: 7 more checks failed (verify --json)"
    assert lines[-1].startswith("fail: sdpa: output in case plain")
    assert len(lines) == MOST_FAILURES + 2
