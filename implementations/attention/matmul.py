"""softmax(Q Kᵀ · scale) V with the whole score matrix in memory.

Vaswani et al. 2017, "Attention Is All You Need", equation 1. Two matrix products of n²d
multiply-adds each; the scores and their softmax stand side by side, so the workspace is two score
matrices. `matmul_widened` does the same to half precision in float32, and rounds the output once:
where a processor has no products in half precision, torch takes a scalar path that is some thirty
times slower.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import torch
from torch import Tensor

from implementations.attention._compiled import compiled
from implementations.groups import product
from implementations.interface import ALL_FEATURES, Feature, Implementation, Options
from implementations.masking import (
    apply_mask,
    causal_mask,
    check_arguments,
    expand_mask,
    resolve_scale,
    safe_softmax,
)


def matmul(
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
        ValueError: shapes or dtypes that do not fit, or `attn_mask` with `is_causal`.

    """
    check_arguments(query, key, value, attn_mask, is_causal, enable_gqa)
    mask = expand_mask(attn_mask, query, key)
    if is_causal:
        mask = causal_mask(query.shape[-2], key.shape[-2], device=query.device)
    scores = product(query, key.transpose(-2, -1)) * resolve_scale(query, scale)
    # Only a mask can empty a row; without one the plain softmax saves three passes.
    weights = scores.softmax(dim=-1) if mask is None else safe_softmax(apply_mask(scores, mask))
    if dropout_p:
        weights = torch.dropout(weights, dropout_p, train=True)
    return product(weights, value)


def matmul_widened(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    enable_gqa: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """`matmul` in float32, rounded to the dtype of the query; raises what `matmul` raises."""
    mask = options.get("attn_mask")
    check_arguments(query, key, value, mask, options.get("is_causal", False), enable_gqa)
    if mask is not None and mask.dtype != torch.bool:
        options["attn_mask"] = mask.float()
    wide = (query.float(), key.float(), value.float())
    return matmul(*wide, enable_gqa=enable_gqa, **options).to(query.dtype)


IMPLEMENTATION = Implementation(
    name="matmul",
    title="Two matrix products, all scores in memory",
    source="Vaswani et al. 2017, equation 1",
    fn=matmul,
    time_law="n^2*d",
    workspace_law="n^2*d",
    supports=ALL_FEATURES | {Feature.GROUPED},
)

VARIANTS = (
    # Without a mask inductor knows the pattern, and puts SDPA in its place.
    compiled(IMPLEMENTATION, name="matmul_compiled", workspace_law="n*d"),
    replace(
        IMPLEMENTATION,
        name="matmul_widened",
        title="Half precision by two matrix products in float32",
        fn=matmul_widened,
        dtypes=("bfloat16", "float16"),
    ),
)
