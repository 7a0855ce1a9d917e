"""Exact attention by blocks of queries and of keys: the workspace does not grow with n.

A row's softmax over all keys is assembled from blocks of keys, of which only one lives at a time:
the sums of the weights, and of their products with the values, go on from block to block (Milakov
& Gimelshein 2018, "Online normalizer calculation for softmax"; Rabe & Staats 2021; Dao et al. 2022,
"FlashAttention"). `implementations.blockwise` says what takes the place of their running maximum.
"""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from implementations.attention._compiled import compiled
from implementations.blockwise import attend_blockwise
from implementations.interface import ALL_FEATURES, Feature, Implementation, Options

# Long enough that the product with the values is as fast as a BLAS can be.
KEYS_PER_BLOCK = 512


def online_softmax(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Equal to `scaled_dot_product_attention`, and raises what `attend_blockwise` raises."""
    # Under the causal mask half of the last block of each row is computed in vain.
    keys = KEYS_PER_BLOCK // 2 if options.get("is_causal") else KEYS_PER_BLOCK
    return attend_blockwise(query, key, value, fewest_rows=1, keys_per_block=keys, **options)


IMPLEMENTATION = Implementation(
    name="online_softmax",
    title="Blocks of queries and keys, running sums, O(1) workspace",
    source="Milakov & Gimelshein 2018; Rabe & Staats 2021; Dao et al. 2022",
    fn=online_softmax,
    time_law="n^2*d",
    workspace_law="1",
    supports=ALL_FEATURES - {Feature.DROPOUT},
)

# Compiled, a tile keeps the scores of all its blocks.
VARIANTS = (compiled(IMPLEMENTATION, workspace_law="n"),)
