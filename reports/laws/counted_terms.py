"""Polynomials that were counted, with exact coefficients, as in documents of `bench.counting`.

[{"coefficient": 4, "powers": {"n": 2, "d": 1}}, {"coefficient": "1/2", "powers": {"n": 1}}]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from reports.laws.monomials import Law, Monomial

Terms: TypeAlias = Sequence[Mapping[str, Any]]

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_ORDER = "bhrnd"


def law_of_terms(terms: Terms) -> Law:
    """How the polynomial grows."""
    return Law.of(Monomial.of(term["powers"]) for term in terms)


def coefficient(terms: Terms, monomial: Monomial) -> Fraction:
    """That of a monomial; 0 where the polynomial does not have it."""
    found = (Fraction(t["coefficient"]) for t in terms if Monomial.of(t["powers"]) == monomial)
    return sum(found, start=Fraction(0))


def value_of(terms: Terms, sizes: Mapping[str, int]) -> Fraction:
    """The polynomial at these sizes."""
    return sum(
        (
            Fraction(term["coefficient"])
            * math.prod(Fraction(sizes[name]) ** power for name, power in term["powers"].items())
            for term in terms
        ),
        start=Fraction(0),
    )


def polynomial_text(terms: Terms) -> str:
    """For people: `4·n²·d + 5·n²`."""
    text = ""
    for term in terms:
        coefficient = Fraction(term["coefficient"])
        sign = "−" if coefficient < 0 else "+"
        parts = [str(abs(coefficient))] if abs(coefficient) != 1 or not term["powers"] else []
        for name in sorted(term["powers"], key=_ORDER.index):
            power = term["powers"][name]
            parts.append(name + (str(power).translate(_SUPERSCRIPTS) if power > 1 else ""))
        text += f" {sign} " if text else sign.strip("+")
        text += "·".join(parts)
    return text or "0"


def leading_crossing(first: Terms, second: Terms) -> tuple[Fraction, Monomial]:
    """From where on the first polynomial is larger, by the leading term of each.

    4·n²·d + 5·n² is larger than 5·r·n·d from n = 5/4 · r on, if d is large.

    Raises:
        ValueError: a polynomial has several leading terms, or the first does not have one power of
            n more than the second.

    """
    leading = [law_of_terms(terms).leading for terms in (first, second)]
    if any(len(found) != 1 for found in leading):
        raise ValueError("expected one leading term in each polynomial, got several")
    (fast,), (slow,) = leading
    if fast.power("n") != slow.power("n") + 1:
        raise ValueError(f"expected one power of n more in {fast} than in {slow}")
    size = slow.times(fast.raised(Fraction(-1))).times(Monomial.of({"n": 1}))
    return coefficient(second, slow) / coefficient(first, fast), size
