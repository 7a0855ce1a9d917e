"""Additive attention in blocks: no tensor of all queries, keys and features is ever whole.

Bahdanau et al. 2015 as in `implementations.attention.additive`, by `implementations.blockwise`:
what tanh gives lives for as many rows of a block as caches hold, and the backward pass computes it
again (Rabe & Staats 2021, "Self-attention Does Not Need O(n²) Memory").
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from implementations.attention.additive import ADDITIVE
from implementations.blocks import Scratch, Span, scores_per_tile, working_dtype
from implementations.blockwise import attend_blockwise
from implementations.interface import ALL_FEATURES, Feature, Implementation

KEYS_PER_BLOCK = 512
# tanh takes longer than memory beyond the caches: with more at once, fewer calls from Python.
TANHS_PER_SCORE = 4


def additive_chunked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(scale · Σ_c tanh(q_c + k_c)) V: (..., query_len, d) -> (..., query_len, value_dim).

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
        enable_gqa=False,
        fewest_rows=1,
        keys_per_block=KEYS_PER_BLOCK,
        scoring=Additive(query),
    )


class Additive:
    """Σ_c tanh(q_c + k_c), by some heads and rows of a block at a time."""

    def __init__(self, query: Tensor) -> None:
        working = working_dtype(query)
        room = TANHS_PER_SCORE * scores_per_tile(query.device, working)
        self._room = max(room, KEYS_PER_BLOCK * query.shape[-1])
        self._memory = Scratch(self._room, working, query.device)

    def fill_(
        self, block: Tensor, rows: Tensor, keys: Tensor, *, factor: float, less: Tensor | None
    ) -> None:
        """Sums over the features, from which `less` comes off afterwards."""
        for part, tanh in self._parts(rows, keys):
            torch.sum(tanh, dim=-1, out=block[part])
        block.mul_(factor)
        if less is not None:
            block.sub_(less)

    def differentiate_(
        self,
        grads: Tensor,
        rows: Tensor,
        keys: Tensor,
        grad_rows: Tensor,
        grad_keys: Tensor,
        *,
        factor: float,
    ) -> None:
        """Sums of dS (1 - tanh²): over the keys for dQ, over the rows for dK."""
        grads.mul_(-factor)
        for part, tanh in self._parts(rows, keys):
            heads, some = part
            slopes = tanh.square_().sub_(1.0).mul_(grads[part][..., None])
            grad_rows.mT[heads, some].add_(slopes.sum(dim=2, dtype=grad_rows.dtype))
            grad_keys[heads].add_(slopes.sum(dim=1, dtype=grad_keys.dtype))

    def _parts(self, rows: Tensor, keys: Tensor) -> Iterator[tuple[tuple[Span, Span], Tensor]]:
        """tanh(q_c + k_c), (some heads, some rows, num_keys, head_dim), and which those are."""
        num_heads, num_rows, width = rows.shape
        at_once = max(1, self._room // max(1, keys.shape[-2] * width))
        some_rows, some_heads = min(at_once, num_rows), max(1, at_once // num_rows)
        for head in range(0, num_heads, some_heads):
            for row in range(0, num_rows, some_rows):
                part = (slice(head, head + some_heads), slice(row, row + some_rows))
                left, right = rows[part], keys[part[0]]
                tanh = self._memory.block(*left.shape[:2], *right.shape[1:])
                yield part, torch.add(left[:, :, None], right[:, None], out=tanh).tanh_()


IMPLEMENTATION = Implementation(
    name="additive_chunked",
    title="Additive attention by blocks of queries and keys, O(1) workspace",
    source="Bahdanau et al. 2015, appendix A.1.2; Rabe & Staats 2021",
    fn=additive_chunked,
    time_law="n^2*d",
    workspace_law="1",
    supports=ALL_FEATURES - {Feature.DROPOUT},
    oracle=ADDITIVE,
)
