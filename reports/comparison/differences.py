"""Cells that are compared, and the error of whatever is computed from their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.records import CELL
from reports.comparison.turns import Case, CellReadings, costs_without
from reports.laws.monomials import Floats


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Cells that were measured twice, as base and as new.

    `cells` has a row for each: the case (its `implementation` is the new one's), `base_s` and
    `new_s` in seconds, and the workspaces `base_bytes` and `new_bytes`. `logs` are the logarithms
    of new / base. `without` has a matrix for each run: a row a cell, and for each turn
    of that run the same logarithm without the turn. `turns` has in how many turns of that run each
    cell was read.
    """

    cells: pd.DataFrame
    logs: Floats
    without: tuple[Floats, ...]
    turns: tuple[Floats, ...]

    def __len__(self) -> int:
        return int(self.logs.size)

    def freedom(self, weights: Floats) -> Floats:
        """The degrees of freedom of each row's variance, by the turns in which its cells were read.

        Of several cells the mean counts, by their weights.
        """
        parts = abs(weights) / abs(weights).sum(axis=1, keepdims=True)
        found = np.zeros(len(weights))
        for turns in self.turns:
            found += parts @ turns - 1
        return found

    def variances(self, weights: Floats) -> Floats:
        """The variance of each row of `weights` times `logs`, by the jackknife over turns."""
        found = np.zeros(len(weights))
        for one in self.without:
            replicates, turns = weights @ one, one.shape[1]
            found += (turns - 1) * replicates.var(axis=1)
        return found


def between_runs(
    base: Mapping[Case, CellReadings], new: Mapping[Case, CellReadings]
) -> Differences:
    """The cells that both runs have; their turns have nothing in common."""
    shared = [case for case in base if case in new]
    sides = []
    drawn = [min(base[case].drawn, new[case].drawn) for case in shared]
    for run in (base, new):
        turns = turns_of(run)
        pairs = [costs_without(run[c], turns, k) for c, k in zip(shared, drawn, strict=True)]
        sides.append((np.array([one for one, _ in pairs]), np.array([rest for _, rest in pairs])))
    (old, old_parts), (now, now_parts) = sides
    return Differences(
        cells=_table([(case, base[case], new[case]) for case in shared], old, now),
        logs=now - old,
        without=(now[:, None] - old_parts, now_parts - old[:, None]),
        turns=tuple(_counts([run[case] for case in shared]) for run in (base, new)),
    )


def shared_cells(
    run: Mapping[Case, CellReadings], pairs: Sequence[tuple[str, str]]
) -> list[tuple[Case, Case]]:
    """The cells of pairs of implementations (base first) that one run has of both."""
    name = CELL.index("implementation")
    return [
        (base, new)
        for old_name, new_name in pairs
        for new in run
        if new[name] == new_name and (base := (*new[:name], old_name, *new[name + 1 :])) in run
    ]


def within_run(run: Mapping[Case, CellReadings], both: Sequence[tuple[Case, Case]]) -> Differences:
    """Pairs of cells of one run, base first, which have their turns in common."""
    turns = turns_of(run)
    drawn = [min(run[base].drawn, run[new].drawn) for base, new in both]
    found = [
        (costs_without(run[base], turns, k), costs_without(run[new], turns, k))
        for (base, new), k in zip(both, drawn, strict=True)
    ]
    old = np.array([one for (one, _), _ in found])
    now = np.array([one for _, (one, _) in found])
    parts = np.array([rest - before for (_, before), (_, rest) in found])
    return Differences(
        cells=_table([(new, run[base], run[new]) for base, new in both], old, now),
        logs=now - old,
        without=(parts,),
        turns=(np.minimum(*(_counts([run[pair[side]] for pair in both]) for side in (0, 1))),),
    )


def _counts(cells: Sequence[CellReadings]) -> Floats:
    """In how many turns each was read."""
    return np.array([len(cell.of_turns) for cell in cells], dtype=np.float64)


def turns_of(run: Mapping[Case, CellReadings]) -> list[int]:
    """The turns of a run, in order."""
    return sorted({turn for cell in run.values() for turn in cell.of_turns})


def _table(
    rows: Sequence[tuple[Case, CellReadings, CellReadings]], old: Floats, now: Floats
) -> pd.DataFrame:
    cells = pd.DataFrame([case for case, _, _ in rows], columns=list(CELL))
    return cells.assign(
        base_s=np.exp(old),
        new_s=np.exp(now),
        base_bytes=np.array([base.workspace_bytes for _, base, _ in rows], dtype=np.float64),
        new_bytes=np.array([new.workspace_bytes for _, _, new in rows], dtype=np.float64),
    )
