"""Exact attention by blocks of query rows: no score matrix is ever whole.

A block of rows meets all keys at once, in one reused buffer of rows x key_len scores, so that the
workspace is O(n). The backward pass computes the weights of a block again instead of keeping them
(Rabe & Staats 2021, "Self-attention Does Not Need O(n²) Memory", without their key blocks).
"""

from __future__ import annotations

import torch

from implementations.attention._compiled import compiled
from implementations.blockwise import blockwise_core
from implementations.interface import ALL_FEATURES, Feature, Implementation

# With fewer a BLAS does not reach its full rate, even where their scores fit no cache.
ROWS_PER_THREAD = 256


def _blocks(is_causal: bool) -> tuple[int, int | None]:
    return ROWS_PER_THREAD * torch.get_num_threads(), None


query_chunked = blockwise_core(_blocks)


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
