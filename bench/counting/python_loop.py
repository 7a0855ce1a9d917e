"""The counts of `implementations.attention.loop`, read off its source.

It works on Python floats, which no operator shows.
"""

from __future__ import annotations

from bench.counting.result import ARITHMETIC, Counts, Quantity
from implementations.case import Case, useful_flops

STEPS_A_PAIR = 5
"""Scale, largest, difference, sum and quotient."""


def loop_counts(case: Case) -> Counts:
    """Both products over all pairs, also those that a mask hides afterwards, and the softmax."""
    pairs = case.batch * case.num_heads * case.seq_len * case.key_len
    products = 2 * pairs * (case.head_dim + case.value_dim)
    reason = "loop works on Python floats, which no operator and no allocator of tensors shows"
    unknown: tuple[Quantity, ...] = ("bytes_read", "bytes_written", "launches", "workspace_bytes")
    return Counts(
        useful_flops=useful_flops(case),
        matmul_flops=products,
        executed_flops=products + (STEPS_A_PAIR + (case.mask != "none")) * pairs,
        transcendentals=pairs,
        counted_on="formula",
        by_formula=frozenset({"useful_flops", *ARITHMETIC}),
        reasons=dict.fromkeys(unknown, reason),
    )
