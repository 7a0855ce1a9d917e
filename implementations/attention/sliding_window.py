"""Attention in which each query sees the keys around its own position, and computes few others.

Beltagy et al. 2020, "Longformer: The Long-Document Transformer", section 3.1: softmax(Q Kᵀ · scale)
V over the keys j with |i - j| < window; causal over those with 0 ≤ i - j < window, as in Child et
al. 2019, "Generating Long Sequences with Sparse Transformers". A block of queries meets the keys
that any of them sees; all blocks of a tile go in one batched product. The backward pass computes
the weights of a tile again, so that the workspace does not grow with n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from implementations.attention.matmul import matmul
from implementations.blocks import (
    Cut,
    Tile,
    accumulator,
    scores_per_tile,
    summing_dtype,
    working_dtype,
)
from implementations.case import Case
from implementations.interface import ALL_FEATURES, Feature, Implementation
from implementations.masking import (
    check_arguments,
    resolve_scale,
    safe_softmax,
)

# Half a window of rows: a quarter of the scores is computed in vain. With fewer rows it is less,
# but products of such narrow matrices are slow.
ROWS_PER_WINDOW = 0.5
FEWEST_ROWS = 16


def sliding_window(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    window: int | None = None,
) -> Tensor:
    """softmax(Q Kᵀ · scale) V in the band: (..., query_len, d) -> (..., query_len, value_dim).

    Query i is at the position of key i. Without a window, or with one that no pair is outside of,
    it is `matmul`. A query that sees no key gives zeros.

    Raises:
        ValueError: shapes or dtypes that do not fit, or a window below 1.

    """
    check_arguments(query, key, value, None, is_causal)
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, got {window}; 1 sees a single key")
    if window is None or window >= max(query.shape[-2], key.shape[-2]):
        return matmul(query, key, value, is_causal=is_causal, scale=scale)
    tensors = [one[None] if one.dim() == 2 else one for one in (query, key, value)]
    band = _Band.of(tensors[0], window, is_causal, resolve_scale(query, scale))
    output: Tensor = _Recomputing.apply(*tensors, band)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return output.reshape(*query.shape[:-1], value.shape[-1])


@dataclass(frozen=True, kw_only=True)
class _Band:
    """The band of a call, and how it is cut into tiles of whole blocks.

    A block is `rows` queries and the `rows` + `span` keys that begin `before` its first query's
    position: query r of a block sees its keys r to r + `span`.
    """

    before: int
    span: int
    rows: int
    scale: float
    cut: Cut

    @classmethod
    def of(cls, query: Tensor, window: int, is_causal: bool, scale: float) -> _Band:
        """Cut so that the scores of a tile are at most `scores_per_tile`."""
        working = working_dtype(query)
        room = scores_per_tile(query.device, working)
        num_heads, query_len = query.shape[-3:-1]
        span = (window - 1) * (1 if is_causal else 2)
        rows = max(FEWEST_ROWS, int(ROWS_PER_WINDOW * window))
        rows = max(1, min(rows, room // (rows + span)))
        most_blocks = max(1, room // (rows * (rows + span)))
        blocks = max(1, min(most_blocks, -(-query_len // rows)))
        cut = Cut(
            heads=max(1, min(most_blocks // blocks, num_heads)),
            rows=blocks * rows,
            keys=rows + span,
            working=working,
            summing=summing_dtype(query),
        )
        return cls(before=window - 1, span=span, rows=rows, scale=scale, cut=cut)

    def keys_of(self, tile: Tile, key_len: int) -> tuple[int, int]:
        """The first key that a query of the tile sees, and one past the last."""
        start = min(max(0, tile.rows.start - self.before), key_len)
        return start, max(start, min(tile.rows.stop + self.span - self.before, key_len))

    def attend(self, tile: Tile, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The output of a tile, (num_heads, num_rows, value_dim), from its own queries and keys."""
        width = self.rows + self.span
        blocks = -(-query.shape[-2] // self.rows)
        length = blocks * self.rows + self.span
        left = max(0, self.before - tile.rows.start)
        right = length - left - key.shape[-2]
        rows = pad(query.to(self.cut.working), (0, 0, 0, blocks * self.rows - query.shape[-2]))
        # (num_heads, blocks, columns, width), overlapping in memory
        keys, values = (
            pad(one.to(self.cut.working), (0, 0, left, right)).unfold(-2, width, self.rows)
            for one in (key, value)
        )
        sees = torch.ones(self.rows, width, dtype=torch.bool, device=query.device)
        sees = sees.tril(self.span).triu()
        if left or right:
            places = torch.arange(length, device=query.device).unfold(0, width, self.rows)
            there = (places >= left) & (places < left + key.shape[-2])
            sees = sees & there[:, None]
        scores = (rows * self.scale).view(len(query), blocks, self.rows, query.shape[-1]) @ keys
        scores.masked_fill_(~sees, -math.inf)
        # The last query sees the last places, of which the keys may leave none.
        weights = safe_softmax(scores) if right > self.span else scores.softmax(dim=-1)
        output = weights @ values.mT
        return output.flatten(-3, -2)[:, : query.shape[-2]].to(query.dtype)


class _Recomputing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, band: _Band) -> Tensor:
        output = query.new_empty((*query.shape[:-1], value.shape[-1]))
        for tile in band.cut.tiles(query):
            keys = band.keys_of(tile, key.shape[-2])
            parts = (tile.queries(query), tile.keys(key, *keys), tile.keys(value, *keys))
            tile.queries(output).copy_(band.attend(tile, *parts))
        ctx.save_for_backward(query, key, value)
        ctx.band = band
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        grad_query = torch.empty_like(query)
        grad_key, grad_value = accumulator(key), accumulator(value)
        for tile in ctx.band.cut.tiles(query):
            keys = ctx.band.keys_of(tile, key.shape[-2])
            parts = (tile.queries(query), tile.keys(key, *keys), tile.keys(value, *keys))
            leaves = [one.detach().requires_grad_() for one in parts]
            with torch.enable_grad():
                output = ctx.band.attend(tile, *leaves)
            of_rows, of_keys, of_values = torch.autograd.grad(
                output, leaves, tile.queries(grad_output)
            )
            tile.queries(grad_query).copy_(of_rows)
            tile.keys(grad_key, *keys).add_(of_keys)
            tile.keys(grad_value, *keys).add_(of_values)
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None


def needs_window(case: Case) -> str | None:
    """Why a case is declined: without a window nothing is left of the band."""
    return "without a window there is no band; give one" if case.window is None else None


IMPLEMENTATION = Implementation(
    name="sliding_window",
    title="Sliding window as an exact band, O(1) workspace",
    source="Beltagy et al. 2020, section 3.1; Child et al. 2019",
    fn=sliding_window,
    time_law="n*w*d",
    workspace_law="1",
    supports=(ALL_FEATURES | {Feature.WINDOW})
    - {Feature.BOOLEAN_MASK, Feature.FLOAT_MASK, Feature.DROPOUT},
    declines=needs_window,
)
