"""Implementations against each other: two right answers differ by no more than both may be off."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch

from bench.probes.trial import Trial
from bench.results import CheckResult
from bench.situations import CheckCase
from implementations.interface import Implementation

CHECK = "agrees_with_"


def agreement(
    implementations: Sequence[Implementation], case: CheckCase, *, seed: int = 0
) -> list[CheckResult]:
    """One result for every ordered pair that can be compared, under the name of the first.

    Pairs with different oracles, and implementations that do not take the case, are left out.
    """
    found = []
    for implementation in implementations:
        if implementation.unsupported(case.to_forward().case) is None:
            trial = Trial(implementation=implementation, case=case, seed=seed)
            try:
                output = trial.forward(trial.inputs())
            except Exception:
                continue  # what it raises is said by the checks of its own
            if trial.objection(output, trial.inputs()) is None:
                found.append((trial, output.detach().to("cpu", torch.float64)))
    return [
        trial.compared(
            CHECK + other.implementation.name,
            output,
            theirs,
            trial.expected().allowed["output"] + other.expected().allowed["output"],
        )
        for (trial, output), (other, theirs) in permutations(found, 2)
        if trial.implementation.oracle is other.implementation.oracle
    ]
