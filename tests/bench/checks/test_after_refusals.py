"""After the checks: implementations against each other, and the failure that is simplest to see."""

from dataclasses import asdict
from typing import Any

import pytest

from bench.checks.results import LOST, UNCHECKED, CheckResult
from bench.checks.run_in_worker import Checker
from bench.checks.run_situation import verify_case
from bench.checks.shrink import LIMIT_S
from bench.checks.situations import check_cases
from bench.process.supervisor import WorkerLost
from implementations.attention.matmul import matmul
from implementations.catalogue import load, load_all
from implementations.specs import from_function

CASES = {one.name: one for one in check_cases(["float32"])}
MINE = from_function(matmul, name="mine", spec="mine.py:mine")
LOSS = "the worker exited with 3"


def outcome(name: str, status: str, case: str = "plain", **values: Any) -> CheckResult:
    given = {"check": "output", **values}
    return CheckResult(implementation=name, case=CASES[case], status=status, **given)


CHOSEN = ("matmul", "query_chunked", "loop", "online_softmax")


def test_only_implementations_that_no_check_found_wrong_are_compared(direct_workers):
    results = [
        outcome("matmul", "pass"),
        outcome("query_chunked", "pass"),
        outcome("query_chunked", "unsupported", "causal"),
        outcome("loop", "pass"),
        outcome("loop", "fail", "causal"),
        outcome("online_softmax", "unsupported"),
    ]

    found = list(
        Checker(worker=direct_workers(threads=1)).compare(
            load_all(CHOSEN), results, dtypes=["float32"]
        )
    )

    for request in direct_workers.operations("compare"):
        assert request["specs"] == ["matmul", "query_chunked"]
    assert {(one.implementation, one.check) for one in found} == {
        ("matmul", "output"),
        ("query_chunked", "output"),
        ("matmul", "agrees_with_query_chunked"),
        ("query_chunked", "agrees_with_matmul"),
    }
    assert {one.area for one in found} == {"agreement"}
    assert {one.case.case.is_causal for one in found} == {False, True}
    assert {one.status for one in found} == {"pass"}


def test_one_right_implementation_is_compared_with_nobody(direct_workers):
    results = [outcome("matmul", "pass"), outcome("loop", "fail")]

    found = Checker(worker=direct_workers(threads=1)).compare(
        load_all(CHOSEN), results, dtypes=["float32"]
    )

    assert list(found) == []
    assert direct_workers.asked == []


def test_a_comparison_that_is_lost_or_fails_leaves_the_others(direct_workers):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if request["case"]["case"]["dtype"] == "float64":
            return None
        if request["case"]["name"] == "agreement":
            raise WorkerLost("crashed", LOSS)
        return {"status": "out_of_memory", "reason": "no more"}

    direct_workers.fault = fault
    results = [outcome("matmul", "pass"), outcome("sdpa", "pass")]

    found = list(
        Checker(worker=direct_workers(threads=1)).compare(
            load_all(["matmul", "sdpa"]), results, dtypes=["float32", "float64"]
        )
    )

    assert {(one.case.name, one.case.case.dtype) for one in found} == {
        ("agreement", "float64"),
        ("agreement_causal", "float64"),
    }


def test_the_time_for_a_comparison_and_for_a_smaller_failure_grows_with_the_limit_of_a_case(
    direct_workers,
):
    worker = direct_workers(threads=1)
    limits: dict[str, list[float]] = {}
    ask = worker.ask

    def timed(operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        limits.setdefault(operation, []).append(limit_s)
        return ask(operation, limit_s=limit_s, **request)

    worker.ask = timed
    direct_workers.fault = lambda *_: {"status": "done", "results": [], "result": None}
    right = [outcome("matmul", "pass"), outcome("sdpa", "pass")]
    wrong = [outcome("mine", "fail", error=2.0, allowed=1.0)]

    for limit_s in (7.0, 11.0):
        chosen = load_all(["matmul", "sdpa"])
        list(
            Checker(worker=worker, case_limit_s=limit_s).compare(chosen, right, dtypes=["float32"])
        )
        Checker(worker=worker, case_limit_s=limit_s).smallest_failure(MINE, wrong)

    assert limits["compare"] == [2 * limit_s for limit_s in (7.0, 7.0, 11.0, 11.0)]
    assert limits["reduce"] == [LIMIT_S + 7.0, LIMIT_S + 11.0]


def smallest(workers: Any, *results: CheckResult) -> CheckResult | None:
    return Checker(worker=workers(threads=1)).smallest_failure(MINE, results)


def test_without_a_failure_there_is_no_smallest_one(direct_workers):
    theirs = outcome("other", "fail")

    assert smallest(direct_workers, outcome("mine", "pass"), theirs) is None
    assert direct_workers.asked == []


def test_the_smallest_failing_case_is_made_smaller_in_the_worker(direct_workers):
    small = outcome("mine", "fail", "single_pair", error=2.0, allowed=1.0)
    direct_workers.fault = lambda *_: {"status": "done", "result": asdict(small)}

    found = smallest(
        direct_workers,
        outcome("mine", "fail", "beyond_blocks", error=3.0, allowed=1.0),
        outcome("mine", "fail", "more_keys", check="grad_key", error=2.0, allowed=1.0),
        outcome("mine", "fail", "two_dimensions", error=2.0, allowed=1.0),
        outcome("mine", "error", "single_key", check=LOST, reason=LOSS),
    )

    assert found == small
    (request,) = direct_workers.operations("reduce")
    assert request["case"]["name"] == "more_keys"
    assert (request["check"], request["spec"]) == ("grad_key", MINE.spec)


def test_a_failure_without_any_keys_is_not_taken_for_the_simplest(direct_workers):
    direct_workers.fault = lambda *_: {"status": "done", "result": None}
    empty = outcome("mine", "fail", "zero_keys", error=2.0, allowed=1.0)
    plain = outcome("mine", "fail", "plain", error=2.0, allowed=1.0)

    assert smallest(direct_workers, empty, plain) == plain


def test_a_failure_that_does_not_come_back_is_shown_as_it_was(direct_workers):
    direct_workers.fault = lambda *_: {"status": "done", "result": None}
    failed = outcome("mine", "fail", error=2.0, allowed=1.0)

    assert smallest(direct_workers, failed) == failed


@pytest.mark.parametrize(
    "answer", [{"status": "crashed", "reason": "KeyError: 'x'"}, WorkerLost("timeout", LOSS)]
)
def test_a_failure_is_shown_as_it_was_where_making_it_smaller_fails(direct_workers, answer):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if isinstance(answer, WorkerLost):
            raise answer
        return answer

    direct_workers.fault = fault
    failed = outcome("mine", "fail", error=2.0, allowed=1.0)

    assert smallest(direct_workers, failed) == failed


def test_what_took_the_worker_down_is_not_tried_again(direct_workers):
    lost = outcome("mine", "error", "beyond_blocks", check=LOST, reason=LOSS)
    left_out = outcome("mine", "error", check=UNCHECKED, reason="not checked: 2 lost")

    assert smallest(direct_workers, left_out, lost) == lost
    assert direct_workers.asked == []


def test_a_real_failure_shrinks_to_a_single_pair(direct_workers, write):
    path = write("twice.py", "def twice(query, key, value): return 2 * value[..., :1, :] + query")
    kernel = load(f"{path}:twice")
    worker = direct_workers(threads=1)
    results = list(Checker(worker=worker).check([kernel], [CASES["many_features"]]))

    found = Checker(worker=worker).smallest_failure(kernel, results)

    assert found is not None
    assert (found.check, found.status) == ("output", "fail")
    assert found.case.size < CASES["many_features"].size / 100
    assert not any(one.bad for one in verify_case(load("matmul"), found.case))
