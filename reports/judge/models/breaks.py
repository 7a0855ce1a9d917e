"""Where costs may jump: thresholds that divide the cells in two.

Caches and page faults multiply what a term costs; they leave its exponents alone. A break is placed
by what was recorded first (page faults a call, bytes in use), and by sizes and their products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.cells.case_columns import CACHED
from reports.cells.cells import Cells
from reports.judge.models.non_negative import Mask
from reports.laws.monomials import Floats, Law, Monomial, lower_terms

FEWEST_CELLS = 4  # on each side: fewer cannot show a coefficient apart from a lower-order term
PAGE_BYTES = 4096
MINOR_PART = 0.5
"""Of the workspace: page faults of so many bytes a call tell memory that is taken anew in each."""
FAULTS = "minor faults a call"
CACHED_BYTES = "bytes for the caches"
MOST_LEVELS = 200  # of one quantity: thresholds between all of a hundred thousand would fill memory


@dataclass(frozen=True, kw_only=True)
class Break:
    """A division of the cells: `later` is true in the second regime.

    `cause` names the quantity that passes a threshold between `below` and `above`. `gradual` is
    None for a cost that jumps there; else it is how much of the change each cell has, from 0 at the
    threshold to 1 far beyond, and `dearer` the one term that has it, None for all of them.
    """

    later: Mask
    gradual: Floats | None = None
    dearer: Monomial | None = None
    cause: str
    below: float
    above: float

    @property
    def physical(self) -> bool:
        """Whether the cause was recorded, not inferred from sizes."""
        return self.cause in (FAULTS, CACHED_BYTES)

    @property
    def rise(self) -> Floats:
        """The part of the change that each cell has: 0 or 1 where it comes at once."""
        return self.later.astype(np.float64) if self.gradual is None else self.gradual


def candidates(cells: Cells, law: Law, fewest: int = FEWEST_CELLS) -> list[Break]:
    """Every division by a recorded cause or by a term of the law, each with enough cells aside.

    Two causes that divide the cells alike count once, the recorded one first.
    """
    kept: dict[bytes, Break] = {}
    for one in (*_by_faults(cells), *_by_thresholds(cells, law)):
        if _enough(one.later, fewest):
            kept.setdefault(one.later.tobytes(), one)
    return list(kept.values())


def spills(cells: Cells, law: Law, fewest: int = FEWEST_CELLS) -> list[Break]:
    """What outgrows a cache of C bytes by degrees: the part 1 - C/W of W misses it.

    The working set, whose misses make all work dearer, and what is read and written once, as n·d
    for inputs and output, which makes that lower-order term dearer. C is sought at every value in
    the cells, and half-way between two.
    """
    found = [
        one
        for term in lower_terms(law)
        if len(term.names) > 1
        for one in _by_degrees(term.evaluate(cells.sizes), term.unicode(), fewest, term)
    ]
    touched = _recorded(cells, CACHED)
    if touched is not None:
        found += _by_degrees(touched, CACHED_BYTES, fewest, None)
    return found


def _by_degrees(
    values: Floats, cause: str, fewest: int, dearer: Monomial | None
) -> Iterator[Break]:
    for below, above in itertools.pairwise(_levels(values).tolist()):
        later = values > below
        if not _enough(later, fewest) or below <= 0:
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
                )


def ramps(cells: Cells, law: Law) -> Iterator[Floats]:
    """Jumps with one level half-way, of what passes the threshold."""
    for values, _ in _quantities(cells, law):
        if (values > 0).all():  # the logarithm of 1 is no size
            logs = np.log(values)
            levels = _levels(logs)
            for below, above in zip(levels[:-2], levels[2:], strict=True):
                yield np.where(logs <= below, 0.0, np.where(logs >= above, 1.0, 0.5))


def _by_faults(cells: Cells) -> Iterator[Break]:
    """Where most of the workspace is taken anew in each call, and where faults become many."""
    faults, workspace = _recorded(cells, "minor_faults"), _recorded(cells, "workspace_bytes")
    if faults is None:
        return
    divisions = []
    if workspace is not None:
        divisions.append(faults * PAGE_BYTES >= MINOR_PART * np.maximum(workspace, PAGE_BYTES))
    ordered = np.sort(faults)
    gaps = np.diff(np.log1p(ordered))
    if gaps.size and gaps.max() >= math.log(8):
        divisions.append(faults > ordered[int(gaps.argmax())])
    for later in divisions:
        if _enough(later, 1):
            below, above = float(faults[~later].max()), float(faults[later].min())
            yield Break(later=later, cause=FAULTS, below=below, above=above)


def _by_thresholds(cells: Cells, law: Law) -> Iterator[Break]:
    for values, cause in _quantities(cells, law):
        for below, above in itertools.pairwise(_levels(values).tolist()):
            yield Break(later=values > below, cause=cause, below=below, above=above)


def _quantities(cells: Cells, law: Law) -> Iterator[tuple[Floats, str]]:
    """What may pass a threshold, with its name: the working set, sizes and their products.

    n, d, n·d, n²·d, …: working sets are such products, whatever the law is.
    """
    touched = _recorded(cells, CACHED)
    if touched is not None:
        yield touched, CACHED_BYTES
    names = [name for name in cells.sizes if cells.distinct(name).size > 1]
    terms = {
        Monomial.of(dict(zip(names, powers, strict=True)))
        for powers in itertools.product(range(3), repeat=len(names))
        if math.gcd(*powers) == 1
    }
    terms |= {term for term in law.leading if term.names}
    for term in sorted(terms, key=lambda term: (len(term.factors), str(term))):
        yield term.evaluate(cells.sizes), term.unicode()


def _recorded(cells: Cells, name: str) -> Floats | None:
    """A covariate that is known in every cell."""
    values = cells.covariates.get(name)
    return None if values is None or np.isnan(values).any() else values


def _enough(later: Mask, fewest: int) -> bool:
    """Whether so many cells lie on each side."""
    return min(int(later.sum()), int((~later).sum())) >= fewest


def _levels(values: Floats) -> Floats:
    """The values between which a threshold is sought, at most MOST_LEVELS of them."""
    levels = np.unique(values)
    if levels.size <= MOST_LEVELS:
        return levels
    return levels[np.linspace(0, levels.size - 1, MOST_LEVELS).astype(np.intp)]
