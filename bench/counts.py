"""Floating-point operations of a case, by formula."""

from __future__ import annotations

from implementations.case import Case


def useful_flops(case: Case) -> int:
    """Operations that the formula needs, however an implementation gets there.

    Forward 2 · pairs · (head_dim + value_dim) per head, the pairs counted exactly under a causal
    mask; the backward pass needs twice that again. What an implementation recomputes is not
    useful and not counted (the convention of Dao et al. 2022).
    """
    forward = 2 * case.batch * case.num_heads * case.pairs * (case.head_dim + case.value_dim)
    return 3 * forward if case.is_backward else forward
