"""From marked tests that ran to verdicts: the fits, what the JSON has of them, and the text.

A benchmark is one visit to one cell: however many rounds it had, they share whatever disturbed it,
and only their median (or minimum) counts. A cell has several visits where a test is repeated.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from rich.console import Console

from reports.claims_in_pytest.claims import Claim
from reports.claims_in_pytest.tests import Group, MarkedTest, Outcome, Plain, groups
from reports.judge.fit import fit
from reports.judge.result import Fit, Verdict
from reports.text.labels import label_of
from reports.text.wording import one_line
from reports.verdicts.table import print_verdicts

# What is left out was wanted, so that the fit is told of cells without a value.
_STATUS = {Outcome.MEASURED: "measured", Outcome.FAILED: "crashed"}
_PASSED_OVER = frozenset({Outcome.SKIPPED, Outcome.NOT_RUN})


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A claim on one group of the parametrisations of a test, and its fit.

    `outcomes` counts what came of the tests of the group; `document` is the fit as JSON has it.
    Without a fit, `problem` says why.
    """

    test: str
    params: Mapping[str, Plain]
    claim: Claim
    outcomes: Mapping[Outcome, int]
    fit: Fit | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_refuted(self) -> bool:
        """Whether the claim is refuted."""
        return self.fit is not None and self.fit.verdict is Verdict.REFUTED

    @property
    def is_open(self) -> bool:
        """Whether the claim was put to the test and is neither confirmed nor refuted."""
        if self.fit is None:
            return bool(self.outcomes.keys() - _PASSED_OVER)
        return self.fit.verdict is Verdict.INCONCLUSIVE

    @property
    def left_out(self) -> str:
        """How many tests have no part in the verdict, and why: `2 of 9 (1 failed, 1 skipped)`."""
        without = {o: n for o, n in self.outcomes.items() if o is not Outcome.MEASURED}
        if not without:
            return ""
        why = ", ".join(f"{number} {outcome}" for outcome, number in without.items())
        return f"{sum(without.values())} of {sum(self.outcomes.values())} ({why})"


def judge_tests(tests: Sequence[MarkedTest]) -> list[Judged]:
    """Judge every claim on every group of every test, in order of first appearance.

    A group of which no test was even begun, in a session that stopped early, is not among them.
    """
    members: dict[tuple[str, Claim], list[MarkedTest]] = {}
    for test in tests:
        for claim in test.claims:
            members.setdefault((test.test, claim), []).append(_placed(test, claim))
    return [
        _judged(name, claim, group)
        for (name, claim), of_claim in members.items()
        for group in groups(claim, of_claim)
        if any(test.outcome is not Outcome.NOT_RUN for test in group.tests)
    ]


def complexity_json(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """What the benchmark JSON has under `complexity`: an object a fit, `Fit.to_dict` and whence."""
    return [
        {
            **one.document,
            "test": one.test,
            "params": dict(one.params),
            "sizes": dict(one.claim.sizes),
            "statistic": one.claim.value,
            "outcomes": {str(outcome): number for outcome, number in one.outcomes.items()},
        }
        for one in judged
        if one.fit is not None
    ]


def verdict_text(judged: Sequence[Judged], *, width: int, colour: bool) -> str:
    """The table of verdicts, why those not confirmed are not, and what had no part in them."""
    page = io.StringIO()
    console = Console(
        file=page,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    labelled = list(zip(judged, _labels(judged), strict=True))
    shown = [replace(one.fit, group=label) for one, label in labelled if one.fit is not None]
    if shown:
        print_verdicts(shown, console, subject="test")
    for one, label in labelled:
        if one.problem:
            console.print(f"{label_of(label)}: not judged: {one.problem}")
        elif one.left_out:
            console.print(f"{label_of(label)}: left out {one.left_out}")
    return page.getvalue()


def _placed(test: MarkedTest, claim: Claim) -> MarkedTest:
    """The test; one that was measured at no known size counts as not measured."""
    if test.outcome is Outcome.MEASURED and None in test.sizes(claim):
        return replace(test, outcome=Outcome.SIZELESS)
    return test


def _judged(name: str, claim: Claim, group: Group) -> Judged:
    outcomes = Counter(test.outcome for test in group.tests)
    judged = Judged(test=name, params=group.values, claim=claim, outcomes=outcomes)
    if not outcomes[Outcome.MEASURED]:
        return replace(judged, problem=f"left out {judged.left_out}")
    try:
        fit = _fit(claim, group)
        return replace(judged, fit=fit, document=fit.to_dict())
    except ValueError as problem:
        return replace(judged, problem=one_line(problem))
    except Exception as problem:
        # Benchmarks that took an hour must reach their file, whatever is wrong with the judge.
        what = one_line(f"{type(problem).__name__}: {problem}")
        return replace(judged, problem=f"the judge itself failed ({what}); please report it")


def _fit(claim: Claim, group: Group) -> Fit:
    # The space keeps these columns apart from those to which tables of ours give a meaning.
    columns = {letter: f"size {letter}" for letter, _ in claim.sizes}
    rows = [
        {
            **dict(zip(columns.values(), test.sizes(claim), strict=True)),
            "time_s": test.times.get(claim.value, math.nan),
            "status": _STATUS.get(test.outcome, "skipped"),
        }
        for test in group.tests
        if None not in test.sizes(claim)
    ]
    found = fit(
        pd.DataFrame(rows),
        sizes=columns,
        claim=claim.law,
        confidence=claim.confidence,
        tolerance=claim.tolerance,
        group=group.values,
    )
    return replace(found, sizes=dict(claim.sizes))


def _labels(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """What `reports.verdicts.table` names the rows by: test, group, and the claim if need be."""
    short = {one.test: one.test.rpartition("::")[2] for one in judged}
    shared = Counter(short.values())
    labels = [
        {"implementation": one.test if shared[short[one.test]] > 1 else short[one.test]}
        | {f"param {name}": f"{name}={value}" for name, value in one.params.items()}
        for one in judged
    ]
    texts = [repr(label) for label in labels]
    for one, label, text in zip(judged, labels, texts, strict=True):
        if texts.count(text) > 1:
            label["claim"] = one.claim.law + ", minimum" * (one.claim.value == "min")
    return labels
