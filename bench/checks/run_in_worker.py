"""Runs the correctness checks in a worker; a kernel that takes it down does not end the rest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.checks.refusals import mark_refusals_unsupported, witnesses
from bench.checks.results import LOST, UNCHECKED, CheckResult, Status
from bench.checks.run_situation import unsupported_reason, verify_case
from bench.checks.shrink import LIMIT_S
from bench.checks.situation import CheckCase
from bench.checks.situations import agreement_cases, asked_of, first_of_each
from bench.process.answers import POISONED
from bench.process.described import Described
from bench.process.supervisor import IMPORT_LIMIT_S, Worker, WorkerLost, succeeded, try_ask
from implementations.interface import Implementation

# The slowest case of the slowest implementation takes about a second.
CASE_LIMIT_S = 10.0
# It is one of computing: on a busy machine, or asleep, a case may take so many times as long.
PATIENCE = 5.0
# What the checks and the visits of a kernel that compiles may take beyond: each call of a new size
# compiles anew, and large graphs take tens of seconds.
COMPILING_LIMIT_S = 120.0
# Whoever loses the worker so often in one area will lose it there always.
MOST_LOSSES = 2
# How long a kernel may keep us waiting in processes that are then lost.
PATIENCE_S = 60.0
Place = tuple[str, ...]
EVERYWHERE: Place = ()


@dataclass(frozen=True, kw_only=True)
class Checker:
    """Runs checks in a worker; a case that computes longer than `case_limit_s` is given up."""

    worker: Worker
    seed: int = 0
    case_limit_s: float = CASE_LIMIT_S
    clock: Callable[[], float] = time.monotonic

    def check(
        self,
        implementations: Sequence[Implementation],
        cases: Sequence[CheckCase],
        on_progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    ) -> Iterator[CheckResult]:
        """Check every implementation over all cases for its kind, one case a request.

        Before each case `on_progress` is told the name, and how many cases are done of how many.

        One that compiles in the first call of every size is asked `first_of_each` kind only: what
        it is timed with is compiled anew, and is checked there.

        A case that takes the worker down, or too long, is an `error`, and the others go on. What
        is then left out, because it would lose the worker again, is an `error` too.
        """
        several = len(implementations)
        for place, implementation in enumerate(implementations, start=1):
            told = implementation.name + (f" ({place} of {several})" if several > 1 else "")
            if isinstance(implementation, Described) and implementation.loss is not None:
                _, reason = implementation.loss
                yield _result(implementation, cases[0], LOST, "error", reason)
                continue
            checking = _Checking(implementation, self)
            asked = asked_of(implementation, cases)
            asked = first_of_each(asked) if implementation.compiles else asked
            found: list[CheckResult] = []
            for done, case in enumerate(asked):
                on_progress(told, done, len(asked))
                found += checking.results(case)
            elsewhere = [
                one for case in witnesses(implementation, found) for one in checking.results(case)
            ]
            results = mark_refusals_unsupported(implementation, found, elsewhere)
            yield from results
            changed = isinstance(implementation, Described) and implementation.changed_at_import
            if changed and any(one.status != "unsupported" for one in results):
                told = f"importing {implementation.name} changed {' and '.join(changed)}"
                restored = f"{told}; it was put back"
                yield _result(implementation, cases[0], "import", "pass", restored)

    def compare(
        self,
        implementations: Sequence[Implementation],
        results: Sequence[CheckResult],
        *,
        dtypes: Iterable[str],
        device: str = "cpu",
    ) -> Iterator[CheckResult]:
        """Compare with each other all cores that no check has found wrong."""
        wrong = {one.implementation for one in results if one.bad}
        right = {one.implementation for one in results if one.status == "pass"} - wrong
        chosen = [one for one in implementations if one.kind == "core" and one.name in right]
        if len(chosen) < 2:
            return
        limit_s = self.case_limit_s * len(chosen) + compiling_s(chosen)
        specs = [one.spec for one in chosen]
        for case in agreement_cases(dtypes, device=device):
            asked = {"specs": specs, "case": asdict(case), "seed": self.seed}
            answer = try_ask(self.worker, "compare", limit_s=limit_s, patience=PATIENCE, **asked)
            if answer is not None:  # else one of them is unwell; its own checks are what counts
                yield from map(CheckResult.from_plain, answer["results"])

    def smallest_failure(
        self, implementation: Implementation, results: Sequence[CheckResult]
    ) -> CheckResult | None:
        """The failing check of the implementation in the smallest situation that can be found.

        Those that took the worker down are not made smaller: each attempt would do so again.
        """
        own = [one for one in results if one.implementation == implementation.name and one.bad]
        if not own:
            return None
        small = min(own, key=lambda one: one.telling)
        if small.check in (LOST, UNCHECKED):
            return small
        answer = try_ask(
            self.worker,
            "reduce",
            limit_s=LIMIT_S + self.case_limit_s,
            patience=PATIENCE,
            spec=implementation.spec,
            case=asdict(small.case),
            check=small.check,
            seed=self.seed,
        )
        reduced = answer and answer["result"]
        return CheckResult.from_plain(reduced) if reduced else small


def compiling_s(implementations: Iterable[Implementation]) -> float:
    """Seconds that an answer may take beyond its limit, for those that compile."""
    return COMPILING_LIMIT_S * sum(one.compiles for one in implementations)


@dataclass
class _Checking:
    """The checks of one implementation, and what they have cost so far."""

    implementation: Implementation
    checker: Checker
    loaded: bool = False
    printed: bool = False
    lost_s: float = 0.0
    losses: Counter[Place] = field(default_factory=Counter)
    answered: Counter[Place] = field(default_factory=Counter)

    def results(self, case: CheckCase) -> list[CheckResult]:
        """What is found in a situation; a lost process is a result too."""
        if unsupported_reason(self.implementation, case) is not None:
            return verify_case(self.implementation, case)  # which does not call it
        objection = self._objection(case)
        if objection is not None:
            reason = f"not checked: {objection}"
            return [_result(self.implementation, case, UNCHECKED, "error", reason)]
        began = self.checker.clock()
        try:
            answer = self._ask(case)
        except WorkerLost as lost:
            self.loaded = False
            self.lost_s += self.checker.clock() - began
            # A hang costs seconds in every dtype; a crash is soon over, and may be one dtype's.
            hung = lost.status == "timeout"
            place = _place(case) if hung else (*_place(case), case.case.dtype)
            self.losses.update([EVERYWHERE, _conditions(case), place])
            reason = f"{lost} (--time-limit)" if hung else str(lost)
            return [_result(self.implementation, case, LOST, "error", reason)]
        if not succeeded(answer):
            self.loaded = self.loaded and POISONED not in answer["reason"]
            reason = f"{answer['status']}: {answer['reason']}"
            return [_result(self.implementation, case, LOST, "error", reason)]
        self.answered.update([EVERYWHERE, _conditions(case)])
        results = [CheckResult.from_plain(row) for row in answer["results"]]
        if any(POISONED in (one.reason or "") for one in results):
            self.checker.worker.stop()
            self.loaded = False
        if answer.get("printed") and not self.printed:
            self.printed = True
            said = answer["printed"].partition("\n")[0]
            reason = f"{self.implementation.name} printed to stdout: {said}"
            results.append(_result(self.implementation, case, "stdout", "pass", reason))
        return results

    def _ask(self, case: CheckCase) -> dict[str, Any]:
        spec, checker = self.implementation.spec, self.checker
        if not self.loaded:  # the time that an import needs is not the check's
            checker.worker.ask("load", limit_s=IMPORT_LIMIT_S, spec=spec)
            self.loaded = True
        limit_s = checker.case_limit_s + compiling_s([self.implementation])
        asked = {"spec": spec, "case": asdict(case), "seed": checker.seed}
        return checker.worker.ask("check", limit_s=limit_s, patience=PATIENCE, **asked)

    def _objection(self, case: CheckCase) -> str | None:
        """Why the case had better not be tried."""
        if self.lost_s > PATIENCE_S:
            return f"{self.losses[EVERYWHERE]} processes were lost before"
        for place, where in ((EVERYWHERE, ""), (_conditions(case), " under these conditions")):
            if self.losses[place] >= MOST_LOSSES and not self.answered[place]:
                return f"{self.losses[place]} processes were lost{where}"
        for place in (_place(case), (*_place(case), case.case.dtype)):
            if self.losses[place] >= MOST_LOSSES:
                return f"{self.losses[place]} processes were lost in {', '.join(place)}"
        return None


def _result(
    implementation: Implementation, case: CheckCase, check: str, status: Status, reason: str
) -> CheckResult:
    return CheckResult(
        implementation=implementation.name, case=case, check=check, status=status, reason=reason
    )


def _place(case: CheckCase) -> Place:
    return case.area, *_conditions(case)


def _conditions(case: CheckCase) -> Place:
    causal = "causal" if case.case.is_causal else "not causal"
    return causal, f"mask {case.case.mask}"
