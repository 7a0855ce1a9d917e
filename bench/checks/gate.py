"""Says which cells may be timed, by the checks that cover them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases, kind_of
from implementations.case import Case
from implementations.interface import Kind


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Whether cells of one kind may be timed: `pass`, `incorrect` or `unsupported`.

    The errors are those of the check that came nearest to what is allowed, or beyond it.
    """

    status: str
    reason: str | None = None
    max_error: float | None = None
    allowed_error: float | None = None


class Gate:
    """What the checks said, asked by implementation and case."""

    def __init__(self, results: Iterable[CheckResult]) -> None:
        self.results = tuple(results)

    def admits(self, implementation: str, case: Case) -> Admission:
        """Judge a cell by the checks of its dtype, device, pass, and what is seen of whom."""
        relevant = [
            r for r in self.results if r.implementation == implementation and _covers(r, case)
        ]
        bad = next((r for r in relevant if r.bad), None)
        if bad is not None:
            errors = {"max_error": bad.error, "allowed_error": bad.allowed}
            return Admission(status="incorrect", reason=str(bad), **errors)
        compared = [r for r in relevant if r.status == "pass" and r.ratio is not None]
        passed = [r for r in compared if r.case.case.dtype == case.dtype]
        if not passed or (case.is_backward and not any("grad_" in r.check for r in passed)):
            reasons = (r.reason for r in relevant if r.status == "unsupported" and r.reason)
            return Admission(status="unsupported", reason=next(reasons, "nothing was checked"))
        worst = max(passed, key=CheckResult.severity)
        return Admission(status="pass", max_error=worst.error, allowed_error=worst.allowed)


def cases_for(cells: Sequence[Case], asked: Kind = "core") -> list[CheckCase]:
    """The checks that cells need: their dtypes, devices, passes, masks and windows.

    `asked` is the kind of implementation that the cells are of.

    Dropout is never timed, and whether it is right does not matter to what is.
    """
    # Rounding to half precision hides what float32 shows, such as a few keys lost.
    kinds = {(dtype, c.device, c.pass_) for c in cells for dtype in {c.dtype, _sharp(c.dtype)}}
    seen = {kind_of(c) for c in cells}
    found = chain.from_iterable(
        check_cases([dtype], device=device, passes=[pass_], kinds=seen, asked=[asked])
        for dtype, device, pass_ in sorted(kinds)
    )
    return [case for case in found if case.area != "dropout"]


def _sharp(dtype: str) -> str:
    """The dtype in which mistakes show: float32 for the half precisions."""
    return "float32" if dtype in ("bfloat16", "float16") else dtype


def _covers(result: CheckResult, case: Case) -> bool:
    checked = result.case.case
    return (
        checked.dtype in (case.dtype, _sharp(case.dtype))
        and checked.device == case.device
        and checked.pass_ == case.pass_
        and kind_of(checked) == kind_of(case)
    )
