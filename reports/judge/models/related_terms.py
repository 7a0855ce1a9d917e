"""Terms and laws near a law, which its cost may have besides, or follow instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import product

from reports.laws.monomials import Law, Monomial

LEAST_GAP = Fraction(1, 2)
"""By how much, in all exponents, a lower-order term must be lower: nearer ones look the same."""


@cache
def lower_terms(law: Law) -> tuple[Monomial, ...]:
    """The lower-order terms that a program with this law may have, the constant left out.

    Its divisors, but for those within half a power of a leading term: n² beside n²·log n or
    n^2.2 looks like another exponent over any range that can be measured.
    """
    kept = []
    for term in law.divisors():
        near = any(_gap(term, lead) < LEAST_GAP for lead in law.leading if term.divides(lead))
        if term.names and not near:
            kept.append(term)
    return tuple(kept)


def near_terms(law: Law) -> tuple[Monomial, ...]:
    """The leading terms without their logarithms: as much n is often there beside n·log n."""
    found = []
    for lead in law.leading:
        fewer = {f.name: min(f.log_power, Fraction(0)) for f in lead.factors}
        plain = Monomial.of({f.name: f.power for f in lead.factors}, fewer)
        if plain != lead and plain.names:
            found.append(plain)
    return tuple(dict.fromkeys(found))


def _gap(term: Monomial, lead: Monomial) -> Fraction:
    return sum((f.power - term.power(f.name) for f in lead.factors), start=Fraction(0))


def outgrowing(law: Law, names: Sequence[str]) -> list[Monomial]:
    """The products of whole powers of these sizes that a law does not cover."""
    tops = [max(*(math.ceil(t.power(name)) + 1 for t in law.leading), 2) for name in names]
    terms = [
        Monomial.of(dict(zip(names, powers, strict=True)))
        for powers in product(*(range(top + 1) for top in tops))
    ]
    return [term for term in terms if not law.covers(term)]
