"""Exact attention by blocks of queries and of keys: the workspace does not grow with n.

A row's softmax over all keys is assembled from blocks of keys, of which only one lives at a time:
the sums of the weights, and of their products with the values, go on from block to block (Milakov
& Gimelshein 2018, "Online normalizer calculation for softmax"; Rabe & Staats 2021; Dao et al. 2022,
"FlashAttention"). `implementations.blockwise` says what takes the place of their running maximum.
"""

from __future__ import annotations

from implementations.attention._compiled import compiled
from implementations.blockwise import blockwise_core
from implementations.interface import ALL_FEATURES, Feature, Implementation

# Long enough that the product with the values is as fast as a BLAS can be.
KEYS_PER_BLOCK = 512


def _blocks(is_causal: bool) -> tuple[int, int | None]:
    # Under the causal mask half of the last block of each row is computed in vain.
    return 1, KEYS_PER_BLOCK // 2 if is_causal else KEYS_PER_BLOCK


online_softmax = blockwise_core(_blocks)


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
