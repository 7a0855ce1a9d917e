"""torch's flex_attention, compiled: blocks of scores that nobody sees are skipped.

Dong et al. 2024, "Flex Attention: A Programming Model for Generating Optimized Attention Kernels".
The causal triangle and the sliding window are a block mask: which blocks of 128 queries and 128
keys are seen whole, in part, or not at all, and a function that says so of one pair. Blocks are
told from the lengths alone, so that no mask of query_len * key_len is ever made. Without a block
mask torch's kernel for the CPU takes all pairs as one block, so there is a mask in every call.

What is timed is the call of the compiled kernel with a block mask that is there already: one mask
for each pair of lengths, triangle and window is kept, as a caller keeps it. The first call of a
size, which no reading holds, makes the mask and compiles the kernel; `compile_s` is what both took.
Looking the mask up, and telling the kind of the call, is timed with it: some microseconds.

On a CPU (seen in torch 2.13) there is no backward pass and no float64; lengths and head_dim may be
any. On CUDA, where torch has a backward pass and compiles by Triton, this file has not run yet.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from implementations.attention._compiled import MOST_KINDS, compiled
from implementations.case import Case
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.masking import check_arguments

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

BLOCK = 128  # queries and keys of a block; torch's default
NO_BACKWARD = "flex has no backward pass on a CPU"


def flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    window: int | None = None,
) -> Tensor:
    """Equal to `scaled_dot_product_attention`: (batch, heads, query_len, d) -> (..., value_dim).

    Raises:
        ValueError: shapes or dtypes that do not fit.
        UnsupportedCaseError: empty inputs, gradients on a CPU, or what torch cannot compile.

    """
    check_arguments(query, key, value, None, is_causal, enable_gqa)
    if not (query.numel() and key.numel() and value.numel()):
        raise UnsupportedCaseError("flex runs no kernel on empty inputs")
    asked = torch.is_grad_enabled() and any(one.requires_grad for one in (query, key, value))
    if asked and query.device.type == "cpu":
        raise UnsupportedCaseError(NO_BACKWARD)
    mask = _block_mask(query.shape[-2], key.shape[-2], is_causal, window, query.device)
    output: Tensor = _KERNEL.call(
        query, key, value, block_mask=mask, scale=scale, enable_gqa=enable_gqa
    )
    return output


def _attend(query: Tensor, key: Tensor, value: Tensor, **keywords: Any) -> Tensor:
    """What is compiled."""
    from torch.nn.attention.flex_attention import flex_attention

    output: Tensor = flex_attention(query, key, value, **keywords)
    return output


@lru_cache(maxsize=MOST_KINDS)
def _block_mask(
    query_len: int, key_len: int, is_causal: bool, window: int | None, device: torch.device
) -> BlockMask:
    """The blocks that are seen whole, and those of which some pairs are.

    A query is behind a key by i - j, and sees the key if that lies in a range; those of a block are
    a range as well.
    """
    from torch.nn.attention.flex_attention import BlockMask

    most = max(query_len, key_len) if window is None else window - 1
    least = 0 if is_causal else -most

    def is_seen(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (i - j >= least) & (i - j <= most)

    first_query, last_query = _ends(query_len, device)
    first_key, last_key = _ends(key_len, device)
    nearest, farthest = first_query[:, None] - last_key, last_query[:, None] - first_key
    some = (farthest >= least) & (nearest <= most)
    whole = (nearest >= least) & (farthest <= most)
    return BlockMask.from_kv_blocks(
        *_listed(some & ~whole),
        *_listed(whole),
        BLOCK_SIZE=BLOCK,
        mask_mod=is_seen,
        seq_lengths=(query_len, key_len),
    )


def _ends(length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first and the last row of every block."""
    first = torch.arange(0, length, BLOCK, device=device)
    return first, (first + BLOCK).clamp(max=length) - 1


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of keys each block of queries has, and their numbers first of all numbers."""
    numbers = blocks.byte().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], numbers.int()[None, None]


def _declines(case: Case) -> str | None:
    if case.device_type == "cpu" and case.is_backward:
        return NO_BACKWARD
    return None


_KERNEL = compiled(
    Implementation(
        name="flex",
        title="torch flex_attention, compiled, blocks of 128",
        source="Dong et al. 2024; torch.nn.attention.flex_attention",
        fn=_attend,
        time_law="n*w*d",
        workspace_law="n*d",
        supports=frozenset(
            (
                *(Feature.BACKWARD, Feature.CAUSAL, Feature.WINDOW, Feature.GROUPED),
                *(Feature.CROSS_LENGTH, Feature.VALUE_DIM, Feature.SCALE),
            )
        ),
        dtypes=("float32", "bfloat16", "float16"),
        declines=_declines,
    )
)
IMPLEMENTATION = replace(
    _KERNEL, name="flex", title="torch flex_attention, compiled, blocks of 128", fn=flex
)
