"""Terms that outgrow a claim: which there are, and which explain the cells beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np

from reports.judge.models.error_scale import STRICT, Setting
from reports.judge.models.non_negative import Mask
from reports.laws.monomials import Monomial, outgrowing

LIKELIEST = 4  # terms: one of them is among the two that may be there


def shows_beyond(setting: Setting, term: Monomial) -> bool:
    """Whether an outgrowing term leads as clearly without the smallest sizes it falls behind in.

    n·d² outgrows n²·d in d and falls behind in n, so that it shows most at the smallest n: there
    blocks do not fill, threads wake for little, and inputs leave a cache. What shows there only
    is no growth.
    """
    cells = setting.cells
    kept = np.ones(len(cells), dtype=np.bool_)
    for name in setting.names:
        if term.power(name) < min(lead.power(name) for lead in setting.law.leading):
            kept &= cells.sizes[name] > cells.sizes[name].min()
    few = int(kept.sum()) <= _columns(setting, (term,))
    return bool(kept.all()) or few or _leads(setting, (term,), kept)


def rests_on_largest(setting: Setting, terms: Sequence[Monomial]) -> bool:
    """Whether outgrowing terms show at the largest sizes alone, where one cell may just be dearer.

    What is left without the largest value of a size in which they outgrow the claim has to speak
    for them too.
    """
    cells, law = setting.cells, setting.law
    for name in setting.names:
        if any(t.power(name) > max(one.power(name) for one in law.leading) for t in terms):
            kept = cells.sizes[name] < cells.sizes[name].max()
            if not _leads(setting, terms, kept):
                return True
    return False


def _leads(setting: Setting, terms: Sequence[Monomial], kept: Mask) -> bool:
    """Whether these terms beside the claim lead free exponents on some of the cells."""
    rest = replace(setting, cells=setting.cells.only(kept))
    if len(rest.cells) <= _columns(setting, terms):
        return False
    model = rest.model(extra=terms)
    plain, beside = rest.solve_plain(), model.solve(model.claimed)
    without = rest.criterion(plain.sse, plain.active + len(setting.names))
    return rest.criterion(beside.sse, beside.active + len(terms)) < without - STRICT


def _columns(setting: Setting, terms: Sequence[Monomial]) -> int:
    model = setting.model(extra=terms)
    return model.size + len(setting.names)


def best_rival(setting: Setting, limit: float) -> tuple[tuple[Monomial, ...], float] | None:
    """The outgrowing terms that explain most beside the claimed law, with their criterion.

    One of them, or two where the second is worth as much as any other richer explanation; None if
    no criterion is below the limit.
    """
    rivals = outgrowing(setting.law, setting.names)
    singles = _beside(setting, [(term,) for term in rivals])
    likely = {term for (term,), _ in singles[:LIKELIEST]}
    two = combinations(rivals, 2)
    pairs = _beside(setting, (pair for pair in two if not likely.isdisjoint(pair)))
    beyond = cache(lambda term: shows_beyond(setting, term))
    single, pair = (
        next((one for one in found if one[1] < limit and all(map(beyond, one[0]))), None)
        for found in (singles, pairs)
    )
    if single is None or (pair is not None and pair[1] < single[1] - STRICT):
        return pair
    return single


def _beside(
    setting: Setting, choices: Iterable[tuple[Monomial, ...]]
) -> list[tuple[tuple[Monomial, ...], float]]:
    """Those terms that are all there beside the claimed law, the best first."""
    found = []
    for terms in choices:
        model = setting.model(extra=terms)
        solution = model.solve(model.claimed)
        if (solution.coefficients[model.overheads :][: len(terms)] > 0).all():
            found.append((terms, setting.criterion(solution.sse, solution.active + len(terms))))
    return sorted(found, key=lambda one: one[1])
