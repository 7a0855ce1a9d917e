"""Exact attention by blocks of query rows: no score matrix is ever whole.

A block of rows meets all keys at once, in one reused buffer of rows x key_len scores, so that the
workspace is O(n). The backward pass computes the weights of a block again instead of keeping them
(Rabe & Staats 2021, "Self-attention Does Not Need O(n²) Memory", without their key blocks).
"""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.attention._compiled import compiled
from implementations.blockwise import attend_blockwise
from implementations.interface import ALL_FEATURES, Feature, Implementation

# With fewer a BLAS does not reach its full rate, even where their scores fit no cache.
ROWS_PER_THREAD = 256


def query_chunked(
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
        fewest_rows=ROWS_PER_THREAD * torch.get_num_threads(),
        keys_per_block=None,
    )


IMPLEMENTATION = Implementation(
    name="query_chunked",
    title="Blocks of query rows, O(n) workspace",
    source="Rabe & Staats 2021, without their key blocks",
    fn=query_chunked,
    time_law="n^2*d",
    workspace_law="n",
    supports=ALL_FEATURES - {Feature.DROPOUT} | {Feature.GROUPED},
)

VARIANTS = (compiled(IMPLEMENTATION, name="query_chunked_compiled"),)
