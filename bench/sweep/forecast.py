"""Predicts a cell's time and memory from smaller ones, so that hopeless cells are not run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from bench.plan.cells import Cell
from implementations.case import Case
from implementations.interface import Implementation

MEMORY_SHARE = 0.8
NEAREST = 3

LawValue = Callable[[str, Case], float]
"""The value of a declared law, such as `n^2*d`, at the sizes of a case."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one measured cell took."""

    case: Case
    time_s: float
    workspace_bytes: int | None


class Forecast:
    """Scales what was seen of an implementation by the law it declares.

    The prediction starts from the observations whose law values are the largest below the cell's:
    smaller cells are mostly overhead and would frighten. Of the nearest few the lowest prediction
    counts, since one disturbed reading must not cost a cell.
    """

    def __init__(self, law_value: LawValue) -> None:
        self._law_value = cache(law_value)
        self._seen: dict[tuple[str, Case], dict[Case, Observation]] = defaultdict(dict)
        self._lost: dict[tuple[str, Case], list[tuple[Case, str]]] = defaultdict(list)

    def observe(self, implementation: str, observation: Observation) -> None:
        """Learn from a measured cell."""
        seen = self._seen[implementation, _conditions(observation.case)]
        before = seen.get(observation.case)
        if before is not None:
            # Disturbances only add time: of several readings the quickest is the cell's own.
            observation = replace(observation, time_s=min(observation.time_s, before.time_s))
            if observation.workspace_bytes is None:
                observation = replace(observation, workspace_bytes=before.workspace_bytes)
        seen[observation.case] = observation

    def observe_loss(self, implementation: str, case: Case, status: str) -> None:
        """Learn that a cell ran out of time or memory: larger ones will too."""
        self._lost[implementation, _conditions(case)].append((case, status))

    def work(self, cell: Cell) -> float:
        """The value of a cell's declared law: how much it has to do, beside others of its kind."""
        return self._law_value(cell.implementation.time_law, cell.case)

    def time_s(self, implementation: Implementation, case: Case) -> float | None:
        """Seconds of one call; None before anything was seen."""
        law = implementation.time_law
        own = self._seen[implementation.name, _conditions(case)].get(case)
        if own is not None:
            return own.time_s
        near = self._nearest(implementation, case, law)
        return min((one.time_s * self._ratio(law, case, one.case) for one in near), default=None)

    def memory_bytes(self, implementation: Implementation, case: Case) -> float | None:
        """Inputs, outputs and workspace of one call; None before a workspace was seen."""
        law = implementation.workspace_law
        near = self._nearest(implementation, case, law, with_workspace=True)
        needs = [(one.workspace_bytes or 0) * self._ratio(law, case, one.case) for one in near]
        return case.tensor_bytes + min(needs) if needs else None

    def objection(
        self,
        implementation: Implementation,
        case: Case,
        *,
        call_limit_s: float,
        available_bytes: float,
    ) -> str | None:
        """Why the cell should not be run, or None."""
        for smaller, status in self._lost[implementation.name, _conditions(case)]:
            if smaller != case and _fits_within(smaller, case):
                return f"a smaller cell, {smaller}, ended with {status}"
        memory = self.memory_bytes(implementation, case) or case.tensor_bytes
        if memory > MEMORY_SHARE * available_bytes:
            return (
                f"predicted to need {_gib(memory)}, more than {MEMORY_SHARE:.0%} "
                f"of the {_gib(available_bytes)} that a process may take"
            )
        seconds = self.time_s(implementation, case)
        if seconds is not None and seconds > call_limit_s:
            return f"predicted {seconds:.2g} s a call, over the limit of {call_limit_s:g} s"
        return None

    def _nearest(
        self, implementation: Implementation, case: Case, law: str, *, with_workspace: bool = False
    ) -> list[Observation]:
        seen = [
            one
            for one in self._seen[implementation.name, _conditions(case)].values()
            if not with_workspace or one.workspace_bytes is not None
        ]
        value = self._law_value(law, case)
        below = [one for one in seen if self._law_value(law, one.case) <= value]
        below.sort(key=lambda one: (self._law_value(law, one.case), one.case.pairs))
        return below[-NEAREST:] or sorted(seen, key=lambda one: self._law_value(law, one.case))[:1]

    def _ratio(self, law: str, case: Case, base: Case) -> float:
        low = self._law_value(law, base)
        return self._law_value(law, case) / low if low > 0 else math.inf


def _conditions(case: Case) -> Case:
    """The case without its sizes: what a series has in common."""
    return replace(case, seq_len=0, key_len=0, head_dim=0, value_dim=0, num_heads=0, batch=0)


def _fits_within(smaller: Case, larger: Case) -> bool:
    names = ("batch", "num_heads", "seq_len", "key_len", "head_dim", "value_dim")
    return all(getattr(smaller, name) <= getattr(larger, name) for name in names)


def _gib(size: float) -> str:
    return f"{size / 2**30:.2g} GiB"
