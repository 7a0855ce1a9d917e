"""How much does a subject of a claim do? Followed operator by operator, at a few small sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from torch import nn

from bench.claims.reach import normal
from bench.counting.following import Follower
from bench.counting.polynomials import Point, Polynomial, interpolated
from implementations.case import Case
from implementations.interface import AttentionFunction, Implementation
from implementations.parameters import Build

SIZES = (2, 3, 5, 7)
"""The last one is a test: the polynomial through the others has to foretell its count."""


class UncountableError(ValueError):
    """An operator has no rule, or the counts are no polynomial of degree 2 in n and d."""


def followed(call: Callable[[], object]) -> Follower:
    """The counts of one call on the CPU.

    Raises:
        UncountableError: an operator of the call has no rule.

    """
    follower = Follower("cpu")
    with follower:
        call()
    if follower.unknown:
        raise UncountableError(f"no rule for {', '.join(sorted(follower.unknown))}")
    return follower


def law(count: Callable[[int, int], int], *, widths: Sequence[int] = SIZES) -> Polynomial:
    """The polynomial in n and d that a count follows; `widths` are the sizes of d, the last a test.

    Raises:
        UncountableError: there is none of degree 2 in n and in d.

    """

    def value(point: Point) -> int:
        return count(point.n, point.head_dim)

    found = interpolated(((1,), (1,), SIZES[:-1], widths[:-1]), value)
    further = Point(b=1, h=1, n=SIZES[-1], head_dim=widths[-1])
    if found is None or found(further) != value(further):
        raise UncountableError("expected a polynomial of degree 2 in n and d, got another law")
    return Polynomial.of({(0, d, n, d): c for (_, _, n, d), c in found.terms})  # d, of one head


def coefficient(polynomial: Polynomial, *, n: int, d: int) -> Fraction:
    """That of n and d to these powers; 0 where there is no such term."""
    return dict(polynomial.terms).get((0, d, n, d), Fraction(0))


def core_at(core: AttentionFunction, n: int, d: int) -> Follower:
    """The counts of a core with one head."""
    query, key, value = (normal(1, 1, n, d, seed=seed) for seed in range(3))
    return followed(lambda: core(query, key, value))


def layer_at(build: Build, case: Case) -> Follower:
    """The counts of a layer."""
    layer, x = in_float64(build, case), normal(case.batch, case.seq_len, case.d_model)
    return followed(lambda: layer(x))


def layer_law(build: Build, num_heads: int = 1) -> Polynomial:
    """The multiply-adds of a layer with so many heads, in n and in d = head_dim."""

    def counted(n: int, d: int) -> int:
        return layer_at(build, Case(seq_len=n, num_heads=num_heads, head_dim=d)).products // 2

    return law(counted)


def build_of(layer: Implementation) -> Build:
    """What builds the module of a layer."""
    assert layer.build is not None, f"{layer.name} is a core"
    return layer.build


def in_float64(build: Build, case: Case) -> nn.Module:
    """The layer, its parameters in the dtype in which the claims are tested."""
    return build(case).double()
