"""Cells: implementations at cases, as a plan asks for them and as records stand for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.plan.plan import Plan
from bench.records import Record
from implementations.case import Case
from implementations.catalogue import load, load_all
from implementations.interface import Implementation
from implementations.naming import CatalogueError

Key: TypeAlias = tuple[str, Case]
"""What tells cells apart: the implementation's name and the case."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One implementation at one case; see `bench.plan.plan.Series` for the rest."""

    implementation: Implementation
    case: Case
    open_ended: bool = False
    kv_heads: str = "h"
    has_fixed_queries: bool = False

    @property
    def key(self) -> Key:
        """What tells cells apart."""
        return self.implementation.name, self.case


def cells_of(plan: Plan, load: Callable[[str], Implementation] = load) -> list[Cell]:
    """Every cell of a plan, once; `load` loads its implementations.

    Raises:
        CatalogueError: an implementation cannot be loaded.

    """
    names = dict.fromkeys(name for series in plan.series for name in series.implementations)
    for name in names:
        if ":" in name:
            raise CatalogueError(
                f"implementations: expected a name, got {name!r}; "
                f'put your own kernel into specs = ["{name}"] and name its function here'
            )
    loaded = {own.name: own for own in load_all((), plan.specs, load)}
    others = load_all([name for name in names if name not in loaded], (), load)
    loaded |= {other.name: other for other in others}
    cells: dict[Key, Cell] = {}
    for series in plan.series:
        for case in series.cases():
            for name in series.implementations:
                cell = Cell(
                    implementation=loaded[name],
                    case=case,
                    open_ended=series.open_ended,
                    kv_heads=series.kv_heads,
                    has_fixed_queries=series.query_len is not None,
                )
                cells.setdefault(cell.key, cell)
    return list(cells.values())


def by_implementation(cells: Iterable[Cell]) -> Iterator[tuple[Implementation, list[Cell]]]:
    """The cells of each implementation, in order of first appearance."""
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.implementation.name].append(cell)
    return ((group[0].implementation, group) for group in groups.values())


# What a record says of its case, under the same names.
_SHARED = (
    *("batch", "num_heads", "key_len", "head_dim", "dtype", "device", "pass_", "is_causal"),
    *("mask", "window", "growth"),
)


def case_of(record: Record) -> Case:
    """The case that a record belongs to; the oldest records do not name their growth."""
    told = {name: getattr(record, name) for name in _SHARED}
    more = {"seq_len": record.query_len or record.seq_len, "num_kv_heads": record.num_kv_heads}
    return Case(**{**told, **more, "growth": record.growth or "heads"})


def unmeasured_record(cell: Cell) -> Record:
    """The record of a cell of which nothing is known yet: `skipped`."""
    case, implementation = cell.case, cell.implementation
    return Record(
        **{name: getattr(case, name) for name in _SHARED},
        implementation=implementation.name,
        kind=implementation.kind,
        seq_len=case.key_len,
        query_len=case.seq_len if cell.has_fixed_queries else None,
        num_kv_heads=case.num_kv_heads,
        kv_heads=cell.kv_heads if case.is_grouped else None,
        d_model=case.d_model,
        status="skipped",
        # Those of a layer are counted.
        flops=implementation.useful_flops(case),
        **_laws_of(cell),
        expected_kernel=implementation.expected_kernel,
    )


def _laws_of(cell: Cell) -> dict[str, Any]:
    """The laws that are claimed of a cell: where queries do not grow, m keys are left of n^2.

    Time that grows as n alone goes into keys, each of which is read. Whether a workspace does is
    not told by a law.
    """
    time, workspace = cell.implementation.time_law, cell.implementation.workspace_law
    if not cell.has_fixed_queries:
        return {"claim": time, "workspace_claim": workspace}
    of_keys = workspace.replace("n^2", "m") if "n^2" in workspace else None
    # There is no window beside fixed queries: as many keys are seen as there are.
    of_time = re.sub(r"\bn(\^2)?", "m", time.replace("n*w", "n"))
    return {"claim": of_time, "workspace_claim": of_keys}
