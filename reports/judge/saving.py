"""What may explain the cells beside a claim that does not alone: asked before it is refuted."""

from __future__ import annotations

from collections.abc import Sequence

from reports.judge.findings import VISIBLE_SHARE
from reports.judge.models.breaks import FEWEST_CELLS
from reports.judge.models.error_scale import MISFIT_IN_ERRORS, STRICT, Setting
from reports.judge.models.explanations import Fitted, is_long
from reports.judge.models.model import LeastShare, Model
from reports.judge.models.non_negative import MOST_LOWER
from reports.judge.models.one_jump import one_jump_reaches
from reports.judge.models.related_terms import lower_terms, near_terms
from reports.laws.monomials import Law

AS_GOOD = 2.0
"""What saves a claim explains the cells as well: so much, in the criterion, is hardly evidence
(Kass & Raftery 1995)."""
LEAST_LOGARITHM = 0.2
"""The part of some cell that n·log n has at least beside as much n."""


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
    shares = [LeastShare(term=j, share=VISIBLE_SHARE) for j in absent or range(len(model.leading))]
    return any(one_jump_reaches(setting, model, fewest, score, one) for one in shares)


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
    columns, count = model.columns_at(model.claimed), len(model.leading)
    logarithmic = [j for j, term in enumerate(model.leading) if near_terms(Law.of((term,)))]
    squares = min(
        model.squares_with(columns, LeastShare(term=j, share=LEAST_LOGARITHM)) for j in logarithmic
    )
    solution = model.solve(model.claimed)
    active = int((solution.coefficients[:-count] > 0).sum()) + count
    return setting.criterion(squares, active)
