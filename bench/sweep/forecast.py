"""Predicts a cell's time and memory from smaller ones, so that hopeless cells are not run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from bench.machine.environment import in_words
from bench.plan.cells import Cell
from bench.timing.built_module import call_bytes
from implementations.case import Case
from implementations.interface import Implementation

MEMORY_SHARE = 0.8
NEAREST = 3
# Of a time that is predicted: what a limit has to be for the call to stay below.
AMPLE = 1.5
SIZES = ("batch", "num_heads", "seq_len", "key_len", "head_dim", "value_dim")

LawValue = Callable[[str, Case], float]
"""The value of a declared law, such as `n^2*d`, at the sizes of a case."""


@dataclass
class _Series:
    """What is known of cases that differ in sizes only.

    Times and workspaces that were seen, workspaces that were counted, and how some cases ended.
    """

    times_s: dict[Case, float] = field(default_factory=dict)
    workspaces: dict[Case, float] = field(default_factory=dict)
    counted: dict[Case, int] = field(default_factory=dict)
    losses: dict[Case, str] = field(default_factory=dict)


class Forecast:
    """Scales what was seen of an implementation by the law it declares.

    The prediction starts from the cases whose law values are the largest below the cell's: smaller
    cells are mostly overhead and would frighten. Of the nearest few the lowest prediction counts,
    since one disturbed reading must not cost a cell.
    """

    def __init__(self, law_value: LawValue) -> None:
        self._law_value = cache(law_value)
        self._held: dict[tuple[str, Case], int] = {}
        self._all: dict[tuple[str, Case], _Series] = defaultdict(_Series)

    def _series(self, implementation: str, case: Case) -> _Series:
        sizes: dict[str, Any] = dict.fromkeys(SIZES, 0)
        return self._all[implementation, replace(case, **sizes)]

    def observe(
        self, implementation: str, case: Case, time_s: float, workspace_bytes: int | None = None
    ) -> None:
        """Learn from a reading; disturbances only add time: the quickest is the cell's own."""
        series = self._series(implementation, case)
        series.times_s[case] = min(time_s, series.times_s.get(case, math.inf))
        if workspace_bytes is not None:
            series.workspaces[case] = workspace_bytes

    def know_workspace(self, implementation: str, case: Case, workspace_bytes: int | None) -> None:
        """Learn how much a call needs at least, counted before any call was made."""
        if workspace_bytes is not None:
            self._series(implementation, case).counted[case] = workspace_bytes

    def observe_loss(self, implementation: str, case: Case, status: str) -> None:
        """Learn that a cell ran out of time or memory: larger ones will too."""
        self._series(implementation, case).losses.setdefault(case, status)

    def work(self, cell: Cell) -> float:
        """The value of a cell's declared law: how much it has to do, beside others of its kind."""
        return self._law_value(cell.implementation.time_law, cell.case)

    def time_s(self, implementation: Implementation, case: Case) -> float | None:
        """Seconds of one call; None before anything was seen."""
        times_s = self._series(implementation.name, case).times_s
        if case in times_s:
            return times_s[case]
        return self._predicted(implementation.time_law, case, times_s)

    def memory_bytes(self, implementation: Implementation, case: Case) -> float | None:
        """Inputs, outputs and workspace of one call; None before a workspace is known."""
        series = self._series(implementation.name, case)
        workspace = self._predicted(implementation.workspace_law, case, series.workspaces)
        workspace = series.counted.get(case) if workspace is None else workspace
        return None if workspace is None else self._held_bytes(implementation, case) + workspace

    def objection(
        self,
        implementation: Implementation,
        case: Case,
        *,
        call_limit_s: float,
        available_bytes: float,
    ) -> str | None:
        """Why the cell should not be run, or None."""
        held = self._held_bytes(implementation, case)
        memory = self.memory_bytes(implementation, case) or held
        if memory > MEMORY_SHARE * available_bytes:
            return (
                f"predicted to need {in_words(memory)}, more than {MEMORY_SHARE:.0%} "
                f"of the {in_words(available_bytes)} that a process may take"
            )
        for smaller, status in self._series(implementation.name, case).losses.items():
            is_smaller = all(getattr(smaller, size) <= getattr(case, size) for size in SIZES)
            if smaller != case and is_smaller:
                return f"a smaller cell, {smaller}, ended with {status}"
        seconds = self.time_s(implementation, case)
        if seconds is not None and seconds > call_limit_s:
            return (
                f"predicted {seconds:.2g} s a call, over the limit of {call_limit_s:g} s; "
                f"--call-limit {_ample(seconds):g}s measures it"
            )
        return None

    def _held_bytes(self, implementation: Implementation, case: Case) -> int:
        """What a call is given and gives back; a user's layer is taken for one without parameters.

        It is built in measuring processes only.
        """
        key = implementation.name, case
        if key not in self._held:
            self._held[key] = call_bytes(implementation, case)
        return self._held[key]

    def _predicted(self, law: str, case: Case, seen: Mapping[Case, float]) -> float | None:
        """The lowest of what the nearest cases that were seen predict by the law."""
        work = self._law_value(law, case)
        works = {other: self._law_value(law, other) for other in seen}
        ordered = sorted(seen, key=lambda other: (works[other], other.pairs))
        below = [other for other in ordered if works[other] <= work]
        nearest = below[-NEAREST:] or ordered[:1]
        ratios = {other: work / works[other] if works[other] > 0 else math.inf for other in nearest}
        return min((seen[other] * ratio for other, ratio in ratios.items()), default=None)


def _ample(seconds: float) -> float:
    """A limit above what is predicted, in one figure."""
    step = 10.0 ** math.floor(math.log10(seconds))
    return step * math.ceil(AMPLE * seconds / step)
