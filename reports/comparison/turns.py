"""What the cells of a run cost, and what they would have cost without each turn or process.

Disturbance only adds time, and comes in spells. So the quickest readings of a run speak for a cell:
its value is the expected quickest of ten, over all processes. How much that value hangs on a single
turn, or on all turns of one process, is its error: each in turn is left out (the jackknife, Tukey
1958). What slows all of a turn is then the error of all its cells together, as it should be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.records import CELL
from reports.laws.monomials import Floats
from reports.tables.columns import measured_rows, numbers_or_nan
from reports.tables.rounds import TURNS, quiet_end

QUICKEST_OF = 10
Case = tuple[Any, ...]
"""The values of a cell's columns, in the order of `CELL`."""


Block = frozenset[int]
"""Turns that are left out together."""


@dataclass(frozen=True, kw_only=True)
class CellReadings:
    """The readings of one cell in seconds, by the turn in which they were taken.

    `process_of` tells the process of each turn. `workspace_bytes` is NaN where it is unknown.
    """

    of_turns: dict[int, tuple[float, ...]]
    process_of: dict[int, int]
    workspace_bytes: float = math.nan

    @property
    def drawn(self) -> int:
        """Of how many readings the quickest is expected, so that no turn or process is needed."""
        of_turn = Counter({turn: len(readings) for turn, readings in self.of_turns.items()})
        of_process: Counter[int] = Counter()
        for turn, count in of_turn.items():
            of_process[self.process_of[turn]] += count
        blocks = of_process if len(of_process) > 1 else of_turn
        return min(QUICKEST_OF, of_turn.total() - max(blocks.values()))


def readings_of(frame: pd.DataFrame) -> dict[Case, CellReadings]:
    """The cells of a run that were measured in two turns or more.

    `frame` is that of `reports.tables.read`. Tables of others have no turns.
    """
    if TURNS not in frame:
        return {}
    rows = frame[measured_rows(frame) & frame[TURNS].notna()]
    workers = numbers_or_nan(rows, "worker").fillna(0).astype(int)
    columns = (rows[TURNS], workers, numbers_or_nan(rows, "workspace_bytes"))
    found: dict[Case, CellReadings] = {}
    for case, turns, worker, workspace in zip(cases_of(rows), *columns, strict=True):
        if case not in found:  # the workspace is counted, the same in every process
            found[case] = CellReadings(of_turns={}, process_of={}, workspace_bytes=workspace)
        for turn in turns:
            own = found[case].of_turns.get(turn.number, ())
            found[case].of_turns[turn.number] = own + turn.samples_s
            found[case].process_of[turn.number] = worker
    return {case: cell for case, cell in found.items() if len(cell.of_turns) > 1}


def blocks_of(run: Mapping[Case, CellReadings]) -> tuple[list[Block], list[Block]]:
    """The turns of a run one by one, and those of each process together.

    With `--against` a turn has several processes, of which one stands for all. In a run of one
    process its turns stand for processes.
    """
    process_of: dict[int, int] = {}
    for cell in run.values():
        for turn, process in cell.process_of.items():
            process_of[turn] = min(process, process_of.get(turn, process))
    turns = [frozenset({turn}) for turn in sorted(process_of)]
    processes = [
        frozenset(turn for turn, own in process_of.items() if own == process)
        for process in sorted(set(process_of.values()))
    ]
    return turns, processes if len(processes) > 1 else turns


def cases_of(rows: pd.DataFrame) -> list[Case]:
    """What tells the cell of each row apart."""
    columns = rows.reindex(columns=list(CELL)).astype(object)
    return list(columns.where(columns.notna(), None).itertuples(index=False, name=None))


def costs_without(cell: CellReadings, blocks: Sequence[Block], drawn: int) -> tuple[float, Floats]:
    """The logarithm of the cell's seconds, and the same without each of these blocks.

    Nothing changes without a block in which the cell was not read, or in which alone it was.
    """

    def cost(left_out: Block) -> float:
        rest = [one for turn, one in cell.of_turns.items() if turn not in left_out]
        return float(np.log(quiet_end([value for one in rest for value in one], drawn)))

    whole, turns = cost(frozenset()), cell.of_turns.keys()
    parts = [cost(block) if turns & block and turns - block else whole for block in blocks]
    return whole, np.array(parts, dtype=np.float64)
