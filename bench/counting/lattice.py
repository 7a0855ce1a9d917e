"""Sizes on which a count is a polynomial, and the search for them.

A program that works in blocks costs whole blocks: its counts are polynomials in n only where n is
a multiple of the block. The search tries lattices of sizes, finest first; a polynomial through a
few of their points is believed once it has foretold the counts at further ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from bench.counting.polynomials import Point, Polynomial, interpolated

Value = Callable[[Point], int | None]
"""The count at a point; None where it cannot be had."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The multiples of `step` from `start` on, which is one of them."""

    step: int
    start: int

    def __contains__(self, size: int) -> bool:
        return size >= self.start and size % self.step == 0

    def node(self, index: int) -> int:
        """The size of that index, from 0."""
        return self.start + index * self.step

    def from_(self, least: int) -> int:
        """The smallest size that is no less than `least`."""
        return max(self.start, -(-least // self.step) * self.step)

    def describe(self, letter: str) -> str | None:
        """For people; None where every size is meant."""
        multiple = f"a multiple of {self.step}" if self.step > 1 else ""
        least = f"at least {self.start}" if self.start > self.step else ""
        limits = ", ".join(filter(None, (multiple, least)))
        return f"{letter} {limits}" if limits else None


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Sizes: any b, steps in h, n and head_dim, and n at least `n_over_head_dim` times head_dim.

    `is_single`: b = 1 only. Of one item, heads that are taken out of wider rows are moved by other
    operators than of several.
    """

    h: Steps
    n: Steps
    head_dim: Steps
    n_over_head_dim: int = 0
    is_single: bool = False

    def __contains__(self, point: Point) -> bool:
        return (
            (point.b == 1 if self.is_single else point.b >= 1)
            and point.h in self.h
            and point.n in self.n
            and point.head_dim in self.head_dim
            and point.n >= self.n_over_head_dim * point.head_dim
        )

    def __str__(self) -> str:
        """For people: `n a multiple of 512; h a multiple of 2`, or `all sizes`."""
        limits = [
            self.n.describe("n"),
            self.h.describe("h"),
            self.head_dim.describe("head_dim"),
        ]
        if self.n_over_head_dim:
            factor = f"{self.n_over_head_dim}·" if self.n_over_head_dim > 1 else ""
            limits.append(f"n at least {factor}head_dim")
        limits.append("b = 1" if self.is_single else None)
        return "; ".join(filter(None, limits)) or "all sizes"

    def to_plain(self) -> dict[str, object]:
        """For programs."""
        rows: dict[str, object] = {
            letter: {"multiple_of": steps.step, "at_least": steps.start}
            for letter, steps in (("h", self.h), ("n", self.n), ("head_dim", self.head_dim))
        }
        return {
            "text": str(self),
            **rows,
            "n_at_least_times_head_dim": self.n_over_head_dim,
            "is_single": self.is_single,
        }


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A polynomial, where it holds, and the points at which it was right without being fitted."""

    polynomial: Polynomial
    lattice: Lattice
    checked_at: tuple[Point, ...]


HEADS = tuple(Steps(step=k, start=start) for k, start in ((1, 1), (1, 2), (2, 2), (4, 4), (8, 8)))
FEATURES = (
    *(Steps(step=1, start=start) for start in (1, 2, 16)),
    *(Steps(step=step, start=step) for step in (2, 8, 16, 32, 64)),
)
LENGTHS = (
    # 192 and 768: where torch's own CPU kernel takes larger blocks.
    *(Steps(step=1, start=start) for start in (1, 2, 16, 192, 512, 768, 2048)),
    *(Steps(step=2**k, start=2**k) for k in range(1, 10)),
    *(Steps(step=step, start=2048) for step in (512, 1024, 2048)),
    Steps(step=4096, start=4096),
)
LENGTHS_OVER_FEATURES = (0, 1, 2, 4, 8)
WIDTHS = (2, 16, 64)
WIDEST = 64
DEGREE_IN_N = 2
DEGREES = (1, 2)
FEWEST_CHECKS = 3
SOMEWHERE = Point(b=1, h=2, n=5, head_dim=3)
VERY_FAR = Point(b=1, h=8, n=2**20, head_dim=64)


def fitted(value: Value, far: int, *, is_layer: bool = False) -> Fitted | None:
    """The polynomial on the finest lattice found on which it holds; None if there is none.

    Lengths up to `far` are looked at, and beyond where a count is at hand. Of a layer, one that has
    h or head_dim beside d_model more than once is a kink that a few sizes do not show.
    """
    points = (Point(b=1, h=2, n=far, head_dim=width) for width in WIDTHS)
    at = next((point for point in points if value(point) is not None), None)
    if at is None:
        return None
    # Tried once: a search for a line in b where there is none would try every lattice in vain.
    counts = [value(SOMEWHERE._replace(b=b)) for b in (1, 2, 3)]
    known = [count for count in counts if count is not None]
    is_single = len(known) == len(counts) and known[2] != _extrapolated(known[:2], 2)
    for lengths in LENGTHS:
        last = (far - lengths.start) // lengths.step
        if not _foretells(lengths, _along(value, "n", at), DEGREE_IN_N, (3, 5, last - 1, last)):
            continue
        heads = _first_along(HEADS, _along(value, "h", at._replace(n=lengths.start)), (3, 16))
        if heads is None:
            continue
        for ratio in LENGTHS_OVER_FEATURES:
            found = _fitted_on(value, far, lengths, heads, ratio, is_single)
            if found is not None and (not is_layer or _has_few_heads(found.polynomial)):
                return found
    return None


def _has_few_heads(polynomial: Polynomial) -> bool:
    return all(abs(h - head_dim) <= 1 for (_, h, _, head_dim), _ in polynomial.terms)


def _fitted_on(
    value: Value, far: int, lengths: Steps, heads: tuple[Steps, int], ratio: int, is_single: bool
) -> Fitted | None:
    """The polynomial for these lengths and heads, and the finest widths on which it holds."""
    steps, degree_in_h = heads
    at = Point(b=1, h=steps.start, n=lengths.from_(ratio * WIDEST), head_dim=WIDEST)
    further = (3, 5, 16, WIDEST - 1)
    widths = _first_along(FEATURES, _along(value, "head_dim", at), further, most=WIDEST)
    if widths is None:
        return None
    features, degree_in_d = widths
    lattice = Lattice(
        h=steps, n=lengths, head_dim=features, n_over_head_dim=ratio, is_single=is_single
    )
    least = lengths.from_(ratio * features.node(degree_in_d))
    nodes = (
        (1,) if is_single else (1, 2),
        [steps.node(index) for index in range(degree_in_h + 1)],
        [least + index * lengths.step for index in range(DEGREE_IN_N + 1)],
        [features.node(index) for index in range(degree_in_d + 1)],
    )
    polynomial = interpolated(nodes, value)
    checked = polynomial and _checked(polynomial, lattice, value, far)
    if not polynomial or not checked:
        return None
    return Fitted(polynomial=polynomial, lattice=lattice, checked_at=checked)


def _along(value: Value, letter: str, at: Point) -> Callable[[int], int | None]:
    """The counts where one size changes and the others stay."""
    return lambda size: value(at._replace(**{letter: size}))


def _first_along(
    choices: tuple[Steps, ...],
    value: Callable[[int], int | None],
    further: tuple[int, ...],
    most: float = math.inf,
) -> tuple[Steps, int] | None:
    """The finest steps in one letter along which the values are polynomial, and its degree."""
    for steps, degree in product(choices, DEGREES):
        if _foretells(steps, value, degree, further, most):
            return steps, degree
    return None


def _foretells(
    steps: Steps,
    value: Callable[[int], int | None],
    degree: int,
    further: tuple[int, ...],
    most: float = math.inf,
) -> bool:
    """Whether the first values give those of further indices; sizes without a value are no proof.

    Indices that the polynomial goes through itself are left out, and sizes above `most`.
    """
    first = [value(steps.node(index)) for index in range(degree + 1)]
    known = [count for count in first if count is not None]
    if len(known) < len(first):
        return False
    # The farthest first: it is the likeliest to differ.
    for index in sorted(set(further), reverse=True):
        if index <= degree or steps.node(index) > most:
            continue
        count = value(steps.node(index))
        if count is not None and count != _extrapolated(known, index):
            return False
    return True


def _extrapolated(values: Sequence[int], index: int) -> int:
    """The polynomial through values at 0, 1, …, by Newton's forward differences."""
    total = 0
    for order in range(len(values)):
        total += math.comb(index, order) * values[0]
        values = [later - earlier for earlier, later in pairwise(values)]
    return total


def _checked(
    polynomial: Polynomial, lattice: Lattice, value: Value, far: int
) -> tuple[Point, ...] | None:
    """The points at which the polynomial gives the count; None if it does not, or too few do."""
    passed = []
    for point in _further_points(lattice, far):
        count = value(point) if point in lattice else None
        if count is not None:
            if polynomial(point) != count:
                return None
            passed.append(point)
    return tuple(passed) if len(passed) >= FEWEST_CHECKS else None


def _further_points(lattice: Lattice, far: int) -> Iterator[Point]:
    """Points off the grid that was fitted, and at the edge of the lattice."""
    heads, lengths, widths = lattice.h.node, lattice.n.node, lattice.head_dim.node

    def at(b: int, h: int, n: int, head_dim: int) -> Point:
        least = lattice.n_over_head_dim * head_dim
        return Point(b=b, h=h, n=lattice.n.from_(max(n, least)), head_dim=head_dim)

    # A peak is the highest of several moments: with few rows of many features, another one. A
    # single row is a case of its own, since it needs no mask.
    yield at(1, heads(0), lengths(1), lattice.head_dim.from_(WIDEST))
    yield at(1, heads(0), 1, lattice.head_dim.from_(WIDEST))
    yield at(1, heads(0), 1, lattice.head_dim.from_(16))
    yield at(3, heads(2), lengths(1), widths(4))
    yield at(1, heads(1), lengths(3), widths(6))
    yield at(1, heads(4), 1, widths(10))
    yield at(1, heads(0), far - lattice.n.step + 1, widths(1))
    yield VERY_FAR
