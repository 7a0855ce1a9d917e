"""What the cells of a run cost, and what they would have cost without each turn of its processes.

Disturbance only adds time, and comes in spells. So the quickest readings of a run speak for a cell:
its value is the expected quickest of ten, over all processes. How much that value hangs on a single
turn is its error: each turn in turn is left out (the jackknife, Tukey 1958). What slows all of a
turn is then the error of all its cells together, as it should be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.records import CELL, Record
from reports.laws.monomials import Floats
from reports.tables.rounds import quiet_end

QUICKEST_OF = 10
Case = tuple[Any, ...]
"""The values of a cell's columns, in the order of `CELL`."""


@dataclass(frozen=True, kw_only=True)
class CellReadings:
    """The readings of one cell in seconds, by the turn in which they were taken."""

    of_turns: Mapping[int, tuple[float, ...]]
    workspace_bytes: int | None

    @property
    def drawn(self) -> int:
        """Of how many readings the quickest is expected, so that no turn is needed for it."""
        counts = [len(readings) for readings in self.of_turns.values()]
        return min(QUICKEST_OF, sum(counts) - max(counts))


def readings_of(records: Sequence[Record]) -> dict[Case, CellReadings]:
    """The cells of a run that were measured in two turns or more."""
    by_cell: dict[Case, list[Record]] = {}
    for record in records:
        if record.status == "measured" and record.samples_s and record.round is not None:
            by_cell.setdefault(case_of(record), []).append(record)
    found = {}
    for case, own in by_cell.items():
        of_turns: dict[int, tuple[float, ...]] = {}
        for record in own:
            turn = int(record.round or 0)
            of_turns[turn] = of_turns.get(turn, ()) + tuple(record.samples_s or ())
        if len(of_turns) > 1:
            workspaces = [one.workspace_bytes for one in own if one.workspace_bytes is not None]
            found[case] = CellReadings(
                of_turns=of_turns,
                workspace_bytes=int(np.median(workspaces)) if workspaces else None,
            )
    return found


def case_of(record: Record) -> Case:
    """What tells the record's cell apart."""
    return tuple(getattr(record, "pass_" if name == "pass" else name) for name in CELL)


def costs_without(cell: CellReadings, turns: Sequence[int], drawn: int) -> tuple[float, Floats]:
    """The logarithm of the cell's seconds, and the same without each of these turns.

    Without a turn in which the cell was not read nothing changes.
    """

    def cost(left_out: int | None) -> float:
        rest = [one for turn, one in cell.of_turns.items() if turn != left_out]
        return float(np.log(quiet_end([value for one in rest for value in one], drawn)))

    whole = cost(None)
    parts = [cost(turn) if turn in cell.of_turns else whole for turn in turns]
    return whole, np.array(parts, dtype=np.float64)
