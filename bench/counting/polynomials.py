"""Polynomials in b, h, n, d with exact rational coefficients, recovered from values on a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

SUPERSCRIPTS = {2: "²", 3: "³", 4: "⁴"}


class Point(NamedTuple):
    """Sizes: batch, num_heads, seq_len (the same for queries and keys) and head_dim."""

    b: int
    h: int
    n: int
    d: int


LETTERS = Point._fields
Powers = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """A sum of monomials: `terms` has the coefficient of each, by the powers of b, h, n and d."""

    terms: tuple[tuple[Powers, Fraction], ...]

    def __call__(self, point: Point) -> Fraction:
        """Its value."""
        return sum(
            (
                coefficient * point.b**b * point.h**h * point.n**n * point.d**d
                for (b, h, n, d), coefficient in self.terms
            ),
            start=Fraction(0),
        )

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
            b, h, n, d = (row["powers"].get(letter, 0) for letter in LETTERS)
            total[b, h, n, d] = Fraction(row["coefficient"])
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


def interpolated(nodes: Sequence[Sequence[int]], value: Callable[[Point], int]) -> Polynomial:
    """The polynomial through the values on a grid, of a degree in each letter below its nodes.

    `nodes` are the sizes of b, h, n and d; for each axis in turn, values at the nodes become
    coefficients of powers.
    """
    b_nodes, h_nodes, n_nodes, d_nodes = nodes
    grid = {
        (i, j, k, m): Fraction(value(Point(b=b, h=h, n=n, d=d)))
        for i, b in enumerate(b_nodes)
        for j, h in enumerate(h_nodes)
        for k, n in enumerate(n_nodes)
        for m, d in enumerate(d_nodes)
    }
    for axis, axis_nodes in enumerate(nodes):
        inverse = _inverse_vandermonde(axis_nodes)
        grid = {
            index: sum(
                (
                    inverse[index[axis]][node] * grid[_moved(index, axis, node)]
                    for node in range(len(axis_nodes))
                ),
                start=Fraction(0),
            )
            for index in grid
        }
    return Polynomial.of(grid)


def _moved(index: Powers, axis: int, place: int) -> Powers:
    b, h, n, d = (place if one == axis else old for one, old in enumerate(index))
    return b, h, n, d


def _inverse_vandermonde(nodes: Sequence[int]) -> list[list[Fraction]]:
    """Row p, column i: what the value at node i adds to the coefficient of the p-th power.

    Column i holds the coefficients of Lagrange's polynomial that is 1 at node i and 0 at others.
    """
    columns = []
    for i, node in enumerate(nodes):
        product = [Fraction(1)]
        for j, other in enumerate(nodes):
            if i != j:
                # Times (x - other) / (node - other).
                shifted = [Fraction(0), *product]
                scaled = [*(other * c for c in product), Fraction(0)]
                product = [
                    (up - down) / (node - other) for up, down in zip(shifted, scaled, strict=True)
                ]
        columns.append(product)
    return [list(row) for row in zip(*columns, strict=True)]


def _monomial(coefficient: Fraction, powers: Powers) -> str:
    parts = [
        letter + (SUPERSCRIPTS.get(power, f"^{power}") if power > 1 else "")
        for letter, power in zip(LETTERS, powers, strict=True)
        if power
    ]
    if coefficient != 1 or not parts:
        parts.insert(0, str(coefficient))
    return "·".join(parts)
