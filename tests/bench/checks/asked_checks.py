"""Checks in workers that a test makes fail."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from bench.checks.results import CheckResult
from bench.checks.run_in_worker import Checker
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.process.supervisor import WorkerLost
from implementations.attention.matmul import matmul
from implementations.specs import from_function

CASES = {one.name: one for one in check_cases(["float32"])}
MINE = from_function(matmul, name="mine", spec="mine.py:mine")
LOSS = "the worker exited with 3"
Fault = Callable[[str, dict[str, Any]], dict[str, Any] | None]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def cases(*names: str, dtype: str = "float32") -> list[CheckCase]:
    found = [CASES[name] for name in names]
    return [replace(one, case=replace(one.case, dtype=dtype)) for one in found]


def a_pass(case: dict[str, Any]) -> dict[str, Any]:
    """What a worker answers for a right kernel, without calling one."""
    situation = CheckCase.from_plain(json.loads(json.dumps(case)))
    passed = CheckResult(
        implementation="mine", case=situation, check="output", status="pass", error=0.0, allowed=1.0
    )
    return {"status": "done", "results": [asdict(passed)]}


def losing(
    *names: str, status: str = "crashed", takes_s: float = 0.0, clock: Clock | None = None
) -> Fault:
    """Takes the worker down in the named cases, and passes in all others."""

    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation != "check":
            return {"status": "done"}
        if request["case"]["name"] in names or not names:
            if clock is not None:
                clock.now += takes_s
            raise WorkerLost(status, LOSS)
        return a_pass(request["case"])

    return fault


def checked(workers: Any, tried: list[CheckCase], fault: Fault, **options: Any) -> dict[str, Any]:
    """By case: the check and the reason of what is an error, `pass` otherwise."""
    workers.fault = fault
    results = list(Checker(worker=workers(threads=1), **options).check([MINE], tried))
    assert len(results) == len(tried)
    return {
        f"{one.case.name} {one.case.case.dtype}" if dtypes(tried) else one.case.name: (
            "pass" if one.status == "pass" else (one.check, one.reason)
        )
        for one in results
    }


def dtypes(tried: list[CheckCase]) -> bool:
    return len({one.case.dtype for one in tried}) > 1
