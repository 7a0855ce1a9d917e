"""Exact attention by blocks of queries and of keys, with a running maximum and a running sum.

A row's softmax over all keys is assembled from blocks of keys: with the maximum m and the sum l of
exp(s - m) so far, a further block that raises the maximum to m' rescales what is there by
exp(m - m') (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"; Rabe & Staats
2021; Dao et al. 2022, "FlashAttention", algorithm 1). Only one block of scores lives at a time:
the workspace beyond the output does not grow with n.

The scores are kept in units of log 2, since exp2 is several times faster than exp; log₂e is folded
into the scale. The backward pass recomputes each block's weights from the saved log-sum-exp.
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

# With 512 rows a block of a head's float32 scores is 4 MiB: in the last cache, and long enough that
# the running statistics cost little beside the two products.
KEYS_PER_BLOCK = 2048
LOG2_E = math.log2(math.e)


def online_softmax(
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
        _OnlineSoftmax,
        query,
        key,
        value,
        attn_mask=attn_mask,
        dropout_p=dropout_p,
        is_causal=is_causal,
        scale=scale,
    )


class _OnlineSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, masking: Masking, scale: float
    ) -> Tensor:
        output = query.new_zeros((*query.shape[:-1], value.shape[-1]))
        # The log-sum-exp of every row is O(n); only a backward pass needs it.
        log_sums = None
        if any(ctx.needs_input_grad):
            log_sums = accumulator(query[..., :1])
        key_len = key.shape[-2]
        scratch = Scratch(query, min(KEYS_PER_BLOCK, masking.most_keys(query.shape[-2], key_len)))
        products = Scratch(query, value.shape[-1])
        for tile in tiles(query) if key_len else ():
            total = accumulator(tile.queries(output))
            highest = torch.full_like(total[..., :1], -math.inf)
            normaliser = torch.zeros_like(highest)
            for start, stop in _key_blocks(masking.key_stop(tile, key_len)):
                scores = _scores(tile, query, key, start, stop, masking, scale, scratch)
                block_highest = scores.amax(dim=-1, keepdim=True)
                new_highest = torch.maximum(highest, block_highest)
                # While a row has seen masked keys only, -inf minus -inf must not become NaN.
                shift = new_highest.masked_fill(new_highest == -math.inf, 0.0)
                weights = scores.sub_(shift).exp2_()
                rescale = torch.exp2(highest - shift)
                normaliser.mul_(rescale).add_(
                    weights.sum(dim=-1, keepdim=True, dtype=normaliser.dtype)
                )
                product = products.block(*total.shape)
                torch.bmm(weights, tile.keys(value, start, stop), out=product)
                total.mul_(rescale).add_(product)
                highest = new_highest
            empty = normaliser == 0.0
            tile.queries(output).copy_(total.div_(normaliser.masked_fill(empty, 1.0)))
            if log_sums is not None:
                # +inf makes every recomputed weight of an empty row 2^-inf = 0.
                log_sum = (highest + normaliser.log2()).masked_fill_(empty, math.inf)
                tile.queries(log_sums).copy_(log_sum)
        ctx.save_for_backward(query, key, value, output, log_sums)
        ctx.masking, ctx.scale = masking, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, log_sums = ctx.saved_tensors
        masking, scale = ctx.masking, ctx.scale
        grad_query = torch.zeros_like(query)
        grad_key, grad_value = accumulator(key), accumulator(value)
        key_len = key.shape[-2]
        most_keys = min(KEYS_PER_BLOCK, masking.most_keys(query.shape[-2], key_len))
        scratch, products = Scratch(query, most_keys), Scratch(query, most_keys)
        for tile in tiles(query) if key_len else ():
            upstream, rows = tile.queries(grad_output), tile.queries(query)
            delta = (upstream * tile.queries(output)).sum(dim=-1, keepdim=True)
            grad_rows = accumulator(rows)
            for start, stop in _key_blocks(masking.key_stop(tile, key_len)):
                scores = _scores(tile, query, key, start, stop, masking, scale, scratch)
                weights = scores.sub_(tile.queries(log_sums)).exp2_()
                accumulate_(tile.keys(grad_value, start, stop), weights.mT, upstream)
                grad_scores = products.block(*weights.shape)
                torch.bmm(upstream, tile.keys(value, start, stop).mT, out=grad_scores)
                grad_scores.sub_(delta).mul_(weights)
                accumulate_(grad_rows, grad_scores, tile.keys(key, start, stop), factor=scale)
                accumulate_(tile.keys(grad_key, start, stop), grad_scores.mT, rows, factor=scale)
            tile.queries(grad_query).copy_(grad_rows)
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None


def _key_blocks(stop: int) -> list[tuple[int, int]]:
    return [(start, min(start + KEYS_PER_BLOCK, stop)) for start in range(0, stop, KEYS_PER_BLOCK)]


def _scores(
    tile: Tile,
    query: Tensor,
    key: Tensor,
    start: int,
    stop: int,
    masking: Masking,
    scale: float,
    scratch: Scratch,
) -> Tensor:
    """The masked scores of a tile over keys start..stop in units of log 2, in scratch memory."""
    scores = scratch.block(tile.num_heads, tile.num_rows, stop - start)
    keys = tile.keys(key, start, stop)
    torch.baddbmm(scores, tile.queries(query), keys.mT, beta=0, alpha=scale * LOG2_E, out=scores)
    masking.apply_(scores, tile, start, float_factor=LOG2_E)
    return scores


IMPLEMENTATION = Implementation(
    name="online_softmax",
    title="Blocks of queries and keys, running softmax, O(1) workspace",
    source="Milakov & Gimelshein 2018; Rabe & Staats 2021; Dao et al. 2022",
    fn=online_softmax,
    time_law="n^2*d",
    workspace_law="1",
    supports=ALL_FEATURES - {Feature.DROPOUT},
)

VARIANTS = (compiled(IMPLEMENTATION),)
