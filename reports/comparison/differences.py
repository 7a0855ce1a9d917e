"""Cells that are compared, and the error of whatever is computed from their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench.records import CELL
from reports.comparison.moderated import moderated
from reports.comparison.turns import Block, Case, CellReadings, blocks_of, costs_without
from reports.laws.monomials import Floats

LEAST_APART = 0.005
"""Within one process: no two programs are told apart more closely than by this."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """The cells of one run without each of its turns, or without each of its processes.

    `logs` has a row for each cell and a column for each block that is left out; `counts` says in
    how many blocks each cell was read.
    """

    logs: Floats
    counts: Floats

    def variances(self, weights: Floats) -> Floats:
        """The variance of each row of `weights` times the logarithms, by the jackknife."""
        replicates = weights @ self.logs
        return np.asarray((replicates.shape[1] - 1) * replicates.var(axis=1))

    def freedom(self, weights: Floats) -> Floats:
        """The degrees of freedom of these variances: of several cells the mean, by weight."""
        parts = abs(weights) / abs(weights).sum(axis=1, keepdims=True)
        return np.asarray(parts @ self.counts - 1)


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Cells that were measured twice, as base and as new.

    `cells` has a row for each: the case (its `implementation` is the new one's), `base_s` and
    `new_s` in seconds, and the workspaces `base_bytes` and `new_bytes`. `logs` are the logarithms
    of new / base. `turns` and `processes` have these for each run, without each turn or process.
    """

    cells: pd.DataFrame
    logs: Floats
    turns: tuple[LeftOut, ...]
    processes: tuple[LeftOut, ...]

    def __len__(self) -> int:
        return int(self.logs.size)

    def errors(
        self,
        weights: Floats,
        own: Floats,
        extra: Floats | float,
        of_cells: Floats | float | None = None,
    ) -> tuple[Floats, Floats]:
        """The standard error of each row of `weights` times `logs`, and its degrees of freedom.

        `own` are the weights whose turns count for the freedom, and `extra` is an error beside that
        of the turns (Satterthwaite 1946). Rows `of_cells`, which says what their error is at least,
        are of a single cell: the variance by processes counts where it is larger, since the turns
        of a process are alike, and all rows tell the usual variance, since processes are few.
        """
        variances = np.sum([one.variances(weights) for one in self.turns], axis=0)
        freedom = np.sum([one.freedom(own) for one in self.turns], axis=0)
        if of_cells is not None:
            of_processes = np.sum([one.variances(weights) for one in self.processes], axis=0)
            few = np.sum([one.freedom(own) for one in self.processes], axis=0)
            known = few if few.any() else freedom  # each cell may have been read by one process
            variances, freedom = moderated(np.maximum(variances, of_processes), known)
            variances = np.maximum(variances, np.square(of_cells))
        total = variances + np.square(extra)
        return np.sqrt(total), freedom * (total / np.maximum(variances, 1e-30)) ** 2


def between_runs(
    base: Mapping[Case, CellReadings], new: Mapping[Case, CellReadings]
) -> Differences:
    """The cells that both runs have; their turns have nothing in common."""
    shared = [case for case in base if case in new]
    drawn = [min(base[case].drawn, new[case].drawn) for case in shared]
    kinds = []
    for blocks, others in zip(blocks_of(base), blocks_of(new), strict=True):
        old, before = _without(base, shared, drawn, blocks)
        now, after = _without(new, shared, drawn, others)
        kinds.append(
            (
                replace(before, logs=now[:, None] - before.logs),
                replace(after, logs=after.logs - old[:, None]),
            )
        )
    turns, processes = kinds
    return Differences(
        cells=_table([(case, base[case], new[case]) for case in shared], old, now),
        logs=now - old,
        turns=turns,
        processes=processes,
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
    drawn = [min(run[base].drawn, run[new].drawn) for base, new in both]
    kinds = []
    for blocks in blocks_of(run):
        old, before = _without(run, [base for base, _ in both], drawn, blocks)
        now, after = _without(run, [new for _, new in both], drawn, blocks)
        counts = np.minimum(before.counts, after.counts)
        kinds.append((LeftOut(logs=after.logs - before.logs, counts=counts),))
    turns, processes = kinds
    return Differences(
        cells=_table([(new, run[base], run[new]) for base, new in both], old, now),
        logs=now - old,
        turns=turns,
        processes=processes,
    )


def _without(
    run: Mapping[Case, CellReadings],
    cases: Sequence[Case],
    drawn: Sequence[int],
    blocks: Sequence[Block],
) -> tuple[Floats, LeftOut]:
    """The logarithms of cells of one run, and the same without each block."""
    found = [costs_without(run[case], blocks, k) for case, k in zip(cases, drawn, strict=True)]
    counts = [sum(not block.isdisjoint(run[case].of_turns) for block in blocks) for case in cases]
    left_out = LeftOut(
        logs=np.array([parts for _, parts in found]), counts=np.array(counts, dtype=np.float64)
    )
    return np.array([whole for whole, _ in found]), left_out


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
