"""Polynomials in sizes with exact rational coefficients, recovered from values on a grid.

A program has batch, num_heads, seq_len and head_dim. People and documents speak of d = d_model too,
which is h·head_dim: 4·b·h·n²·head_dim is written 4·b·n²·d, and 1024·head_dim keeps its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    head_dim: int

    @property
    def d(self) -> int:
        """d_model."""
        return self.h * self.head_dim

    def to_plain(self) -> dict[str, int]:
        """By letter."""
        return dict(zip(LETTERS, (self.b, self.h, self.n, self.d, self.head_dim), strict=True))


LETTERS = ("b", "h", "n", "d", "head_dim")
"""What people and documents name: batch, num_heads, seq_len, d_model and head_dim."""
Powers = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """A sum of monomials: `terms` has the coefficient of each, by the powers of a `Point`."""

    terms: tuple[tuple[Powers, Fraction], ...]

    def __call__(self, point: Point) -> Fraction:
        """Its value."""
        sizes = tuple(map(Fraction, point))
        monomials = (c * math.prod(map(pow, sizes, powers)) for powers, c in self.terms)
        return sum(monomials, start=Fraction(0))

    def __str__(self) -> str:
        """For people: `4·b·n²·d + 2·n`."""
        text = ""
        for powers, coefficient in self._lettered():
            text += (" − " if coefficient < 0 else " + ") if text else ("−" * (coefficient < 0))
            text += _monomial(abs(coefficient), powers)
        return text or "0"

    def plus(self, other: Polynomial, factor: int = 1) -> Polynomial:
        """The sum with `factor` times another."""
        total = dict(self.terms)
        for powers, coefficient in other.terms:
            total[powers] = total.get(powers, Fraction(0)) + factor * coefficient
        return Polynomial.of(total)

    def _lettered(self) -> list[tuple[Powers, Fraction]]:
        """The terms by the powers of LETTERS: every h beside a head_dim becomes a d."""
        found = []
        for (b, h, n, head_dim), coefficient in self.terms:
            d = min(h, head_dim)
            found.append(((b, h - d, n, d, head_dim - d), coefficient))
        return _ordered(found)

    @classmethod
    def of(cls, coefficients: Mapping[Powers, Fraction]) -> Polynomial:
        """The terms that are not zero, those that grow fastest first, among equals those in n."""
        return cls(terms=tuple(_ordered([(powers, c) for powers, c in coefficients.items() if c])))

    @classmethod
    def from_plain(cls, rows: Sequence[Mapping[str, Any]]) -> Polynomial:
        """The inverse of `to_plain`."""
        total: dict[Powers, Fraction] = {}
        for row in rows:
            b, h, n, d, head_dim = (row["powers"].get(letter, 0) for letter in LETTERS)
            powers = b, h + d, n, head_dim + d
            total[powers] = total.get(powers, Fraction(0)) + Fraction(row["coefficient"])
        return cls.of(total)

    def to_plain(self) -> list[dict[str, object]]:
        """For programs: a coefficient, a number or "p/q", and the powers of each term."""
        return [
            {
                "coefficient": int(c) if c.denominator == 1 else str(c),
                "powers": {letter: p for letter, p in zip(LETTERS, powers, strict=True) if p},
            }
            for powers, c in self._lettered()
        ]


def _ordered(terms: Iterable[tuple[Powers, Fraction]]) -> list[tuple[Powers, Fraction]]:
    """Those that grow fastest first, among equals those in n."""
    return sorted(terms, key=lambda one: (sum(one[0]), one[0][2], one[0][3], one[0]), reverse=True)


def interpolated(
    nodes: Sequence[Sequence[int]], value: Callable[[Point], int | None]
) -> Polynomial | None:
    """The polynomial through the values on a grid; None where a value cannot be had.

    `nodes` are the sizes of a `Point`. The degree in each letter is below its number of nodes.
    """
    values: list[Fraction] = []
    for sizes in product(*nodes):
        known = value(Point(*sizes))
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
    parts = [
        letter + (SUPERSCRIPTS.get(power, f"^{power}") if power > 1 else "")
        for letter, power in zip(LETTERS, powers, strict=True)
        if power
    ]
    if coefficient != 1 or not parts:
        parts.insert(0, str(coefficient))
    return "·".join(parts)
