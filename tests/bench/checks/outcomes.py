"""Results of checks that a test makes up."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from implementations.attention.matmul import matmul
from implementations.specs import from_function

MINE = from_function(matmul, name="mine")
DECLARED = replace(MINE, declared=True)
SAID = "raised ValueError: no"
BROKEN = "raised RuntimeError: out of range"


def result(case: CheckCase, status: str, **values: Any) -> CheckResult:
    given = {"check": "output", **values}
    return CheckResult(implementation="mine", case=case, status=status, **given)


def reasons(results: Sequence[CheckResult]) -> set[str | None]:
    return {one.reason for one in results if one.status == "unsupported"}


def is_empty(case: CheckCase) -> bool:
    return 0 in (*case.leading, case.case.seq_len, case.case.key_len)
