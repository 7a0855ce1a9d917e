"""Implementations against each other: two right answers differ by no more than both may be off."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch

from bench.checks.probes.trial import Trial
from bench.checks.probes.values import check_output
from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from implementations.interface import Implementation

CHECK = "agrees_with_"


def agreement(
    implementations: Sequence[Implementation], case: CheckCase, *, seed: int = 0
) -> list[CheckResult]:
    """Each against the reference, then each against every other: a result for an ordered pair.

    Who is wrong here is not compared with others, lest they share the blame; pairs with different
    oracles, and implementations that do not take the case, are left out.
    """
    results, found = [], []
    for implementation in implementations:
        if implementation.unsupported(case.under(pass_="forward").case) is not None:
            continue
        trial = Trial(implementation=implementation, case=case, seed=seed)
        try:
            own = list(check_output(trial))
            output = trial.forward(trial.inputs())
        except (Exception, SystemExit):
            continue  # what it raises is said by the checks of its own
        results += own
        if not any(one.bad for one in own):
            found.append((trial, output.detach().to("cpu", torch.float64)))
    for (trial, output), (other, theirs) in permutations(found, 2):
        if trial.implementation.oracle is other.implementation.oracle:
            check = CHECK + other.implementation.name
            allowed = sum(one.expected().allowed["output"] for one in (trial, other))
            results.append(trial.compared(check, output, theirs, allowed))
    return results
