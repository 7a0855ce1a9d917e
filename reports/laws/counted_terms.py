"""Polynomials that were counted, with exact coefficients, as in documents of `bench.counting`.

[{"coefficient": 4, "powers": {"n": 2, "d": 1}}, {"coefficient": "1/2", "powers": {"n": 1}}]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from reports.laws.grammar import parse_monomial
from reports.laws.monomials import Law, Monomial

Terms: TypeAlias = Sequence[Mapping[str, Any]]

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_ORDER = "bhrnd"


def law_of_terms(terms: Terms) -> Law:
    """How the polynomial grows."""
    return Law.of(Monomial.of(term["powers"]) for term in terms)


def coefficient(terms: Terms, monomial: str | Monomial) -> Fraction:
    """That of a monomial such as `n^2*d`; 0 where the polynomial does not have it."""
    wanted = parse_monomial(monomial) if isinstance(monomial, str) else monomial
    found = (Fraction(t["coefficient"]) for t in terms if Monomial.of(t["powers"]) == wanted)
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


def overtaking(terms: Terms, fast: str, slow: str) -> tuple[Fraction, Monomial]:
    """From where on one term of a polynomial is larger than another, as a factor and a size.

    In 6·n·d² + 4·n²·d the term n^2*d overtakes n*d^2 from n = 3/2 · d on.

    Raises:
        ValueError: a term is missing, or `fast` does not have one power of n more than `slow`.

    """
    return _crossing(terms, parse_monomial(fast), terms, parse_monomial(slow))


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
    return _crossing(first, fast, second, slow)


def _crossing(
    first: Terms, fast: Monomial, second: Terms, slow: Monomial
) -> tuple[Fraction, Monomial]:
    high, low = coefficient(first, fast), coefficient(second, slow)
    if not high or not low or fast.power("n") != slow.power("n") + 1:
        raise ValueError(
            f"expected {fast} and {slow} with positive coefficients, the first with one power of n "
            f"more, got {high} and {low}"
        )
    size = slow.times(fast.raised(Fraction(-1))).times(Monomial.of({"n": 1}))
    return low / high, size
