"""The laws that are compatible with a cost without noise: the polynomial that was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from reports.cells.cells import Cells
from reports.judge.compatible.ensemble import Ensemble, still_sizes
from reports.laws.grammar import parse_monomial
from reports.laws.monomials import Floats, Monomial

PAGES = 0.01
"""Of a cell: so much may be missing where a system reports memory in whole pages."""
EXACT = 1e-6
"""Of a cell: costs that are rounded by less are known exactly."""


class OneLaw(Ensemble):
    """An ensemble of one law, computed without logarithms; its cells are rounded at most."""

    def parts(self, sizes: Mapping[str, npt.ArrayLike]) -> Floats:
        """What each term costs at these sizes: (1, …, terms). Raises what `Ensemble.parts` does."""
        shape = super().parts(sizes).shape
        pairs = zip(self.coefficients[0], self.terms, strict=True)
        found = [coefficient * term.evaluate(sizes) for coefficient, term in pairs]
        return np.broadcast_to(np.stack(np.broadcast_arrays(*found), axis=-1), shape)


def one_law(
    terms: Mapping[str, float], cells: Cells, names: Sequence[str], *, exact: bool
) -> OneLaw:
    """The polynomial in the sizes that vary, `names`; those that stand still are put in.

    `terms` are monomials as text, with their coefficients. Costs that are no `exact` counts are
    rounded, to the last place of the table or to pages.
    """
    still = still_sizes(cells, names)
    known = [parse_monomial(text) for text in terms]
    factors = [float(term.only(still).evaluate(still)) for term in known]
    coefficients = np.array(list(terms.values())) * factors
    rest: list[Monomial] = [term.only(names) for term in known]
    costs = sum(
        coefficient * term.evaluate(cells.sizes)
        for coefficient, term in zip(coefficients, rest, strict=True)
    )
    off = np.abs(costs - cells.cost)
    rounding = float((np.maximum(off, cells.step / 2) / cells.cost)[cells.cost.argmax()])
    powers = [[float(term.power(name)) for name in names] for term in rest]
    return OneLaw(
        names=tuple(names),
        terms=tuple(rest),
        powers=np.array(powers).reshape(1, len(rest), len(names)),
        coefficients=coefficients[None],
        cells=np.column_stack([cells.sizes[name] for name in names]),
        last=off <= np.maximum(cells.step, PAGES * cells.cost),
        error=0.0 if exact or rounding <= EXACT else rounding,
        free=len(cells),
        still=still,
    )
