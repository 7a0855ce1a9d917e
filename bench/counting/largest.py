"""The longest sequence whose call stays within an amount of memory, by exact polynomials."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from bench.counting.counter import Formula, point_of
from bench.machine.environment import in_words
from bench.timing.built_module import call_bytes
from implementations.case import Case
from implementations.interface import Implementation

LONGEST = 2**60


@dataclass(frozen=True, kw_only=True)
class Longest:
    """The largest `seq_len` within a budget, and the `bytes` of this call; or the `reason`.

    The bytes are those of inputs, outputs, gradients, a layer's parameters and the workspace.
    """

    seq_len: int | None = None
    bytes: int | None = None
    reason: str | None = None


def longest(
    implementation: Implementation, case: Case, workspace: Formula, budget_bytes: float
) -> Longest:
    """The longest sequence of the lattice on which the workspace is a polynomial.

    All sizes but the lengths are those of the case.
    """
    if workspace.fitted is None:
        return Longest(reason=workspace.reason)
    lattice, polynomial = workspace.fitted.lattice, workspace.fitted.polynomial
    shape = point_of(case)
    first = lattice.n.from_(lattice.n_over_head_dim * shape.head_dim)
    if shape._replace(n=first) not in lattice:
        return Longest(reason=f"the polynomial of its workspace is for {lattice} only")

    def needed(n: int) -> int:
        tensors = call_bytes(implementation, replace(case, seq_len=n, key_len=n))
        return tensors + int(polynomial(shape._replace(n=n)))

    lengths = range(first, LONGEST, lattice.n.step)
    fitting = bisect_right(lengths, budget_bytes, key=needed)
    if not fitting:
        return Longest(reason=f"even n = {first} takes {in_words(needed(first))}")
    return Longest(seq_len=lengths[fitting - 1], bytes=needed(lengths[fitting - 1]))
