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

from implementations.interface import UnsupportedCaseError
from implementations.masking import (
    causal_mask,
    check_arguments,
    expand_mask,
    refuse_dropout,
    resolve_scale,
)

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


def tile_shape(query: Tensor) -> tuple[int, int]:
    """Heads, and rows of each, in the largest tile of query (..., num_heads, query_len, d)."""
    num_heads, query_len = query.shape[-3:-1]
    rows = min(query_len, ROWS_PER_HEAD)
    return min(num_heads, HEADS_PER_TILE * ROWS_PER_HEAD // rows if rows else 0), rows


def tiles(query: Tensor) -> Iterator[Tile]:
    """Cut query (..., num_heads, query_len, head_dim) into tiles.

    A tile has at most ROWS_PER_HEAD rows of a head, and HEADS_PER_TILE heads or as many more as
    keep its rows in all at ROWS_PER_HEAD * HEADS_PER_TILE.
    """
    *leading, num_heads, query_len = query.shape[:-1]
    heads, rows = tile_shape(query)
    if heads == 0 or rows == 0:
        return
    for index in itertools.product(*map(range, leading)):
        for head in range(0, num_heads, heads):
            for row in range(0, query_len, rows):
                yield Tile(
                    leading=index,
                    heads=slice(head, min(head + heads, num_heads)),
                    rows=slice(row, min(row + rows, query_len)),
                )


class Scratch:
    """One buffer for a block of every tile of `query`, so that no block allocates.

    `columns` is the most that a row of a block has.
    """

    def __init__(self, query: Tensor, columns: int) -> None:
        self._buffer = query.new_empty(math.prod(tile_shape(query)) * columns)

    def block(self, *shape: int) -> Tensor:
        """Uninitialised memory of this shape, valid until the next call."""
        return self._buffer[: math.prod(shape)].view(shape)


@dataclass(frozen=True, kw_only=True)
class Masking:
    """The mask of a call, cut to blocks: an expanded `attn_mask`, or the causal triangle."""

    attn_mask: Tensor | None
    is_causal: bool

    def most_keys(self, query_len: int, key_len: int) -> int:
        """The most keys that any row may see."""
        return min(key_len, query_len) if self.is_causal else key_len

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


def run_blockwise(
    function: type[torch.autograd.Function],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
) -> Tensor:
    """Check a core's arguments and apply `function(query, key, value, masking, scale)`.

    The function gets tensors of three dimensions or more.

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, or `attn_mask` with `is_causal`.
        UnsupportedCaseError: a mask that requires gradients.

    """
    check_arguments(query, key, value, attn_mask, is_causal)
    refuse_dropout("a core that recomputes its blocks", dropout_p)
    if attn_mask is not None and attn_mask.requires_grad and torch.is_grad_enabled():
        raise UnsupportedCaseError(
            "a core that recomputes its blocks does not differentiate attn_mask, "
            "whose gradient would take n x n memory; detach it, or use matmul"
        )
    mask = expand_mask(attn_mask, query, key)
    masking = Masking(
        attn_mask=None if mask is None else _with_heads(mask.detach()), is_causal=is_causal
    )
    tensors = (_with_heads(query), _with_heads(key), _with_heads(value))
    output: Tensor = function.apply(*tensors, masking, resolve_scale(query, scale))  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return output.reshape(*query.shape[:-1], value.shape[-1])


def _with_heads(tensor: Tensor) -> Tensor:
    return tensor[None] if tensor.dim() == 2 else tensor
