"""Exact attention by blocks of queries and of keys, forward and backward.

Each tile of query rows goes through the keys block by block, and adds up the weights 2^(s - m) and
their products with the values; the quotient is the output. Any m gives the same quotient, as long
as nothing overflows or vanishes. So m is 0 at first, which costs nothing, and what has been added
up shows in which rows that was safe. The others are computed again: a pass of its own finds their
highest score and the sum of their weights, and weights of sum 1 then meet the values (Rabe & Staats
2021, "Self-attention Does Not Need O(n²) Memory", adapt a running m instead; Milakov & Gimelshein
2018, "Online normalizer calculation for softmax"). On a GPU, where looking at a result would make
the host wait, that is always done. `implementations.block_passes` has the passes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from implementations.block_passes import Forward, Plan, backward
from implementations.blocks import (
    Masking,
    cut,
    refuse_mask_gradient,
    working_dtype,
)
from implementations.groups import Grouping, group_size, in_groups
from implementations.masking import (
    check_arguments,
    expand_mask,
    refuse_dropout,
    resolve_scale,
)
from implementations.scoring import DotProduct, Scoring

NAME = "a core that recomputes its blocks"
# With so many scores the calls from Python take as long as the passes that blocks save.
SHORT = 2**18


def attend_blockwise(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
    fewest_rows: int,
    keys_per_block: int | None,
    scoring: Scoring | None = None,
) -> Tensor:
    """softmax(scores · scale + mask) V: (..., query_len, d) -> (..., query_len, value_dim).

    The scores are Q Kᵀ, as in `scaled_dot_product_attention`, unless `scoring` has others.
    A tile has as many rows as caches hold, and `fewest_rows` at least; a block has
    `keys_per_block` keys, or all of them for None.

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, or `attn_mask` with `is_causal`.
        UnsupportedCaseError: a mask that requires gradients.

    """
    check_arguments(query, key, value, attn_mask, is_causal, enable_gqa)
    refuse_dropout(NAME, dropout_p)
    refuse_mask_gradient(NAME, attn_mask)
    short = query.shape[:-1].numel() * key.shape[-2] <= SHORT
    if scoring is None and attn_mask is None and not is_causal and short:
        return _at_once(query, key, value, resolve_scale(query, scale))
    mask = expand_mask(attn_mask, query, key)
    tensors = (_with_heads(query), _with_heads(key), _with_heads(value))
    grouping = Grouping.of(query, key, attn_mask=mask, is_causal=is_causal)
    if mask is not None:
        mask = grouping.of_queries(_with_heads(mask.detach()))
    masking = Masking(attn_mask=mask, is_causal=is_causal)
    most = masking.most_keys(query.shape[-2], key.shape[-2])
    rows = grouping.of_queries(tensors[0])
    plan = Plan(
        grouping=grouping,
        scoring=scoring or DotProduct(),
        masking=masking,
        scale=resolve_scale(query, scale),
        cut=cut(rows, keys=min(most, keys_per_block or most), fewest_rows=fewest_rows),
        whole=most <= (keys_per_block or most),
    )
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        output: Tensor = _Blockwise.apply(*tensors, plan)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    else:
        output = Forward(*tensors, plan).run(None)
    return output.reshape(*query.shape[:-1], value.shape[-1])


def _at_once(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """The formula, for calls that leave nothing to cut; autograd differentiates it."""
    working = working_dtype(query)
    if working != query.dtype:
        wide = _at_once(query.to(working), key.to(working), value.to(working), scale)
        return wide.to(query.dtype)
    group = group_size(query, key)
    tensors = (query if group == 1 else in_groups(query, group).flatten(-3, -2), key, value)
    rows, keys, values = (_with_heads(one).flatten(0, -3) for one in tensors)
    # With beta = 0 what would be added is not looked at.
    scores = torch.baddbmm(rows.new_empty(1, 1, 1), rows, keys.mT, beta=0, alpha=scale)
    output = torch.bmm(scores.softmax(dim=-1), values)
    return output.view(*query.shape[:-1], value.shape[-1])


def _with_heads(tensor: Tensor) -> Tensor:
    return tensor[None] if tensor.dim() == 2 else tensor


class _Blockwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
        # The log-sum-exp of every row is O(n); only a backward pass needs it.
        log_sums = query.new_zeros((*query.shape[:-1], 1), dtype=plan.cut.summing)
        forward = Forward(query, key, value, plan)
        output = forward.run(log_sums)
        ctx.save_for_backward(query, key, value, output, log_sums, forward.shifts)
        ctx.plan = plan
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, log_sums, shifts = ctx.saved_tensors
        found = backward(query, key, value, output, log_sums, shifts, grad_output, ctx.plan)
        return *found, None
