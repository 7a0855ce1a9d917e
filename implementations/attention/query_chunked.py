"""Exact attention by blocks of query rows: no score matrix is ever whole.

For each block of rows, softmax(Q_i Kᵀ · scale) V in one reused buffer of rows x key_len scores, so
that the workspace is O(n). The backward pass computes the weights of a block again instead of
keeping them: with δ = rowsum(dO ∘ O), dS = P ∘ (dO Vᵀ - δ), dQ = scale · dS K, dK = scale · dSᵀ Q
and dV = Pᵀ dO (Rabe & Staats 2021, "Self-attention Does Not Need O(n²) Memory"; the row sum from
Dao et al. 2022, "FlashAttention").
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from implementations.attention._compiled import compiled
from implementations.blocks import (
    Masking,
    Scratch,
    Tile,
    accumulate_,
    accumulator,
    run_blockwise,
    tiles,
)
from implementations.interface import ALL_FEATURES, Feature, Implementation


def query_chunked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Equal to `scaled_dot_product_attention`: (..., query_len, d) -> (..., query_len, value_dim).

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, or `attn_mask` with `is_causal`.
        UnsupportedCaseError: a mask that requires gradients.

    """
    return run_blockwise(
        _QueryChunked,
        query,
        key,
        value,
        attn_mask=attn_mask,
        dropout_p=dropout_p,
        is_causal=is_causal,
        scale=scale,
    )


class _QueryChunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, masking: Masking, scale: float
    ) -> Tensor:
        output = query.new_zeros((*query.shape[:-1], value.shape[-1]))
        key_len = key.shape[-2]
        scores = Scratch(query, masking.most_keys(query.shape[-2], key_len))
        products = Scratch(query, value.shape[-1])
        for tile in tiles(query) if key_len else ():
            stop = masking.key_stop(tile, key_len)
            weights = _weights(tile, query, key, stop, masking, scale, scores)
            # A product into a strided slice is slow; into a dense block and copied it is not.
            block = products.block(tile.num_heads, tile.num_rows, value.shape[-1])
            torch.bmm(weights, tile.keys(value, 0, stop), out=block)
            tile.queries(output).copy_(block)
        ctx.save_for_backward(query, key, value, output)
        ctx.masking, ctx.scale = masking, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output = ctx.saved_tensors
        masking, scale = ctx.masking, ctx.scale
        grad_query = torch.zeros_like(query)
        grad_key, grad_value = accumulator(key), accumulator(value)
        key_len = key.shape[-2]
        most_keys = masking.most_keys(query.shape[-2], key_len)
        scores, products = Scratch(query, most_keys), Scratch(query, most_keys)
        for tile in tiles(query) if key_len else ():
            stop = masking.key_stop(tile, key_len)
            weights = _weights(tile, query, key, stop, masking, scale, scores)
            upstream = tile.queries(grad_output)
            accumulate_(tile.keys(grad_value, 0, stop), weights.mT, upstream)
            delta = (upstream * tile.queries(output)).sum(-1, keepdim=True)
            grad_scores = products.block(*weights.shape)
            torch.bmm(upstream, tile.keys(value, 0, stop).mT, out=grad_scores)
            grad_scores.sub_(delta).mul_(weights)
            grad_rows = torch.bmm(grad_scores, tile.keys(key, 0, stop))
            tile.queries(grad_query).copy_(grad_rows.mul_(scale))
            accumulate_(
                tile.keys(grad_key, 0, stop), grad_scores.mT, tile.queries(query), factor=scale
            )
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None


def _weights(
    tile: Tile,
    query: Tensor,
    key: Tensor,
    stop: int,
    masking: Masking,
    scale: float,
    scratch: Scratch,
) -> Tensor:
    """The attention weights of a tile over keys 0..stop, in the scratch memory."""
    scores = scratch.block(tile.num_heads, tile.num_rows, stop)
    keys = tile.keys(key, 0, stop)
    torch.baddbmm(scores, tile.queries(query), keys.mT, beta=0, alpha=scale, out=scores)
    masking.apply_(scores, tile, 0)
    if not masking.can_empty_rows:
        return torch.softmax(scores, dim=-1, out=scores)
    empty = scores.amax(dim=-1, keepdim=True) == -math.inf
    return torch.softmax(scores, dim=-1, out=scores).masked_fill_(empty, 0.0)


IMPLEMENTATION = Implementation(
    name="query_chunked",
    title="Blocks of query rows, O(n) workspace",
    source="Rabe & Staats 2021, without their key blocks",
    fn=query_chunked,
    time_law="n^2*d",
    workspace_law="n",
    supports=ALL_FEATURES - {Feature.DROPOUT},
)

VARIANTS = (compiled(IMPLEMENTATION),)
