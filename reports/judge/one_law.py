"""The laws that are compatible with a cost without noise: the polynomial that was counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.cells import Cells
from reports.ensemble import CERTAIN, Ensemble
from reports.judgement import Term
from reports.laws import parse_monomial

NEARLY = 0.01  # a system that reports memory rounds it to pages


def one_law(terms: Sequence[Term], cells: Cells, names: Sequence[str]) -> Ensemble:
    """The polynomial as an ensemble of one law, whose cells have no error.

    `names` are the sizes that vary; the polynomial may have none of them.
    """
    monomials = tuple(parse_monomial(one.term) for one in terms)
    powers = [[float(term.power(name)) for name in names] for term in monomials]
    coefficients = np.array([one.coefficient for one in terms])
    values = np.array([term.evaluate(cells.sizes) * np.ones(len(cells)) for term in monomials])
    given = np.abs(coefficients @ values - cells.cost) <= cells.step + NEARLY * cells.cost
    return Ensemble(
        names=tuple(names),
        terms=monomials,
        powers=np.array(powers).reshape(1, len(monomials), len(names)),
        coefficients=coefficients[None],
        cells=np.column_stack([cells.sizes[name] for name in names]),
        last=given,
        error=CERTAIN,
        free=len(cells),
        still={
            name: float(values[0])
            for name, values in cells.sizes.items()
            if name not in names and np.unique(values).size == 1
        },
    )
