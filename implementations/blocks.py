"""What the memory-efficient cores share: tiles of query rows, masks of a tile, accumulators.

Tensors here have at least three dimensions, (..., num_heads, rows, columns).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from implementations.masking import causal_mask

# With 512 rows of a head a BLAS reaches its full rate, and a tile's scores still fit a last-level
# cache at some thousands of keys. Two heads at a time let each thread keep to its own matrix;
# shorter sequences take more heads, so that a tile does not shrink with them.
ROWS_PER_HEAD = 512
HEADS_PER_TILE = 2

Span: TypeAlias = "slice[int, int, None]"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Some heads of one batch item, and some of their query rows."""

    leading: tuple[int, ...]
    heads: Span
    rows: Span

    @property
    def num_heads(self) -> int:
        """How many heads."""
        return self.heads.stop - self.heads.start

    @property
    def num_rows(self) -> int:
        """How many query rows of each head."""
        return self.rows.stop - self.rows.start

    def queries(self, tensor: Tensor) -> Tensor:
        """The tile's part of a tensor with query rows: (num_heads, num_rows, columns)."""
        index: tuple[int | Span, ...] = (*self.leading, self.heads, self.rows)
        return tensor[index]

    def keys(self, tensor: Tensor, start: int, stop: int) -> Tensor:
        """Rows start..stop of key, value or their gradients: (num_heads, stop - start, columns)."""
        index: tuple[int | Span, ...] = (*self.leading, self.heads, slice(start, stop))
        return tensor[index]


def tiles(query: Tensor) -> Iterator[Tile]:
    """Cut query (..., num_heads, query_len, head_dim) into tiles.

    A tile has at most ROWS_PER_HEAD rows of a head, and HEADS_PER_TILE heads or as many more as
    keep its rows in all at ROWS_PER_HEAD * HEADS_PER_TILE.
    """
    *leading, num_heads, query_len = query.shape[:-1]
    rows = min(query_len, ROWS_PER_HEAD)
    if rows == 0 or num_heads == 0:
        return
    heads = min(num_heads, HEADS_PER_TILE * ROWS_PER_HEAD // rows)
    for index in itertools.product(*map(range, leading)):
        for head in range(0, num_heads, heads):
            for row in range(0, query_len, rows):
                yield Tile(
                    leading=index,
                    heads=slice(head, min(head + heads, num_heads)),
                    rows=slice(row, min(row + rows, query_len)),
                )


class Scratch:
    """One buffer that serves blocks of several shapes, so that a block never allocates."""

    def __init__(self, like: Tensor) -> None:
        self._buffer = like.new_empty(0)

    def block(self, *shape: int) -> Tensor:
        """Uninitialised memory of this shape, valid until the next call."""
        size = math.prod(shape)
        if self._buffer.numel() < size:
            self._buffer = self._buffer.new_empty(size)
        return self._buffer[:size].view(shape)


@dataclass(frozen=True, kw_only=True)
class Masking:
    """The mask of a call, cut to blocks: an expanded `attn_mask`, or the causal triangle."""

    attn_mask: Tensor | None
    is_causal: bool

    def key_stop(self, tile: Tile, key_len: int) -> int:
        """One past the last key that any row of the tile may see."""
        return min(key_len, tile.rows.stop) if self.is_causal else key_len

    def apply_(self, scores: Tensor, tile: Tile, start: int, *, float_factor: float = 1.0) -> None:
        """Mask a block of scores (num_heads, num_rows, keys from start on) in place.

        A float mask is added times `float_factor`, the unit of the scores.
        """
        stop = start + scores.shape[-1]
        if self.attn_mask is not None:
            mask = tile.queries(self.attn_mask)[..., start:stop]
            if mask.dtype == torch.bool:
                scores.masked_fill_(~mask, -math.inf)
            else:
                scores.add_(mask, alpha=float_factor)
        # Only columns from the first row's own position on can lie in the future.
        first = max(start, tile.rows.start)
        if self.is_causal and first < stop:
            allowed = causal_mask(
                tile.num_rows,
                stop - first,
                device=scores.device,
                first_key=first,
                first_query=tile.rows.start,
            )
            scores[..., first - start :].masked_fill_(~allowed, -math.inf)

    @property
    def can_empty_rows(self) -> bool:
        """Whether some row may have no key at all; the causal triangle always leaves the first."""
        return self.attn_mask is not None


def accumulator(like: Tensor) -> Tensor:
    """Zeros of the same shape in which sums over many blocks lose nothing: at least float32."""
    low = like.dtype in (torch.bfloat16, torch.float16)
    return torch.zeros_like(
        like, dtype=torch.float32 if low else None, memory_format=torch.contiguous_format
    )


def accumulate_(total: Tensor, left: Tensor, right: Tensor, *, factor: float = 1.0) -> None:
    """Add factor · left @ right, a batch of matrices, to `total` in place."""
    if total.dtype == left.dtype:
        total.baddbmm_(left, right, alpha=factor)
    else:
        total.add_(torch.bmm(left, right), alpha=factor)


def with_heads(tensor: Tensor) -> Tensor:
    """The tensor with at least three dimensions."""
    return tensor[None] if tensor.dim() == 2 else tensor
