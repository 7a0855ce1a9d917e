"""Counts against published laws: is the growth the published one, and what is the exact number?

The counts come as the document of `bench.counting.mechanisms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reports.laws.counted_terms import Terms, law_of_terms, polynomial_text
from reports.table1.published import law_of

MOST_SPREAD = 1.4
"""By so much may lengths over the published law differ: whole layers are rounded up.

Between 8 and 128 positions the logarithm grows by 2.3, and n by 16.
"""
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
Sizes = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A count in words of mathematics, and whether it grows as published."""

    text: str
    holds: bool


def counted_polynomial(terms: Terms, published: str) -> Counted:
    """The polynomial, whose leading terms have to be those that were published.

    A size that the polynomial does not have as a letter, such as k, was a constant of the program.
    """
    law = law_of_terms(terms)
    letters = {"n", "d", *law.names}
    holds = set(law.leading) == set(law_of(published).only(letters).leading)
    return Counted(text=polynomial_text(terms), holds=holds)


def counted_path(paths: Sequence[Mapping[str, Any]], published: str) -> Counted:
    """The operators on the path: exactly by a formula, where one of `_FORMULAS` gives them all."""
    lengths = [int(path["operators"]) for path in paths]
    sizes = [path["sizes"] for path in paths]
    law = law_of(published)
    shares = [
        length / sum(float(term.evaluate(size)) for term in law)
        for length, size in zip(lengths, sizes, strict=True)
    ]
    holds = max(shares) <= MOST_SPREAD * min(shares)
    return Counted(text=_exact_text(sizes, lengths), holds=holds)


def _exact_text(sizes: Sequence[Sizes], lengths: Sequence[int]) -> str:
    for formula in _FORMULAS:
        text = formula(sizes, lengths)
        if text is not None:
            return text
    listed = ", ".join(map(str, lengths))
    return f"{listed} at n = {', '.join(str(size['n']) for size in sizes)}"


def _straight(sizes: Sequence[Sizes], lengths: Sequence[int]) -> str | None:
    """`3·n + 1`, or a constant."""
    first, last = sizes[0]["n"], sizes[-1]["n"]
    if len({tuple({**size, "n": 0}.items()) for size in sizes}) > 1 or first == last:
        return None
    slope = Fraction(lengths[-1] - lengths[0], last - first)
    if slope.denominator > 1:
        return None
    at_zero = lengths[0] - slope * first
    if any(length != at_zero + slope * s["n"] for s, length in zip(sizes, lengths, strict=True)):
        return None
    terms = [{"coefficient": slope, "powers": {"n": 1}}, {"coefficient": at_zero, "powers": {}}]
    return polynomial_text([term for term in terms if term["coefficient"]])


def _multiple(
    letter: str, text: Callable[[Sizes], str], steps: Callable[[Sizes], int]
) -> Callable[[Sequence[Sizes], Sequence[int]], str | None]:
    """So many operators for each of the steps that a formula in n and another letter gives."""

    def found(sizes: Sequence[Sizes], lengths: Sequence[int]) -> str | None:
        if any(letter not in size for size in sizes):
            return None
        factors = {Fraction(length, steps(s)) for s, length in zip(sizes, lengths, strict=True)}
        if len(factors) != 1:
            return None
        (factor,) = factors
        return text(sizes[0]) if factor == 1 else f"{factor}·{text(sizes[0])}"

    return found


def _layers_of_kernels(size: Sizes) -> int:
    """The least whole number of layers with kernel_size to its power no less than n."""
    layers = 1
    while size["k"] ** layers < size["n"]:
        layers += 1
    return layers


_FORMULAS = (
    _multiple(
        "k", lambda size: f"⌈log{str(size['k']).translate(_SUBSCRIPTS)} n⌉", _layers_of_kernels
    ),
    _multiple("k", lambda _: "⌈(n−1)/(k−1)⌉", lambda s: -(-(s["n"] - 1) // (s["k"] - 1))),
    _multiple("r", lambda _: "⌈2(n−1)/(r−1)⌉", lambda s: -(-2 * (s["n"] - 1) // (s["r"] - 1))),
    _straight,
)
