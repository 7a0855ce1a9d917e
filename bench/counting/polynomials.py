"""Polynomials in b, h, n, d with exact rational coefficients, recovered from values on a grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

SUPERSCRIPTS = {2: "²", 3: "³", 4: "⁴"}


class Point(NamedTuple):
    """Sizes: batch, num_heads, seq_len (the same for queries and keys) and head_dim."""

    b: int
    h: int
    n: int
    d: int


LETTERS = Point._fields
Powers = tuple[int, ...]
H, D = LETTERS.index("h"), LETTERS.index("d")


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """A sum of monomials: `terms` has the coefficient of each, by the powers of b, h, n and d."""

    terms: tuple[tuple[Powers, Fraction], ...]

    def __call__(self, point: Point) -> Fraction:
        """Its value."""
        sizes = tuple(map(Fraction, point))
        monomials = (c * math.prod(map(pow, sizes, powers)) for powers, c in self.terms)
        return sum(monomials, start=Fraction(0))

    def __str__(self) -> str:
        """For people: `4·b·h·n²·d + 2·n`."""
        text = ""
        for powers, coefficient in self.terms:
            text += (" − " if coefficient < 0 else " + ") if text else ("−" * (coefficient < 0))
            text += _monomial(abs(coefficient), powers)
        return text or "0"

    def plus(self, other: Polynomial, factor: int = 1) -> Polynomial:
        """The sum with `factor` times another."""
        total = dict(self.terms)
        for powers, coefficient in other.terms:
            total[powers] = total.get(powers, Fraction(0)) + factor * coefficient
        return Polynomial.of(total)

    def in_d_model(self) -> Polynomial:
        """The same with d_model, which is h·d, as d; what has more of d than of h is over h."""

        def rewritten(powers: Powers) -> Powers:
            changed = list(powers)
            changed[H] -= powers[D]
            return tuple(changed)

        return Polynomial.of({rewritten(powers): c for powers, c in self.terms})

    @classmethod
    def of(cls, coefficients: Mapping[Powers, Fraction]) -> Polynomial:
        """The terms that are not zero, those that grow fastest first, among equals those in n."""
        found = [(powers, c) for powers, c in coefficients.items() if c]
        found.sort(key=lambda term: (sum(term[0]), term[0][2], term[0][3], term[0]), reverse=True)
        return cls(terms=tuple(found))

    @classmethod
    def from_plain(cls, rows: Sequence[Mapping[str, Any]]) -> Polynomial:
        """The inverse of `to_plain`."""
        total: dict[Powers, Fraction] = {}
        for row in rows:
            powers = tuple(row["powers"].get(letter, 0) for letter in LETTERS)
            total[powers] = Fraction(row["coefficient"])
        return cls.of(total)

    def to_plain(self) -> list[dict[str, object]]:
        """For programs: a coefficient, a number or "p/q", and the powers of each term."""
        return [
            {
                "coefficient": int(c) if c.denominator == 1 else str(c),
                "powers": {letter: p for letter, p in zip(LETTERS, powers, strict=True) if p},
            }
            for powers, c in self.terms
        ]


def interpolated(
    nodes: Sequence[Sequence[int]], value: Callable[[Point], int | None]
) -> Polynomial | None:
    """The polynomial through the values on a grid; None where a value cannot be had.

    `nodes` are the sizes of b, h, n and d. The degree in each letter is below its number of nodes.
    """
    values: list[Fraction] = []
    for b, h, n, d in product(*nodes):
        known = value(Point(b=b, h=h, n=n, d=d))
        if known is None:
            return None
        values.append(Fraction(known))
    # For each axis in turn, values at the nodes become coefficients of powers.
    grid = np.array(values, dtype=object).reshape([len(axis_nodes) for axis_nodes in nodes])
    for axis, axis_nodes in enumerate(nodes):
        grid = np.moveaxis(np.tensordot(_lagrange(axis_nodes), grid, axes=(1, axis)), 0, axis)
    return Polynomial.of(dict(np.ndenumerate(grid)))


def _lagrange(nodes: Sequence[int]) -> np.ndarray[Any, Any]:
    """By power and node: the coefficients of the polynomial that is 1 at a node and 0 at others."""
    columns = []
    for node in nodes:
        others = [other for other in nodes if other != node]
        scale = math.prod(node - other for other in others)
        rising = np.poly(np.array(others, dtype=object))[::-1] if others else [1]  # integers: exact
        columns.append([Fraction(int(coefficient), scale) for coefficient in rising])
    return np.array(columns, dtype=object).T


def _monomial(coefficient: Fraction, powers: Powers) -> str:
    def factors(sign: int) -> list[str]:
        return [
            letter + (SUPERSCRIPTS.get(power, f"^{power}") if power > 1 else "")
            for letter, power in zip(LETTERS, (sign * power for power in powers), strict=True)
            if power > 0
        ]

    parts = factors(1)
    if coefficient != 1 or not parts:
        parts.insert(0, str(coefficient))
    return "/".join(["·".join(parts), *factors(-1)])
