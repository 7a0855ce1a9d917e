"""The tiles of the Triton kernels: a block's rows and keys, by the width of rows and the dtype."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# Rows wider than this leave no room for two blocks in a multiprocessor's shared memory.
WIDEST = 256
NARROWEST = 16  # what tensor cores take


class Tiles(NamedTuple):
    """Rows and keys of a program's blocks, its warps, and how many loads are under way at once."""

    block_queries: int
    block_keys: int
    num_warps: int
    num_stages: int


# (bytes of an element, widest padded row): tiles of `forward`, `query_gradients`, `key_gradients`.
# Chosen for Hopper by what fits its shared memory and registers; not tuned on a GPU yet. There is
# no autotuning, so that the same call runs the same kernel each time. float32 has exact products
# without tensor cores, whose operands fill registers.
TILES = {
    (2, 64): (Tiles(128, 128, 8, 3), Tiles(128, 64, 8, 2), Tiles(64, 128, 8, 2)),
    (2, 128): (Tiles(128, 64, 8, 3), Tiles(64, 64, 8, 2), Tiles(64, 64, 8, 2)),
    (2, 256): (Tiles(64, 64, 8, 2), Tiles(64, 32, 8, 2), Tiles(32, 64, 8, 2)),
    (4, 64): (Tiles(64, 32, 4, 2), Tiles(32, 32, 4, 2), Tiles(32, 32, 4, 2)),
    (4, 128): (Tiles(32, 32, 4, 2), Tiles(32, 32, 8, 1), Tiles(32, 32, 8, 1)),
    (4, 256): (Tiles(32, 16, 8, 1), Tiles(16, 16, 8, 1), Tiles(16, 16, 8, 1)),
}


def padded(dim: int) -> int:
    """The power of two, NARROWEST at least, that holds rows of so many elements."""
    return max(NARROWEST, 1 << (dim - 1).bit_length()) if dim else NARROWEST


def chosen(query: Tensor, value: Tensor) -> tuple[Tiles, Tiles, Tiles]:
    """The tiles of the three kernels, for the wider of query and value."""
    width = max(padded(query.shape[-1]), padded(value.shape[-1]))
    return TILES[query.element_size(), min(one for _, one in TILES if one >= width)]
