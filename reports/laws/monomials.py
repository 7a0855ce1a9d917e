"""Monomials such as n²·log(n)·d and their sums: how they grow, and how they print."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_GAP = Fraction(1, 2)
"""By how much, in all exponents, a lower-order term must be lower: nearer ones look the same."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_READING_ORDER = ("n", "d")  # as people write it: n first, then d, then the rest by name


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One size name inside a monomial: name^power * log(name)^log_power; neither is both 0."""

    name: str
    power: Fraction = Fraction(0)
    log_power: Fraction = Fraction(0)

    @property
    def growth(self) -> tuple[Fraction, Fraction]:
        """Orders factors of one name by how fast they grow: the power first, then its log."""
        return (self.power, self.log_power)


@dataclass(frozen=True, kw_only=True)
class Monomial:
    """A product of powers of size names and of their logarithms; no factor at all is 1.

    Build it with `Monomial.of` or `reports.laws.grammar.parse`, which order the factors, so that
    equal monomials compare equal.
    """

    factors: tuple[Factor, ...] = ()

    @classmethod
    def of(
        cls,
        powers: Mapping[str, Fraction | int],
        log_powers: Mapping[str, Fraction | int] | None = None,
    ) -> Monomial:
        """The monomial with these powers of names and, optionally, of their logarithms."""
        logs = log_powers or {}
        factors = [
            Factor(
                name=name,
                power=Fraction(powers.get(name, 0)),
                log_power=Fraction(logs.get(name, 0)),
            )
            for name in sorted({*powers, *logs}, key=reading_order)
        ]
        return cls(factors=tuple(f for f in factors if f.power or f.log_power))

    @property
    def names(self) -> tuple[str, ...]:
        """The size names in it, n and d first."""
        return tuple(factor.name for factor in self.factors)

    def factor(self, name: str) -> Factor:
        """Its factor of this name; power 0 when the name does not occur."""
        return next((f for f in self.factors if f.name == name), Factor(name=name))

    def power(self, name: str) -> Fraction:
        """The exponent of this name, 0 when the name does not occur."""
        return self.factor(name).power

    def with_power(self, name: str, power: Fraction) -> Monomial:
        """The same monomial with another exponent for one name; its logarithm stays."""
        powers = {f.name: f.power for f in self.factors}
        logs = {f.name: f.log_power for f in self.factors}
        return Monomial.of({**powers, name: power}, logs)

    def only(self, names: Collection[str]) -> Monomial:
        """The part made of these names: the rest is a constant when the rest does not vary."""
        return Monomial(factors=tuple(f for f in self.factors if f.name in names))

    @property
    def logarithms(self) -> Monomial:
        """The part made of logarithms."""
        return Monomial.of({}, {f.name: f.log_power for f in self.factors})

    def times(self, other: Monomial) -> Monomial:
        """The product of the two."""
        names = {*self.names, *other.names}
        return Monomial.of(
            {name: self.power(name) + other.power(name) for name in names},
            {n: self.factor(n).log_power + other.factor(n).log_power for n in names},
        )

    def raised(self, power: Fraction) -> Monomial:
        """The monomial to a power."""
        return Monomial.of(
            {f.name: f.power * power for f in self.factors},
            {f.name: f.log_power * power for f in self.factors},
        )

    def divides(self, other: Monomial) -> bool:
        """Whether it outgrows the other in no variable, so that it is at most of its order."""
        return all(
            self.factor(name).growth <= other.factor(name).growth
            for name in {*self.names, *other.names}
        )

    def divisors(self) -> tuple[Monomial, ...]:
        """The lower-order terms a program with this leading term may have; always begins with 1.

        Every product of whole powers below or equal to its own, itself left out: 1, d, n, n·d, n²
        for n²·d. A logarithm appears only beside the full power, and a negative power stays.
        """
        choices: list[list[Factor]] = []
        for factor in self.factors:
            powers = [Fraction(k) for k in range(math.ceil(factor.power))]
            if factor.log_power > 0 or (factor.log_power and factor.power > 0):
                powers.append(max(factor.power, Fraction(0)))
            choices.append([*(Factor(name=factor.name, power=one) for one in powers), factor])
        products = {
            Monomial(factors=tuple(f for f in chosen if f.power or f.log_power))
            for chosen in itertools.product(*choices)
        }
        return tuple(sorted({Monomial(), *products} - {self}, key=_growth_key))

    def evaluate(self, sizes: Mapping[str, npt.ArrayLike]) -> Floats:
        """Its value at every point, sizes given as arrays of one shape; logarithms are natural.

        Raises:
            ValueError: a name of the monomial is not among the sizes.

        """
        missing = [name for name in self.names if name not in sizes]
        if missing:
            known = ", ".join(sizes) or "none"
            raise ValueError(f"{self} needs the size {missing[0]}, got {known}; name it too")
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in sizes.items()}
        shapes = {values.shape for values in arrays.values()}
        shape = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
        product = np.ones(shape, dtype=np.float64)
        for factor in self.factors:
            values = arrays[factor.name]
            product = product * (values if factor.power == 1 else values ** float(factor.power))
            if factor.log_power:
                product = product * np.log(values) ** float(factor.log_power)
        return product

    def __str__(self) -> str:
        """Plain text that `reports.laws.grammar.parse` reads back, as in n^2*d."""
        return self._written("*", _plain_power)

    def unicode(self) -> str:
        """Text for people, as in n²·d; exponents that are not whole keep the caret."""
        return self._written("·", _unicode_power)

    def _written(self, times: str, raised: Callable[[Fraction], str]) -> str:
        parts = []
        for f in self.factors:
            if f.power:
                parts.append(f.name + raised(f.power))
            if f.log_power:
                parts.append(f"log({f.name})" + raised(f.log_power))
        return times.join(parts) or "1"


@dataclass(frozen=True, kw_only=True)
class Law:
    """A sum of monomials, without coefficients: only the growth is claimed."""

    terms: tuple[Monomial, ...]

    @classmethod
    def of(cls, terms: Iterable[Monomial]) -> Law:
        """The sum of these terms, repeated ones once, the fastest-growing first."""
        return cls(terms=tuple(sorted(set(terms), key=_growth_key, reverse=True)))

    @property
    def names(self) -> tuple[str, ...]:
        """The size names in it, n and d first."""
        names = {name for term in self.terms for name in term.names}
        return tuple(sorted(names, key=reading_order))

    @property
    def leading(self) -> tuple[Monomial, ...]:
        """The terms that no other term covers: in n²d + nd² + nd the first two."""
        return tuple(
            term
            for term in self.terms
            if not any(term != other and term.divides(other) for other in self.terms)
        )

    def divisors(self) -> tuple[Monomial, ...]:
        """The lower-order terms of all its leading terms together, none of them leading."""
        lower = {divisor for term in self.leading for divisor in term.divisors()}
        return tuple(sorted(lower - set(self.leading), key=_growth_key))

    def only(self, names: Collection[str]) -> Law:
        """The law that is left when every other size stands still."""
        return Law.of(tuple(term.only(names) for term in self.terms))

    def in_place_of(self, name: str, other: str) -> Law:
        """The law where the size `name` is `other` times a constant: n·d²/h is n·d where h is d."""
        return Law.of(
            term.with_power(name, Fraction(0)).times(Monomial.of({other: term.power(name)}))
            for term in self.terms
        )

    def covers(self, term: Monomial) -> bool:
        """Whether some term of the law grows at least as fast as this one in every variable."""
        return any(term.divides(own) for own in self.terms)

    def __iter__(self) -> Iterator[Monomial]:
        return iter(self.terms)

    def __str__(self) -> str:
        """Plain text that `reports.laws.grammar.parse` reads back, as in n^2*d + n*d^2."""
        return " + ".join(str(term) for term in self.terms)

    def unicode(self) -> str:
        """Text for people, as in n²·d + n·d²."""
        return " + ".join(term.unicode() for term in self.terms)


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
        for powers in itertools.product(*(range(top + 1) for top in tops))
    ]
    return [term for term in terms if not law.covers(term)]


def reading_order(name: str) -> tuple[int, str]:
    """Sorts size names as people write them: n, then d, then the others by name."""
    place = _READING_ORDER.index(name) if name in _READING_ORDER else len(_READING_ORDER)
    return (place, name)


def _growth_key(term: Monomial) -> tuple[Fraction, tuple[tuple[Fraction, Fraction], ...], str]:
    total = sum((f.power for f in term.factors), start=Fraction(0))
    first = tuple(term.factor(name).growth for name in _READING_ORDER)
    return (total, first, str(term))


def _plain_power(power: Fraction) -> str:
    if power == 1:
        return ""
    decimal = f"{float(power):.12g}"
    exact = "e" not in decimal and Fraction(decimal) == power
    return f"^{decimal}" if exact else f"^({power})"


def _unicode_power(power: Fraction) -> str:
    if power == 1 or power.denominator != 1:
        return _plain_power(power)
    return str(power).translate(_SUPERSCRIPTS)
