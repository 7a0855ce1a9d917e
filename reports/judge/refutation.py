"""Whether evidence against a claim refutes it, or something else might explain it.

That is as much n beside n·log n, or one jump of the cost. The jump is a factor of up to 5 at a
threshold, at once or with one size half-way; or one lower-order term costs more from there on; or
all cells before the threshold read one value, as waiting for a scheduler's slice, or a launch that
hides the work, makes them. The exponents are the claimed ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from reports.cells.case_columns import INTENSITY
from reports.judge.findings import FEWEST_SIZES, VISIBLE_SHARE, Findings, long_enough
from reports.judge.models.breaks import FEWEST_CELLS, candidates, ramps
from reports.judge.models.error_scale import MISFIT_IN_ERRORS, STRICT, Setting
from reports.judge.models.explanations import is_long
from reports.judge.models.fitted import Fitted, fit_model
from reports.judge.models.model import Model
from reports.judge.models.non_negative import (
    MOST_LOWER,
    column_lengths,
    least_squares,
    without_share,
)
from reports.judge.models.outgrowing import rests_on_largest
from reports.judge.result import Verdict
from reports.laws.monomials import Floats, Law, lower_terms, near_terms

REFUTING = ("faster_growing_term", "claimed_term_absent", "exponent_outside_tolerance")

AS_GOOD = 2.0
"""What saves a claim explains the cells as well: so much, in the criterion, is hardly evidence
(Kass & Raftery 1995)."""
LEAST_LOGARITHM = 0.2
"""The part of some cell that n·log n has at least beside as much n."""
STREAMING = 4.0  # operations a byte: with fewer, a call waits for memory, not for arithmetic
LARGEST_FACTOR = 5.0  # page faults cost 2.6 to 4, caches less; neither makes a cost fall
_LOG_FACTORS = np.linspace(0.0, math.log(LARGEST_FACTOR), 9)
_REFINED = 3


def refutation(setting: Setting, chosen: Fitted, findings: Findings) -> tuple[Verdict, list[str]]:
    """Refuted, and by what, unless sizes, a small share or a change of the cost leave it open."""
    if (
        "sizes_collinear" in findings.limits
        or _sizes_too_few(setting, chosen, findings)
        or _too_few_at_the_limit(setting, chosen, findings)
    ):
        return Verdict.INCONCLUSIVE, []
    if (
        _too_few_beside_a_jump(setting, chosen, findings)
        or (chosen.rival and rests_on_largest(setting, chosen.rival))
        or (findings.outside and _rests_on_ramp(setting, chosen, findings))
        or _is_price_of_bytes(setting, chosen, findings)
        or is_saved(setting, chosen, findings.absent)
    ):
        return Verdict.INCONCLUSIVE, ["models_undecided"]
    grounds = (chosen.rival, findings.absent, findings.outside)
    return Verdict.REFUTED, [code for code, found in zip(REFUTING, grounds, strict=True) if found]


def _sizes_too_few(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether a missing or an outgrowing term is told from sizes that do not reach far enough."""
    long = all(long_enough(setting.cells, name) for name in setting.names)
    return bool(findings.absent or chosen.rival) and not long


def _too_few_beside_a_jump(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether a jump leaves three sizes to tell growth by: it takes one to be told from growth."""
    return chosen.broken is not None and any(_of_four_sizes(setting, findings))


def _too_few_at_the_limit(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether four sizes refute where there is too little of another size.

    They do not tell a clock's growth from a ramp, or noise.
    """
    few = _of_four_sizes(setting, findings)
    told = setting.exact or chosen.broken is not None
    return bool(few) and all(few) and bool(findings.limits) and not told


def _of_four_sizes(setting: Setting, findings: Findings) -> list[bool]:
    return [setting.cells.distinct(name).size <= FEWEST_SIZES for name in findings.outside]


def _rests_on_ramp(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether no exponent lies outside both with a cache that is left by degrees and without it.

    Such a ramp takes over a part of the growth, or gives some to the exponents: alone it refutes
    nothing.
    """
    if chosen.broken is None or chosen.broken.gradual is None:
        return False
    plain = fit_model(setting, setting.model(), chosen.price)
    for name in findings.outside:
        v = setting.names.index(name)
        least, most = findings.allowed[v]
        lows, highs = zip(chosen.intervals[v], plain.intervals[v], strict=True)
        above = all(low is not None and low > most for low in lows)
        if above or all(high is not None and high < least for high in highs):
            return False
    return True


def _is_price_of_bytes(setting: Setting, chosen: Fitted, findings: Findings) -> bool:
    """Whether all that speaks against the claim is that bytes cost more at larger sizes.

    A call that computes little with each byte costs what its bytes cost. Their price rises with
    each cache that is outgrown: by the keys of all heads, then by those of one.
    """
    intensity = setting.cells.covariates.get(INTENSITY)
    if intensity is None or not ((intensity > 0) & (intensity < STREAMING)).all():
        return False
    if chosen.rival or findings.absent:
        return False
    rise = 0.0  # of the price, beyond the tolerance
    for name in findings.outside:
        v = setting.names.index(name)
        low, most = chosen.intervals[v][0], findings.allowed[v][1]
        if low is None or low <= most:
            return False
        sizes = setting.cells.sizes[name]
        rise += (low - most) * math.log(float(sizes.max() / sizes.min()))
    return 0 < rise <= math.log(LARGEST_FACTOR)


def is_saved(setting: Setting, chosen: Fitted, absent: Sequence[int]) -> bool:
    """Whether the claim and one thing more is nearly as good as the chosen explanation.

    That is a jump of the cost, or as much n beside n·log n. The claim keeps its exponents. Its
    term, or where terms are absent, one of those, has a visible share at least.
    """
    model = setting.model()
    score = _to_be_reached(setting, chosen, model, absent)
    # Over so many doublings n and n·log n differ by so much that a small lead is luck.
    far = all(is_long(setting.cells, name) for name in setting.names)
    enough = score + STRICT if far else score
    if near_terms(setting.law) and _with_plain_terms(setting) < enough:
        return True
    # One cell may be dearer for a cause of its own, the largest too; counts have no such cells.
    fewest = FEWEST_CELLS if setting.exact else 1
    terms = absent or range(len(model.leading))
    return any(one_jump_reaches(setting, model, fewest, score, (j, VISIBLE_SHARE)) for j in terms)


def _to_be_reached(setting: Setting, chosen: Fitted, model: Model, absent: Sequence[int]) -> float:
    """The criterion below which another explanation is nearly as good.

    Where the best one misses the cells by far more than their readings scatter, there is something
    in them that no model has, and a small lead says little.
    """
    if absent:
        # A term that is nowhere to be seen could only hide behind a jump that cancels it: that
        # has to explain more than the cost without the term does.
        without = min(model.value(model.claimed, drop=j) for j in absent)
        spent = min(MOST_LOWER, len(model.lower)) + model.overheads
        return min(chosen.score, setting.criterion(without, spent))
    known = setting.cells.median_error
    missed = known is not None and chosen.misfit > MISFIT_IN_ERRORS * max(known, setting.floor)
    return chosen.score + (STRICT if missed else AS_GOOD)


def _with_plain_terms(setting: Setting) -> float:
    """The criterion of the claim with as much n, or more, beside a fifth of n·log n."""
    beside = (*lower_terms(setting.law), *near_terms(setting.law))
    model = setting.model(lower=beside)
    logarithmic = [j for j, term in enumerate(model.leading) if near_terms(Law.of((term,)))]
    squares = min(model.squares_with(model.claimed, j, LEAST_LOGARITHM) for j in logarithmic)
    count, solution = len(model.leading), model.solve(model.claimed)
    active = int((solution.coefficients[:-count] > 0).sum()) + count
    return setting.criterion(squares, active)


def one_jump_reaches(
    setting: Setting,
    model: Model,
    fewest: int,
    score: float,
    share: tuple[int, float] | None = None,
) -> bool:
    """Whether some jump, with the claimed exponents, has a criterion below a score.

    Each side of it has the `fewest` cells; `share` is a leading term's number and least share.
    """
    cells = setting.cells
    sudden = [one.later.astype(np.float64) for one in candidates(cells, model.law, fewest)]
    gradual = [ramp for ramp in ramps(cells, model.law) if 0 < ramp.min() + ramp.max() < 2]
    limit = setting.squares_below(score, model.solve(model.claimed).active + 2)
    found = _Jumps(model, share).squares(sudden, gradual, limit)
    return limit > 0 and any(squares < limit for squares in found)


class _Jumps:
    """The squared residuals at the claimed exponents, with a jump of the cost."""

    def __init__(self, model: Model, share: tuple[int, float] | None) -> None:
        columns, self._target = model.columns_at(model.claimed), model.target
        self._share = share and (len(model.lower) + share[0], share[1])
        self._fixed, self._growing = np.split(columns, [model.overheads], axis=1)
        self._one = model.target / model.cells.cost  # what a cost of 1 in each cell is
        self._lower = [term.evaluate(model.cells.sizes) * self._one for term in model.lower]

    def squares(
        self, sudden: Sequence[Floats], gradual: Sequence[Floats], limit: float
    ) -> Iterator[float]:
        """Those of every jump, but for thresholds at which none can come below the limit."""
        for later in sudden:
            yield self._least(self._growing * later[:, None], self._one * (1 - later))
            if self._apart(later) < limit:
                for term in self._lower:
                    yield self._least(self._growing, term * later)
                yield self._with_factors(later)
        for step in gradual:
            if self._apart(step) < limit:
                yield self._with_factors(step)

    def _with_factors(self, step: Floats) -> float:
        """With the best factor: sought on a grid, then between its neighbours there."""
        logs, found = _LOG_FACTORS, math.inf
        for _ in range(_REFINED):
            squares = [self._least(self._growing * np.exp(log * step)[:, None]) for log in logs]
            best = int(np.argmin(squares))
            found = min(found, squares[best])
            below, above = logs[max(best - 1, 0)], logs[min(best + 1, logs.size - 1)]
            logs = np.linspace(below, above, 6)[1:-1]
        return found

    def _apart(self, step: Floats) -> float:
        """With coefficients of any sign, and others on each level of a step: a lower bound."""
        levels = [self._growing * (step == level)[:, None] for level in np.unique(step)]
        columns = np.hstack([self._fixed, *levels])
        columns = columns / column_lengths(columns)
        rest = self._target - columns @ np.linalg.lstsq(columns, self._target, rcond=None)[0]
        return float(rest @ rest)

    def _least(self, growing: Floats, more: Floats | None = None) -> float:
        target = self._target
        if self._share is not None:
            column, share = self._share
            target = without_share(target, growing[:, column], share)
        columns = (self._fixed, growing, *(() if more is None else (more[:, None],)))
        return least_squares(np.hstack(columns), target)
