"""Laws that are all compatible with the cells, drawn in proportion to how well they explain them.

One fitted law answers "what would this cost there?" with one number. How far it may be off shows
in the other laws that fit as well: other exponents θ, other lower-order terms, other coefficients.
A set S of terms with exponents θ, whose best coefficients leave the sum of squares SSE(θ, S),
weighs

    (1 + (SSE(θ, S) - SSE_min) / (ν·s²)) ^ -((ν + q) / 2)

for q entries of θ: the likelihood exp(-(SSE - SSE_min) / 2σ²), averaged over the σ that an estimate
s with ν degrees of freedom leaves open. As in the fit, SSE contains a price for each lower-order
term, and a set whose best coefficients are not all positive is left out. Exponents are drawn by the
weight of their best set, so that they spread as their profile intervals say, which are known to
cover what they promise; then a set by its own weight; then coefficients, normally around the best
ones with covariance σ²·(XᵀX)⁻¹, and again while one is negative: the distribution cut off at zero.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from reports.cells.cells import Cells
from reports.judge.models.error_scale import Setting
from reports.judge.models.fitted import Fitted
from reports.judge.models.model import Model
from reports.judge.models.non_negative import Mask, column_lengths, restricted
from reports.laws.monomials import Floats, Monomial

COUNT = 400
FIRST_POINTS, MORE_POINTS = 100, 220
"""Exponents tried: some where the profile intervals lie, more where those weigh most."""
TAIL = 5.0  # degrees of freedom by which they are spread: wider tails than the weights have
JUMP_ERRORS = 3.0  # how well a jump's factor is known, about, in errors of a cell
LEAST_WIDTH = 1e-4  # where costs are exact
HOPELESS = 30.0  # sets of terms that are worse by so many variances are not pursued
MOST_ATTEMPTS = 40
PAGES = 0.01
"""Of a cell: so much may be missing where a system reports memory in whole pages."""
EXACT = 1e-6
"""Of a cell: costs that are rounded by less are known exactly."""
_HIGHEST = 600.0  # the logarithm of a value that stands for all higher ones, so that none is ∞


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """Laws drawn. It stands on its own, without the model.

    `terms` are the terms as claimed. In draw i, term k costs `coefficients[i, k]` times the product
    of the sizes to the powers `powers[i, k]`, in the order of `names`, times its logarithms. Where
    the cost jumps, that is beyond the jump. `cells` holds the measured sizes, a row a cell, `last`
    says which cells lie beyond the jump (all, without one), and `still` has the sizes of one value
    in all cells. `error` is the relative standard error of one cell, known by `free` degrees of
    freedom.
    """

    names: tuple[str, ...]
    terms: tuple[Monomial, ...]
    powers: Floats
    coefficients: Floats
    cells: Floats
    last: Mask
    error: float
    free: int
    still: Mapping[str, float] = field(default_factory=dict)

    @property
    def certain(self) -> bool:
        """Whether cells have no error, since their cost was counted."""
        return self.error == 0

    @property
    def measured(self) -> dict[str, Floats]:
        """The sizes of the cells of the last regime, as `costs` takes them."""
        return dict(zip(self.names, self.cells[self.last].T, strict=True))

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The smallest and the largest measured value of each size."""
        columns = zip(self.names, self.cells.T, strict=True)
        return {name: (float(column.min()), float(column.max())) for name, column in columns}

    def _known(self, sizes: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
        """The sizes of the law, as arrays of one shape. Raises what `parts` raises."""
        missing = [name for name in self.names if name not in sizes]
        if missing:
            given = ", ".join(sizes) or "none"
            raise ValueError(f"the law needs the size {missing[0]}, got {given}; name it too")
        arrays = np.broadcast_arrays(*(np.asarray(sizes[n], np.float64) for n in self.names))
        return dict(zip(self.names, arrays, strict=True))

    def parts(self, sizes: Mapping[str, npt.ArrayLike]) -> Floats:
        """What each term costs at these sizes in each draw: (draws, …, terms).

        Raises:
            ValueError: one of `names` is not among the sizes.

        """
        known = self._known(sizes)
        arrays = list(known.values())
        logs = np.tensordot(self.powers, np.log(np.stack(arrays, axis=-1)), axes=(2, -1))
        value = np.moveaxis(np.exp(np.minimum(logs, _HIGHEST)), 1, -1)
        value *= np.stack([term.logarithms.evaluate(known) for term in self.terms], axis=-1)
        return np.asarray(np.einsum("d...t,dt->d...t", value, self.coefficients))

    def costs(self, sizes: Mapping[str, npt.ArrayLike]) -> Floats:
        """The cost at these sizes in each draw: (draws, …). Raises what `parts` raises."""
        return np.asarray(self.parts(sizes).sum(axis=-1))

    def plus(self, terms: Mapping[Monomial, float]) -> Self:
        """The laws with terms whose coefficients are known; they name sizes of the cells only."""
        rest = tuple(term.only(self.names) for term in terms)
        known = [c * float(t.only(self.still).evaluate(self.still)) for t, c in terms.items()]
        draws = len(self.coefficients)
        powers = np.broadcast_to(_powers(rest, self.names), (draws, len(rest), len(self.names)))
        coefficients = np.broadcast_to(known, (draws, len(rest)))
        return replace(
            self,
            terms=(*self.terms, *rest),
            powers=np.concatenate([self.powers, powers], axis=1),
            coefficients=np.concatenate([self.coefficients, coefficients], axis=1),
        )


class OneLaw(Ensemble):
    """An ensemble of one law, computed without logarithms; its cells are rounded at most."""

    def parts(self, sizes: Mapping[str, npt.ArrayLike]) -> Floats:
        """What each term costs at these sizes: (1, …, terms). Raises what `Ensemble.parts` does."""
        known = self._known(sizes)
        values = np.stack([term.evaluate(known) for term in self.terms], axis=-1)
        return np.asarray((values * self.coefficients[0])[None])


def one_law(
    law: Mapping[Monomial, float], cells: Cells, names: Sequence[str], *, exact: bool
) -> OneLaw:
    """The polynomial that was counted, in the sizes that vary; those that stand still are put in.

    Costs that are no `exact` counts are rounded, to the last place of the table or to pages.
    """
    still = _still(cells, names)
    terms = tuple(term.only(names) for term in law)
    factors = [float(term.only(still).evaluate(still)) for term in law]
    coefficients = np.array(list(law.values())) * factors
    values = np.column_stack([term.evaluate(cells.sizes) for term in terms])
    off = np.abs(values @ coefficients - cells.cost)
    rounding = float((np.maximum(off, cells.step / 2) / cells.cost)[cells.cost.argmax()])
    return OneLaw(
        names=tuple(names),
        terms=terms,
        powers=_powers(terms, names)[None],
        coefficients=coefficients[None],
        cells=np.column_stack([cells.sizes[name] for name in names]),
        last=off <= np.maximum(cells.step, PAGES * cells.cost),
        error=0.0 if exact or rounding <= EXACT else rounding,
        free=len(cells),
        still=still,
    )


def draw(setting: Setting, fitted: Fitted, *, count: int = COUNT, seed: int = 0) -> Ensemble:
    """Draw laws around a fit; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    model, noise = fitted.model, setting.error(fitted.solution.sse, fitted.free)
    thetas, squares, weights = _weighed(fitted, noise, rng)
    freedom = fitted.free + thetas.shape[1]
    variance = (fitted.free * noise**2 + squares - squares.min()) / freedom
    thetas, coefficients = _drawn(model, thetas, weights, variance, freedom, count, rng)
    fixed = _powers(model.terms, setting.names)
    own = np.broadcast_to(fixed, (count, *fixed.shape))
    if model.later is not None:
        coefficients[:, model.overheads :] *= np.exp(thetas[:, -1, None])
    cells, broken = setting.cells, fitted.broken
    return Ensemble(
        names=setting.names,
        terms=(*model.terms, *model.leading),
        powers=np.concatenate([own, model.exponents(thetas)], axis=1),
        coefficients=coefficients,
        cells=np.column_stack([cells.sizes[name] for name in setting.names]),
        last=np.ones(len(cells), np.bool_) if broken is None else broken.later,
        error=noise,
        free=fitted.free,
        still=_still(cells, setting.names),
    )


def _powers(terms: Sequence[Monomial], names: Sequence[str]) -> Floats:
    """The power of each size in each term: (terms, sizes)."""
    powers = [[float(term.power(name)) for name in names] for term in terms]
    return np.array(powers).reshape(len(terms), len(names))


def _still(cells: Cells, names: Collection[str]) -> dict[str, float]:
    """The sizes beside `names` that have one value in all cells."""
    levels = {name: cells.distinct(name) for name in cells.sizes if name not in names}
    return {name: float(values[0]) for name, values in levels.items() if values.size == 1}


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """Exponents spread over mean + root·t, for independent t of Student's distribution."""

    mean: Floats
    root: Floats

    def thetas(self, t: Floats) -> Floats:
        return np.asarray(self.mean + t @ self.root.T)

    def density(self, thetas: Floats) -> Floats:
        """How densely they lie there, up to a constant factor."""
        t = np.linalg.solve(self.root, (thetas - self.mean).T)
        heights = (1 + t**2 / TAIL) ** (-(TAIL + 1) / 2) / abs(np.linalg.det(self.root))
        return np.asarray(heights.prod(axis=0))


def _first(fitted: Fitted, noise: float) -> _Spread:
    """Over the exponents' intervals; where an end is unknown, up to the end of the search."""
    found = fitted.found
    mean, widths = found.best.copy(), np.full(found.best.size, JUMP_ERRORS * noise)
    for v, (low, high) in enumerate(fitted.intervals):
        ends = (found.low[v] if low is None else low, found.high[v] if high is None else high)
        mean[v], widths[v] = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 4
    return _Spread(mean=mean, root=np.diag(np.maximum(widths, LEAST_WIDTH)))


def _weighed(
    fitted: Fitted, noise: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Exponents to draw from; then the squares and the weight of each with each set of terms.

    They are spread over the intervals first, then by the mean and covariance of what that finds.
    Weights make up for how densely they lie: importance sampling from the mixture of the two.
    """
    model, best, size = fitted.model, fitted.found.best, fitted.found.best.size
    prices = fitted.price * model.priced
    first = _first(fitted, noise)
    near = first.thetas(2.0 * np.vstack([np.eye(size), -np.eye(size)]))
    least = (model.squares(np.vstack([first.mean, best, near])) + prices).min(axis=0)
    hopeless = least > least.min() + HOPELESS * noise**2
    thetas = first.thetas(rng.standard_t(TAIL, (FIRST_POINTS, size)))
    thetas[0] = best  # whatever else comes out, one point that explains the cells
    squares = model.squares(thetas) + prices

    def weights(density: Floats) -> Floats:
        squares[:, hopeless] = np.inf
        inside = ((thetas >= fitted.found.low) & (thetas <= fitted.found.high)).all(axis=1)
        excess = (squares - squares.min()) / (fitted.free * noise**2)
        likelihood = (1 + excess) ** (-(fitted.free + size) / 2)
        # None where no set explains the cells.
        together = np.maximum(likelihood.sum(axis=1), 1e-300)
        likelihood *= (likelihood.max(axis=1) / together)[:, None]
        return np.asarray(likelihood * (inside / density)[:, None])

    total = weights(first.density(thetas)).sum(axis=1)
    mean = np.average(thetas, axis=0, weights=total)
    left = (thetas - mean) * np.sqrt(total / total.sum())[:, None]
    second = _Spread(mean=mean, root=np.linalg.cholesky(left.T @ left + (first.root / 4) ** 2))
    more = second.thetas(rng.standard_t(TAIL, (MORE_POINTS, size)))
    thetas, squares = np.vstack([thetas, more]), np.vstack([squares, model.squares(more) + prices])
    density = FIRST_POINTS * first.density(thetas) + MORE_POINTS * second.density(thetas)
    weighed = weights(density)
    return thetas, squares, weighed


def _drawn(
    model: Model,
    thetas: Floats,
    weights: Floats,
    variance: Floats,
    freedom: int,
    count: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """For each draw its θ, and its coefficients.

    Coefficients are drawn again while one is negative; if that does not end, the best ones stand.
    """
    steps = np.cumsum(weights)
    at = (np.arange(count) + rng.random()) / count * steps[-1]
    chosen = rng.permutation(np.minimum(np.searchsorted(steps, at), steps.size - 1))
    points, sets = np.unravel_index(chosen, weights.shape)
    thetas, kept, variance = thetas[points], model.subsets[sets], variance[points, sets]
    columns = model.columns(thetas)
    lengths = column_lengths(columns)
    columns = columns / lengths[:, None]
    system = restricted(columns.transpose(0, 2, 1) @ columns, kept)
    best = np.linalg.solve(system, (model.target @ columns * kept)[..., None])[..., 0]
    root = np.linalg.cholesky(system).transpose(0, 2, 1)
    coefficients = np.full(best.shape, -1.0)
    for attempt in range(MOST_ATTEMPTS):
        left = np.flatnonzero((coefficients < 0).any(axis=1))
        if not left.size:
            break
        spread = variance[left] * freedom / rng.chisquare(freedom, left.size)
        z = rng.normal(size=(left.size, best.shape[1])) * np.sqrt(spread)[:, None] * kept[left]
        moved = np.linalg.solve(root[left], z[..., None])[..., 0]
        last = attempt == MOST_ATTEMPTS - 1
        coefficients[left] = np.maximum(best[left], 0.0) + moved * (not last)
    return thetas, coefficients / lengths / model.scales(thetas)
