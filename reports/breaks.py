"""Looks for breaks: thresholds above which the coefficients of a law are others.

Caches and page faults multiply what a term costs; they leave its exponents alone. A break is
therefore a second set of coefficients above a threshold with the same exponents, placed by what
was recorded first (page faults a call, workspace) and by size where that explains it better.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.cells import Cells
from reports.models import Held, Mask, Model
from reports.monomials import Floats, Law, Monomial
from reports.profiles import descend

STRICT = 10.0
"""How much better (Bayesian information criterion) a richer model must be to be believed."""
PHYSICAL_BONUS = 6.0
"""Head start of a threshold in a recorded cause over one in a size, on the same scale."""
FEWEST_FREE = 5  # degrees of freedom that a break must leave: fewer, and it explains anything
FEWEST_CELLS = 4  # on each side: fewer cannot show a coefficient apart from a lower-order term
SMALLEST_JUMP = 1.1  # a tenth is within what drift and tiling do, and moves no exponent
LARGEST_JUMP = 5.0  # page faults cost 2.6 to 4; caches less
_ROUGH_JUMPS = (1 / 3.2, 1 / 1.6, 1.6, 3.2)
_FINE_JUMPS = tuple(float(LARGEST_JUMP**e) for e in np.linspace(-1, 1, 25))
PAGE_BYTES = 4096
MINOR_PART = 0.5


@dataclass(frozen=True, kw_only=True)
class Break:
    """A division of the cells: `later` is true in the second regime.

    `cause` names the quantity that passes a threshold between `below` and `above`; `physical`
    says that it was recorded, not inferred from sizes.
    """

    later: Mask
    cause: str
    below: float
    above: float
    physical: bool


def criterion(sse: float, cells: int, parameters: int, floor: float) -> float:
    """Bayesian information criterion (Schwarz 1978) of relative residuals, smaller is better.

    `floor` is the relative error below which no residual is told from rounding or drift.
    """
    return cells * math.log(sse / cells + floor**2) + parameters * math.log(cells)


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


def best_break(
    cells: Cells, law: Law, names: Sequence[str], starts: Sequence[Floats], floor: float
) -> tuple[Break, float] | None:
    """The break that explains the cells best, with its criterion; None where none can be fitted.

    `starts` are exponents to search from: the claimed ones and those fitted without a break.
    """
    ranked: list[tuple[float, int, Break, Model]] = []
    for one in candidates(cells, law):
        model = Model(cells, law, names=names, split=one.later)
        first = min(model.sse(theta) for theta in starts)
        bonus = PHYSICAL_BONUS if one.physical else 0.0
        ranked.append((criterion(first, len(cells), 0, floor) - bonus, len(ranked), one, model))
    best: tuple[float, Break, float] | None = None
    for _, _, one, model in sorted(ranked, key=lambda entry: entry[:2])[:5]:
        low, high = model.claimed - 2, model.claimed + 2
        step = np.full(len(names), 0.2)
        theta, sse = min(
            (descend(model.sse, start, step, low, high) for start in starts),
            key=lambda found: found[1],
        )
        parameters = model.solve(theta).active + len(names) + 2  # the threshold and its cause
        if len(cells) - parameters < FEWEST_FREE:
            continue
        score = criterion(sse, len(cells), parameters, floor)
        biased = score - (PHYSICAL_BONUS if one.physical else 0.0)
        if best is None or biased < best[0]:
            best = (biased, one, score)
    return None if best is None else best[1:]


def step_criterion(
    cells: Cells,
    model: Model,
    thetas: Sequence[Floats],
    floor: float,
    fewest: int,
    held: Held | None = None,
) -> float:
    """The best criterion with these exponents and one jump of the cost somewhere.

    The jump is a factor between 1/5 and 5 at a threshold, at once or with one size half-way; or
    one lower-order term costs more from there on; or all cells before the threshold read one
    value. Each side has the `fewest` cells; `held` gives a leading term a fixed share. Before a
    law is refuted, these much simpler explanations must have failed.
    """
    best = math.inf
    found = candidates(cells, model.law, fewest)
    steps = [one.later.astype(np.float64) for one in found]
    steps += [ramp for ramp in _ramps(cells, model.law) if 0 < ramp.min() + ramp.max() < 2]
    for theta in thetas:
        for one in found:
            best = min(best, model.sse_above_floor(theta, one.later, held))
            for term in model.lower:
                best = min(best, model.sse_with_onset(theta, one.later, term, held))
        rough = [
            min(model.sse_with_jump(theta, step, factor, held) for factor in _ROUGH_JUMPS)
            for step in steps
        ]
        for k in np.argsort(rough)[:6]:
            fine = (model.sse_with_jump(theta, steps[k], f, held) for f in _FINE_JUMPS)
            best = min(best, *fine)
    if not math.isfinite(best):
        return math.inf
    parameters = model.solve(thetas[0]).active + 2
    return criterion(best, len(cells), parameters, floor)


def _ramps(cells: Cells, law: Law) -> Iterator[Floats]:
    """Jumps that take one level on the way, in the logarithm of what passes the threshold."""
    for values in _causes(cells, law):
        logs = np.log(values)
        levels = np.unique(logs)
        for below, above in zip(levels[:-2], levels[2:], strict=True):
            yield np.clip((logs - below) / (above - below), 0.0, 1.0)


def _causes(cells: Cells, law: Law) -> Iterator[Floats]:
    workspace = cells.covariates.get("workspace_bytes")
    if workspace is not None and np.isfinite(workspace).all() and (workspace > 0).all():
        yield workspace
    for term in _working_sets(cells, law):
        yield term.evaluate(cells.sizes)


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
        cause="minor faults a call",
        below=float(faults[~later].max()),
        above=float(faults[later].min()),
        physical=True,
    )


def _by_workspace(cells: Cells) -> Iterator[Break]:
    workspace = cells.covariates.get("workspace_bytes")
    if workspace is not None and not np.isnan(workspace).any():
        yield from _thresholds(workspace, "workspace bytes", physical=True)


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
    levels = np.unique(values)
    for below, above in itertools.pairwise(levels.tolist()):
        yield Break(
            later=values > below,
            cause=cause,
            below=below,
            above=above,
            physical=physical,
        )
