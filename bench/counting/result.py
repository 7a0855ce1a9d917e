"""What was counted in one call, and where each number comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from implementations.case import Case
from implementations.interface import Implementation

CountedOn = Literal["meta", "cpu", "formula"]
Quantity = Literal[
    "useful_flops",
    "executed_flops",
    "matmul_flops",
    "transcendentals",
    "bytes_read",
    "bytes_written",
    "launches",
    "sequential_operations",
    "workspace_bytes",
]

ARITHMETIC: tuple[Quantity, ...] = ("executed_flops", "matmul_flops", "transcendentals")
EXECUTED: tuple[Quantity, ...] = (
    *ARITHMETIC,
    "bytes_read",
    "bytes_written",
    "launches",
    "sequential_operations",
    "workspace_bytes",
)
QUANTITIES: tuple[Quantity, ...] = ("useful_flops", *EXECUTED)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one call does; None where it is not known, with the reason in `reasons`.

    `useful_flops`: operations that a core's formula needs, pairs counted exactly (`useful_flops`).
    `executed_flops`: floating-point operations that the program executes: those of matrix products
    (`matmul_flops`) and one for each element of any other arithmetic. A multiply-add is two
    operations. Copies, fills and selections are none.
    `transcendentals`: evaluations of exp, log, tanh and the like, which are no flops here.
    `bytes_read`, `bytes_written`: what operators touch, each distinct element of an operand once.
    `launches`: operators that compute or move something; views are none.
    `sequential_operations`: the launches that have to wait for one another (`Chains`).
    `workspace_bytes`: peak live bytes of the call beyond its inputs and outputs, as in
    `bench.machine.workspace`, but for the few bytes of Python numbers that become scalars, and on
    CUDA for the allocator's rounding of each block.

    `counted_on` says how the program was followed: on `meta` tensors, which hold no data, by a
    real call on the `cpu`, or not at all (`formula`, `none`). `by_formula` names the quantities
    that hold parts which the program does not show, such as the inside of a fused kernel.
    `lower_bounds` names those that are at least so large, since `unseen` was not followed.
    `is_cut_short`: the program has more operators than were to be followed.
    """

    useful_flops: int | None
    executed_flops: int | None = None
    matmul_flops: int | None = None
    transcendentals: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    launches: int | None = None
    sequential_operations: int | None = None
    workspace_bytes: int | None = None
    counted_on: CountedOn | None = None
    by_formula: frozenset[Quantity] = frozenset({"useful_flops"})
    lower_bounds: frozenset[Quantity] = frozenset()
    unseen: tuple[str, ...] = ()
    reasons: Mapping[Quantity, str] = field(default_factory=dict)
    is_cut_short: bool = False

    def value(self, quantity: Quantity) -> int | None:
        """The number of one quantity."""
        found: int | None = getattr(self, quantity)
        return found


def nothing_but_useful(
    implementation: Implementation, case: Case, reason: str, *, is_cut_short: bool = False
) -> Counts:
    """The counts of a call that could not be followed."""
    return Counts(
        useful_flops=implementation.useful_flops(case),
        reasons=dict.fromkeys(EXECUTED, reason),
        is_cut_short=is_cut_short,
    )
