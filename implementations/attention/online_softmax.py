"""Exact attention by blocks of queries and of keys: the workspace does not grow with n.

A row's softmax over all keys is assembled from blocks of keys, of which only one lives at a time:
the sums of the weights, and of their products with the values, go on from block to block (Milakov
& Gimelshein 2018, "Online normalizer calculation for softmax"; Rabe & Staats 2021; Dao et al. 2022,
"FlashAttention"). `implementations.blockwise` says what takes the place of their running maximum.
"""

from __future__ import annotations

from torch import Tensor

from implementations.attention._compiled import compiled
from implementations.blockwise import attend_blockwise
from implementations.interface import ALL_FEATURES, Feature, Implementation

# Long enough that the product with the values is as fast as a BLAS can be.
KEYS_PER_BLOCK = 512


def online_softmax(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Equal to `scaled_dot_product_attention`: (..., query_len, d) -> (..., query_len, value_dim).

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, or `attn_mask` with `is_causal`.
        UnsupportedCaseError: a mask that requires gradients.

    """
    return attend_blockwise(
        query,
        key,
        value,
        attn_mask=attn_mask,
        dropout_p=dropout_p,
        is_causal=is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
        fewest_rows=1,
        # Under the causal mask half of the last block of each row is computed in vain.
        keys_per_block=KEYS_PER_BLOCK // 2 if is_causal else KEYS_PER_BLOCK,
    )


IMPLEMENTATION = Implementation(
    name="online_softmax",
    title="Blocks of queries and keys, running sums, O(1) workspace",
    source="Milakov & Gimelshein 2018; Rabe & Staats 2021; Dao et al. 2022",
    fn=online_softmax,
    time_law="n^2*d",
    workspace_law="1",
    supports=ALL_FEATURES - {Feature.DROPOUT} | {Feature.GROUPED},
)

# Compiled, a tile keeps the scores of all its blocks.
VARIANTS = (compiled(IMPLEMENTATION, name="online_softmax_compiled", workspace_law="n"),)
