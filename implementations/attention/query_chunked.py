"""Exact attention by blocks of query rows: no score matrix is ever whole.

A block of rows meets all keys at once, in one reused buffer of rows x key_len scores, so that the
workspace is O(n). The backward pass computes the weights of a block again instead of keeping them
(Rabe & Staats 2021, "Self-attention Does Not Need O(n²) Memory", without their key blocks).
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from implementations.attention._compiled import compiled
from implementations.blockwise import attend_blockwise
from implementations.interface import ALL_FEATURES, Feature, Implementation, Options

# With fewer a BLAS does not reach its full rate, even where their scores fit no cache.
ROWS_PER_THREAD = 256


def query_chunked(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Equal to `scaled_dot_product_attention`, and raises what `attend_blockwise` raises."""
    rows = ROWS_PER_THREAD * torch.get_num_threads()
    return attend_blockwise(query, key, value, fewest_rows=rows, keys_per_block=None, **options)


IMPLEMENTATION = Implementation(
    name="query_chunked",
    title="Blocks of query rows, O(n) workspace",
    source="Rabe & Staats 2021, without their key blocks",
    fn=query_chunked,
    time_law="n^2*d",
    workspace_law="n",
    supports=ALL_FEATURES - {Feature.DROPOUT},
)

VARIANTS = (compiled(IMPLEMENTATION),)
