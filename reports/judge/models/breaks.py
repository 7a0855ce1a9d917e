"""Where costs may jump: thresholds that divide the cells in two.

Caches and page faults multiply what a term costs; they leave its exponents alone. A break is placed
by what was recorded first (page faults a call, workspace), and by sizes and their products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.cells.cells import Cells
from reports.judge.models.non_negative import Mask
from reports.judge.models.related_terms import lower_terms
from reports.laws.monomials import Floats, Law, Monomial

FEWEST_CELLS = 4  # on each side: fewer cannot show a coefficient apart from a lower-order term
PAGE_BYTES = 4096
MINOR_PART = 0.5
"""Of the workspace: page faults of so many bytes a call tell memory that is taken anew in each."""
FAULTS = "minor faults a call"
WORKSPACE = "workspace bytes"
MOST_LEVELS = 200  # of one quantity: thresholds between all of a hundred thousand would fill memory


@dataclass(frozen=True, kw_only=True)
class Break:
    """A division of the cells: `later` is true in the second regime.

    `cause` names the quantity that passes a threshold between `below` and `above`; `physical`
    says that it was recorded, not inferred from sizes. `gradual` is None for a cost that jumps
    there; else it is how much of the change each cell has, from 0 at the threshold to 1 far beyond,
    and `dearer` the one term that has it, None for all of them.
    """

    later: Mask
    gradual: Floats | None = None
    dearer: Monomial | None = None
    cause: str
    below: float
    above: float
    physical: bool

    @property
    def rise(self) -> Floats:
        """The part of the change that each cell has: 0 or 1 where it comes at once."""
        return self.later.astype(np.float64) if self.gradual is None else self.gradual


def candidates(cells: Cells, law: Law, fewest: int = FEWEST_CELLS) -> list[Break]:
    """Every division by a recorded cause or by a term of the law, each with enough cells aside.

    Two causes that divide the cells alike count once, the recorded one first.
    """
    seen: set[bytes] = set()
    kept: list[Break] = []
    for one in (*_by_faults(cells), *_by_workspace(cells), *_by_terms(cells, law)):
        smaller = min(int(one.later.sum()), int((~one.later).sum()))
        key = one.later.tobytes()
        if smaller >= fewest and key not in seen:
            seen.add(key)
            kept.append(one)
    return kept


def spills(cells: Cells, law: Law, fewest: int = FEWEST_CELLS) -> list[Break]:
    """What outgrows a cache of C bytes by degrees: the part 1 - C/W of W misses it.

    The workspace, whose misses make all work dearer, and what is read and written once, as n·d for
    inputs and output, which makes that lower-order term dearer. C is sought at every value in the
    cells, and half-way between two.
    """
    found = [
        one
        for term in lower_terms(law)
        if len(term.names) > 1
        for one in _by_degrees(term.evaluate(cells.sizes), term.unicode(), fewest, term)
    ]
    workspace = cells.covariates.get("workspace_bytes")
    if workspace is not None and not np.isnan(workspace).any():
        found += _by_degrees(workspace, WORKSPACE, fewest, None)
    return found


def _by_degrees(
    values: Floats, cause: str, fewest: int, dearer: Monomial | None
) -> Iterator[Break]:
    for below, above in itertools.pairwise(_levels(values).tolist()):
        later = values > below
        if min(int(later.sum()), int((~later).sum())) < fewest or below <= 0:
            continue
        for capacity in (below, math.sqrt(below * above)):
            part = np.clip(1.0 - capacity / np.maximum(values, below), 0.0, 1.0)
            if np.unique(part).size > 2:
                yield Break(
                    later=later,
                    gradual=part,
                    dearer=dearer,
                    cause=cause,
                    below=below,
                    above=above,
                    physical=dearer is None,
                )


def ramps(cells: Cells, law: Law) -> Iterator[Floats]:
    """Jumps with one level half-way, of what passes the threshold."""
    for values in _causes(cells, law):
        logs = np.log(values)
        levels = _levels(logs)
        for below, above in zip(levels[:-2], levels[2:], strict=True):
            yield np.where(logs <= below, 0.0, np.where(logs >= above, 1.0, 0.5))


def _causes(cells: Cells, law: Law) -> Iterator[Floats]:
    workspace = cells.covariates.get("workspace_bytes")
    if workspace is not None and np.isfinite(workspace).all() and (workspace > 0).all():
        yield workspace
    for term in _working_sets(cells, law):
        values = term.evaluate(cells.sizes)
        if (values > 0).all():  # the logarithm of 1 is no size
            yield values


def _by_faults(cells: Cells) -> Iterator[Break]:
    faults = cells.covariates.get("minor_faults")
    if faults is None or np.isnan(faults).any():
        return
    workspace = cells.covariates.get("workspace_bytes")
    if workspace is not None and not np.isnan(workspace).any():
        later = faults * PAGE_BYTES >= MINOR_PART * np.maximum(workspace, PAGE_BYTES)
        if later.any() and not later.all():
            yield _faulting(faults, later)
    ordered = np.sort(faults)
    gaps = np.log1p(ordered[1:]) - np.log1p(ordered[:-1])
    if gaps.size and gaps.max() >= math.log(8):
        yield _faulting(faults, faults > ordered[int(gaps.argmax())])


def _faulting(faults: Floats, later: Mask) -> Break:
    return Break(
        later=later,
        cause=FAULTS,
        below=float(faults[~later].max()),
        above=float(faults[later].min()),
        physical=True,
    )


def _by_workspace(cells: Cells) -> Iterator[Break]:
    workspace = cells.covariates.get("workspace_bytes")
    if workspace is not None and not np.isnan(workspace).any():
        yield from _thresholds(workspace, WORKSPACE, physical=True)


def _by_terms(cells: Cells, law: Law) -> Iterator[Break]:
    for term in _working_sets(cells, law):
        yield from _thresholds(term.evaluate(cells.sizes), term.unicode(), physical=False)


def _working_sets(cells: Cells, law: Law) -> list[Monomial]:
    """n, d, n·d, n²·d, …: working sets are such products, whatever the law is."""
    names = [name for name in cells.sizes if cells.distinct(name).size > 1]
    terms = {
        Monomial.of(dict(zip(names, powers, strict=True)))
        for powers in itertools.product(range(3), repeat=len(names))
        if math.gcd(*powers) == 1
    }
    terms |= {term for term in law.leading if term.names}
    return sorted(terms, key=lambda term: (len(term.factors), str(term)))


def _thresholds(values: Floats, cause: str, *, physical: bool) -> Iterator[Break]:
    for below, above in itertools.pairwise(_levels(values).tolist()):
        yield Break(
            later=values > below,
            cause=cause,
            below=below,
            above=above,
            physical=physical,
        )


def _levels(values: Floats) -> Floats:
    """The values between which a threshold is sought, at most MOST_LEVELS of them."""
    levels = np.unique(values)
    if levels.size <= MOST_LEVELS:
        return levels
    return levels[np.linspace(0, levels.size - 1, MOST_LEVELS).astype(np.intp)]
