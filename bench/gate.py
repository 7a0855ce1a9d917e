"""Runs the correctness checks in a worker, and says which cells may be timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from bench.situations import CheckCase, check_cases
from bench.supervisor import Worker, WorkerLost, succeeded
from bench.verify import CheckResult
from implementations.case import Case
from implementations.interface import Implementation

CHECK_LIMIT_S = 300.0


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
        """Judge a cell by the checks of its dtype, device, pass and kind of mask."""
        relevant = [
            r for r in self.results if r.implementation == implementation and _covers(r, case)
        ]
        for result in relevant:
            if result.status in ("fail", "error"):
                return Admission(
                    status="incorrect",
                    reason=str(result),
                    max_error=result.error,
                    allowed_error=result.allowed,
                )
        passed = [
            r
            for r in relevant
            if r.status == "pass" and r.error is not None and r.case.case.dtype == case.dtype
        ]
        if not passed:
            reasons = [r.reason for r in relevant if r.reason]
            return Admission(
                status="unsupported", reason=reasons[0] if reasons else "nothing was checked"
            )
        worst = max(passed, key=lambda r: (r.error or 0.0) / (r.allowed or 1.0))
        return Admission(status="pass", max_error=worst.error, allowed_error=worst.allowed)


def run_checks(
    implementations: Sequence[Implementation],
    cases: Sequence[CheckCase],
    worker: Worker,
    *,
    seed: int = 0,
    on_progress: Callable[[str], None] = lambda name: None,
) -> Iterator[CheckResult]:
    """Check every implementation over all cases in the worker, one implementation a request.

    An implementation that takes the worker down is answered with one `error` result.
    """
    plain = [asdict(case) for case in cases]
    for implementation in implementations:
        on_progress(implementation.name)
        try:
            answer = worker.ask(
                "check", limit_s=CHECK_LIMIT_S, spec=implementation.spec, cases=plain, seed=seed
            )
        except WorkerLost as lost:
            answer = {"status": lost.status, "reason": str(lost)}
        if succeeded(answer):
            yield from map(CheckResult.from_plain, answer["results"])
        else:
            yield CheckResult(
                implementation=implementation.name,
                case=cases[0],
                check="all",
                status="error",
                reason=f"checking ended with {answer['status']}: {answer['reason']}",
            )


def cases_for(cells: Sequence[Case]) -> list[CheckCase]:
    """The checks that a set of cells needs: their dtypes, devices, passes and masks."""
    # Rounding to half precision hides what float32 shows, such as a few keys lost.
    kinds = {(dtype, c.device, c.pass_) for c in cells for dtype in {c.dtype, _sharp(c.dtype)}}
    masks = {(c.mask, c.is_causal) for c in cells}
    return [
        case
        for dtype, device, pass_ in sorted(kinds)
        for case in check_cases([dtype], device=device, passes=[pass_], masks=masks)
    ]


def _sharp(dtype: str) -> str:
    """The dtype in which mistakes show: float32 for the half precisions."""
    return "float32" if dtype in ("bfloat16", "float16") else dtype


def _covers(result: CheckResult, case: Case) -> bool:
    if result.check == "all":
        return True
    checked = result.case.case
    return (
        checked.dtype in (case.dtype, _sharp(case.dtype))
        and checked.device == case.device
        and checked.pass_ == case.pass_
        and checked.mask == case.mask
        and checked.is_causal == case.is_causal
    )
