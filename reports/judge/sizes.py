"""Which sizes are judged: those that vary, but for those that others leave no freedom."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from reports.cells.cells import Cells
from reports.laws.monomials import Factor, Floats, Law, Monomial


def tested_sizes(cells: Cells, law: Law, names: Sequence[str]) -> tuple[str, ...]:
    """The sizes that vary: the law's own, and others unless they only follow the law's own."""
    own = [name for name in law.names if cells.distinct(name).size > 1]
    others = [name for name in names if name not in law.names and cells.distinct(name).size > 1]
    return (*own, *(name for name in others if not _follows(cells, name, own)))


def held_sizes(cells: Cells, law: Law, tested: Sequence[str]) -> Monomial:
    """The sizes, as a factor, whose power is taken as claimed: those that others leave no freedom.

    Where batch is 16384 / n, nothing tells its power from that of n. It is taken to be 1 if every
    leading term claims that: the cost is then judged for one item of a batch.
    """
    held: list[str] = []
    for name in reversed(tested):
        rest = [other for other in tested if other != name and other not in held]
        plain = Factor(name=name, power=Fraction(1))
        if rest and all(term.factor(name) == plain for term in law.leading):
            slopes = _slopes_of(cells, name, rest)
            if slopes is not None and slopes.max() < 1e-6:
                held.append(name)
    return Monomial.of(dict.fromkeys(held, 1))


def _follows(cells: Cells, name: str, own: Sequence[str]) -> bool:
    """Whether log size is a linear function of the law's log sizes, as d = 64 h is of h."""
    return bool(own) and _slopes_of(cells, name, own) is not None


def _slopes_of(cells: Cells, name: str, others: Sequence[str]) -> Floats | None:
    """The slopes of one log size over others, where it is a linear function of them."""
    target = np.log(cells.sizes[name])
    columns = [np.ones(target.size), *(np.log(cells.sizes[other]) for other in others)]
    matrix = np.column_stack(columns)
    solution = np.linalg.lstsq(matrix, target, rcond=None)[0]
    linear = float(np.abs(target - matrix @ solution).max()) < 1e-6
    return np.asarray(solution[1:]) if linear else None
