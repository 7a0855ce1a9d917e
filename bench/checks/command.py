"""What `attnscale verify` does: chooses, checks, compares, and shows what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from rich.console import Console

from bench.checks import tables
from bench.checks.results import LOST, CheckResult, summary
from bench.checks.run_in_worker import CASE_LIMIT_S, Checker
from bench.checks.situation import CheckCase
from bench.checks.situations import asked_of, check_cases, first_of_each
from bench.checks.snippet import snippet
from bench.machine.environment import usable_cores
from bench.plan.arguments import check_device
from bench.process.kernels import Kernels
from bench.process.supervisor import Worker
from implementations.case import DTYPES
from implementations.interface import Implementation, Kind
from implementations.naming import in_this_layout
from implementations.specs import in_layout


@dataclass(frozen=True, kw_only=True)
class Verified:
    """All results, and the smallest failure of whoever failed, as code to paste."""

    results: Sequence[CheckResult]
    dtypes: Sequence[str]
    reproductions: Sequence[tuple[CheckResult, str]] = field(default=())
    hints: Sequence[str] = ()

    @property
    def failed(self) -> bool:
        """Whether any check failed or raised."""
        return any(one.bad for one in self.results)

    @property
    def empty(self) -> bool:
        """Whether nothing could be checked at all."""
        return all(one.status == "unsupported" for one in self.results)

    def to_dict(self) -> dict[str, Any]:
        """The document of `verify --json`."""
        rows = [one.to_dict() for one in self.results]
        return {"results": rows, "summary": summary(self.results)}

    def print(self, console: Console) -> None:
        """The matrix, what failed and how to see it again, what is unsupported and why."""
        console = tables.wide_console(console)
        console.print(tables.checks_table(self.results))

        def say(*lines: str) -> None:
            for line in lines:
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        say(tables.LEGEND)
        table = tables.agreement_table(self.results, self.dtypes[0])
        if table is not None:
            say("")
            console.print(table)
        say(*tables.failure_lines(self.results), *self.hints, *tables.remarks(self.results))
        say(*(f"unsupported: {reason}" for reason in tables.unsupported_reasons(self.results)))
        for result, code in self.reproductions:
            name = result.implementation
            say(f"\nThe smallest failing case found for {name}; paste to see it:\n", code)
        counts = ", ".join(f"{number} {name}" for name, number in summary(self.results).items())
        say(f"\n{len(self.results)} checks: {counts}")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The options of `verify`; empty and None mean not given."""

    names: Sequence[str] = ()
    specs: Sequence[str] = ()
    layout: str = "bhsd"
    device: str | None = None
    dtypes: Sequence[str] = ()
    pass_: str = "forward_backward"
    time_limit_s: float = CASE_LIMIT_S
    seed: int = 0

    def run(
        self,
        on_progress: Callable[[str, int, int], None] = lambda name, done, total: None,
        kernels: Kernels | None = None,
    ) -> Verified:
        """Check everything that was chosen, in the process of `kernels`, which ends with this.

        Raises:
            CatalogueError: an implementation that cannot be found or loaded.
            CaseError: no such dtype or pass.
            PlanError: no such device.

        """
        device = check_device(self.device or "cpu")
        dtypes = tuple(dict.fromkeys(self.dtypes or DTYPES))
        asked: dict[str, Any] = {"device": device, "passes": [self.pass_], "asked": get_args(Kind)}
        cases = check_cases(dtypes, **asked)
        kernels = kernels or Kernels(Worker(threads=usable_cores()))
        with kernels.worker as worker:
            chosen = kernels.chosen(self.names, self.specs, self.layout)
            checker = Checker(worker=worker, seed=self.seed, case_limit_s=self.time_limit_s)
            found = list(checker.check(chosen, cases, on_progress))
            found += checker.compare(chosen, found, dtypes=dtypes, device=device)
            hints = [_hint(one, found, cases, checker) for one in chosen]
            failures = [(one, checker.smallest_failure(one, found)) for one in chosen]
        shown = [
            (smallest, snippet(one, smallest, seed=self.seed))
            for one, smallest in failures
            if smallest is not None
        ]
        told = [hint for hint in hints if hint is not None]
        return Verified(results=found, dtypes=dtypes, reproductions=shown, hints=told)


def _hint(
    implementation: Implementation,
    results: Sequence[CheckResult],
    cases: Sequence[CheckCase],
    checker: Checker,
) -> str | None:
    """That a kernel was asked little, or that one which is wrong is right in another layout."""
    if implementation.compiles:
        own = asked_of(implementation, cases)
        return (
            f"{implementation.name} compiles anew in every situation, and was asked "
            f"{len(first_of_each(own))} of {len(own)}; the code that is timed is checked where "
            "it is timed"
        )
    bad = [one for one in results if one.bad and one.implementation == implementation.name]
    lost = any(one.check == LOST for one in bad)
    if not bad or lost or implementation.declared or implementation.layout != "bhsd":
        return None
    turned = in_layout(implementation, "bshd")
    (spec,) = in_this_layout([implementation.spec], "bshd")
    turned = replace(turned, spec=spec)
    plain = [one for one in cases if one.name.startswith("plain")]
    if any(one.status != "pass" for one in checker.check([turned], plain)):
        return None
    return f"{implementation.name} is right for (batch, seq, heads, dim): --layout bshd"
