"""Kernels with a fault each, put together from the formula: every law must catch its own."""

from collections.abc import Callable

import torch
from torch import Tensor

from implementations.masking import apply_mask, resolve_scale, safe_softmax
from implementations.oracle import (
    full_mask,
)
from tests.implementations.situations import Kernel


def formula(
    *,
    scores: Callable[[Tensor], Tensor] = lambda scores: scores,
    masking: Callable[[Tensor, Tensor | None], Tensor] = apply_mask,
    softmax: Callable[[Tensor], Tensor] = safe_softmax,
    weights: Callable[[Tensor], Tensor] = lambda weights: weights,
    values: Callable[[Tensor], Tensor] = lambda values: values,
    output: Callable[[Tensor], Tensor] = lambda output: output,
) -> Kernel:
    """The plain formula, in which any step may be given a fault."""

    def kernel(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        raw = scores(query @ key.mT * resolve_scale(query, scale))
        masked = masking(raw, full_mask(query, key, attn_mask, is_causal))
        return output(weights(softmax(masked)) @ values(value))

    return kernel


def in_half_precision(tensor: Tensor) -> Tensor:
    return tensor.half().to(tensor.dtype)


def without_last_rows(tensor: Tensor) -> Tensor:
    """Zeros in place of the rows after the last whole block of four."""
    rows = torch.arange(tensor.shape[-2]) < tensor.shape[-2] // 4 * 4
    return tensor * rows[:, None]


def without_last_keys(weights: Tensor) -> Tensor:
    return without_last_rows(weights.mT).mT


def uniform(weights: Tensor) -> Tensor:
    seen = (weights > 0).to(weights.dtype)
    return seen / seen.sum(-1, keepdim=True).clamp_min(1)


def half_of_the_features_unweighted(*args: Tensor, **keywords: object) -> Tensor:
    """In the range of the values feature by feature, but not in their hull."""
    right, other = formula()(*args, **keywords), formula(weights=uniform)(*args, **keywords)
    return torch.where(torch.arange(right.shape[-1]) % 2 == 0, right, other)


def softmax_without_maximum(scores: Tensor) -> Tensor:
    exponentials = scores.exp()
    return exponentials / exponentials.sum(-1, keepdim=True).clamp_min(1e-30)


def softmax_with_one_maximum_for_all(scores: Tensor) -> Tensor:
    return softmax_without_maximum(scores - scores.detach().max())


def aligned_bottom_right(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Right for one mask only, the causal triangle."""
    offset = scores.shape[-1] - scores.shape[-2]
    return apply_mask(scores, torch.ones_like(scores, dtype=torch.bool).tril(offset))


def masked_by_a_large_number(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return scores - 1e9 * (~mask).to(scores.dtype)
    return scores + mask.clamp_min(-1e9)


def with_backward_of(faulty: Kernel) -> Kernel:
    """The right output with the gradients of another kernel."""

    def kernel(*args: Tensor, **keywords: object) -> Tensor:
        other = faulty(*args, **keywords)
        return formula()(*args, **keywords).detach() + other - other.detach()

    return kernel


def unmasked(query: Tensor, key: Tensor, value: Tensor, **_: object) -> Tensor:
    return formula()(query, key, value)


def shape_of_the_query_without_keys(
    query: Tensor, key: Tensor, value: Tensor, **keywords: object
) -> Tensor:
    if not key.shape[-2]:
        return torch.zeros_like(query)
    return formula()(query, key, value, **keywords)


def query_added(query: Tensor, key: Tensor, value: Tensor, **keywords: object) -> Tensor:
    return formula()(query, key, value, **keywords) + query.sum(-1, keepdim=True)


def next_item(tensor: Tensor) -> Tensor:
    return tensor.roll(1, dims=0)
