"""What the memory-efficient cores cut a call into: tiles, masks of a tile, accumulators.

Tensors here have at least three dimensions, (..., num_heads, rows, columns).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

from implementations.interface import UnsupportedCaseError

# Where reading a number from a tensor interrupts nothing: tensors without data have none to read.
HOSTS = ("cpu", "meta")
HALF = (torch.bfloat16, torch.float16)
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
# The scores of a tile are gone through four times. They stay near a core where they take twice
# its second-level cache at most; with fewer, the calls from Python begin to show.
CACHES_PER_THREAD = 2
# Of a core whose cache is unknown, and the most that is assumed of any.
L2_BYTES = 2**20
# A GPU's cores share one cache of some 50 MB.
GPU_TILE_BYTES = 2**23

Span: TypeAlias = "slice[int, int, None]"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Some heads of one batch item, and some of their query rows."""

    leading: tuple[int, ...]
    heads: Span
    rows: Span

    @property
    def shape(self) -> tuple[int, int]:
        """How many heads, and how many query rows of each."""
        return self.heads.stop - self.heads.start, self.rows.stop - self.rows.start

    def queries(self, tensor: Tensor) -> Tensor:
        """The tile's part of a tensor with query rows: (num_heads, num_rows, columns)."""
        index: tuple[int | Span, ...] = (*self.leading, self.heads, self.rows)
        return tensor[index]

    def keys(self, tensor: Tensor, start: int, stop: int) -> Tensor:
        """Rows start..stop of key, value or their gradients: (num_heads, stop - start, columns)."""
        index: tuple[int | Span, ...] = (*self.leading, self.heads, slice(start, stop))
        return tensor[index]


def scores_per_tile(device: torch.device, working: torch.dtype) -> int:
    """How many scores of a dtype a tile may hold."""
    if device.type not in HOSTS:
        return GPU_TILE_BYTES // working.itemsize
    return torch.get_num_threads() * CACHES_PER_THREAD * _l2_bytes() // working.itemsize


@cache
def _l2_bytes() -> int:
    """Bytes of a core's second-level cache, as torch tells them."""
    tell: Callable[[], dict[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    told = tell().get("l2_cache_size")
    return min(told, L2_BYTES) if isinstance(told, int) and told > 0 else L2_BYTES


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a call is cut: into tiles of some heads and rows, and these into blocks of keys.

    `summing` is the dtype in which sums over many blocks lose nothing, `working` that of a block.
    """

    heads: int
    rows: int
    keys: int
    working: torch.dtype
    summing: torch.dtype

    def tiles(self, query: Tensor) -> Iterator[Tile]:
        """The tiles of query (..., num_heads, query_len, head_dim)."""
        *leading, num_heads, query_len = query.shape[:-1]
        if not self.heads * self.rows * self.keys:
            return
        for index in itertools.product(*map(range, leading)):
            for head in range(0, num_heads, self.heads):
                for row in range(0, query_len, self.rows):
                    yield Tile(
                        leading=index,
                        heads=slice(head, min(head + self.heads, num_heads)),
                        rows=slice(row, min(row + self.rows, query_len)),
                    )

    def scratch(self, like: Tensor, *, rows: int = 0, keys: int = 0) -> Scratch:
        """Memory for some columns a row of a tile, or a key of a block."""
        size = self.heads * (self.rows * rows + self.keys * keys)
        return Scratch(size, self.working, like.device)


def cut(query: Tensor, *, keys: int, fewest_rows: int = 1) -> Cut:
    """Cut a call so that the scores of a block, those of `keys` keys, fit `scores_per_tile`.

    A tile has `fewest_rows` of a head, if there are as many, and they fit or not.
    """
    num_heads, query_len = query.shape[-3:-1]
    working = working_dtype(query)
    room = scores_per_tile(query.device, working)
    rows = min(query_len, max(fewest_rows, room // max(1, keys)))
    heads = min(num_heads, max(1, room // max(1, rows * keys)))
    return Cut(heads=heads, rows=rows, keys=keys, working=working, summing=summing_dtype(query))


@cache
def _multiplies(dtype: torch.dtype) -> bool:
    """Whether this processor multiplies matrices of the dtype; if not, torch takes a scalar path.

    That is some thirty times slower than float32. torch asks the same two functions.
    """
    if dtype not in HALF:
        return True
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return False
    asked = torch.ops.mkldnn
    bfloat16 = dtype == torch.bfloat16
    told = asked._is_mkldnn_bf16_supported if bfloat16 else asked._is_mkldnn_fp16_supported
    return bool(told())


def working_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype in which blocks are computed: float32 where the processor has no products in half.

    The output is then rounded once, so that its error is smaller than that of half precision.
    """
    if tensor.device.type in HOSTS and not _multiplies(tensor.dtype):
        return torch.float32
    return tensor.dtype


class Scratch:
    """Memory of `size` elements for the blocks of all tiles, so that no block allocates.

    It is taken when it is first asked for.
    """

    def __init__(self, size: int, dtype: torch.dtype, device: torch.device) -> None:
        self._size, self._dtype, self._device = size, dtype, device
        self._buffer: Tensor | None = None

    def block(self, *shape: int) -> Tensor:
        """Uninitialised memory of this shape, valid until the next call."""
        if self._buffer is None:
            self._buffer = torch.empty(self._size, dtype=self._dtype, device=self._device)
        return self._buffer[: math.prod(shape)].view(shape)

    def widened(self, tensor: Tensor) -> Tensor:
        """The tensor in this memory's dtype: itself, or a copy valid until the next call."""
        if tensor.dtype == self._dtype:
            return tensor
        return self.block(*tensor.shape).copy_(tensor)


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

    def seeing(self, tile: Tile, start: int) -> Tile:
        """The rows of the tile that may see key `start`, the first of a block."""
        if not self.is_causal:
            return tile
        return replace(tile, rows=slice(max(start, tile.rows.start), tile.rows.stop))

    def apply_(self, scores: Tensor, tile: Tile, start: int) -> None:
        """Mask a block of scores (num_heads, num_rows, keys from start on) in place.

        Under the causal mask the tile is one of `seeing`.
        """
        stop = start + scores.shape[-1]
        if self.attn_mask is not None:
            mask = tile.queries(self.attn_mask)[..., start:stop]
            if self.adds:
                scores.add_(mask)
            else:
                _keep_(scores, mask)
        # The tile's rows see key `start`: only columns from the first row's own position on can lie
        # in the future, and only for the rows before the last of these columns.
        first = tile.rows.start
        if self.is_causal and first < stop:
            triangle = scores[..., : stop - first, first - start :]
            # Zeros first: what is not finite in the future must not become NaN.
            future = triangle.new_full(triangle.shape[-2:], -math.inf).triu_(1)
            # In memory of its own where it is part of a wider block, as tril would have it.
            triangle.copy_(triangle.contiguous().tril_().add_(future))

    @property
    def adds(self) -> bool:
        """Whether there is a mask that is added to the scores."""
        return self.attn_mask is not None and self.attn_mask.dtype != torch.bool


def _keep_(scores: Tensor, mask: Tensor) -> None:
    """Make scores -inf where a boolean mask is False, whatever they are there.

    By bits, since a CPU takes ten times as long to fill by a mask as to combine integers.
    """
    integer = INTEGERS[scores.itemsize]
    of_heads = mask[:1] if mask.stride(0) == 0 else mask
    kept = torch.empty_like(scores[: len(of_heads)], dtype=integer).copy_(of_heads).neg_()
    bits = scores.view(integer).bitwise_and_(kept)
    # -inf has its sign and exponent set, and of the rest nothing.
    infinity = -round(1 / torch.finfo(scores.dtype).eps)
    bits.bitwise_or_(kept.bitwise_not_().bitwise_and_(infinity))


def refuse_mask_gradient(name: str, attn_mask: Tensor | None) -> None:
    """Raise UnsupportedCaseError where a mask asks for a gradient: it would take n x n memory."""
    if attn_mask is not None and attn_mask.requires_grad and torch.is_grad_enabled():
        raise UnsupportedCaseError(
            f"{name} does not differentiate attn_mask, "
            "whose gradient would take n x n memory; detach it, or use matmul"
        )


def summing_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype in which sums over many blocks lose nothing: at least float32."""
    return torch.float32 if tensor.dtype in HALF else tensor.dtype


def accumulator(like: Tensor) -> Tensor:
    """Zeros of the same shape, contiguous, in `summing_dtype`."""
    return torch.zeros_like(like, dtype=summing_dtype(like), memory_format=torch.contiguous_format)


def accumulate_(total: Tensor, left: Tensor, right: Tensor, *, factor: float = 1.0) -> None:
    """Add factor · left @ right, a batch of matrices, to `total` in place."""
    if total.dtype == left.dtype:
        total.baddbmm_(left, right, alpha=factor)
    else:
        total.add_(torch.bmm(left, right), alpha=factor)
