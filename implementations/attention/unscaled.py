"""softmax(Q Kᵀ) V without the division by √d, as the first dot-product attention had it.

Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine Translation", section
3.1, score "dot". The scores of random queries and keys grow with √d, so that the softmax picks
single keys where d is large: the reason for the division (Vaswani et al. 2017, section 3.2.1).
"""

from __future__ import annotations

from torch import Tensor

from implementations.attention.matmul import matmul
from implementations.interface import ALL_FEATURES, Feature, Implementation
from implementations.oracle import (
    Scored,
    Scores,
    dot_product_gradient_sizes,
    dot_product_sizes,
    dot_products,
)


def unscaled(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ) V: (..., query_len, head_dim) -> (..., query_len, value_dim).

    Raises:
        ValueError: shapes or dtypes that do not fit, or `attn_mask` with `is_causal`.

    """
    return matmul(
        query,
        key,
        value,
        attn_mask=attn_mask,
        dropout_p=dropout_p,
        is_causal=is_causal,
        scale=1.0,
    )


def _at_scale_one(of_scores: Scores) -> Scores:
    return lambda query, key, scale: of_scores(query, key, 1.0)


IMPLEMENTATION = Implementation(
    name="unscaled",
    title="Dot products without 1/√d, all scores in memory",
    source="Luong et al. 2015, section 3.1",
    fn=unscaled,
    time_law="n^2*d",
    workspace_law="n^2*d",
    supports=ALL_FEATURES - {Feature.SCALE},
    oracle=Scored(
        scores=_at_scale_one(dot_products),
        sizes=_at_scale_one(dot_product_sizes),
        gradient_sizes=lambda query, key, scale, score_grads: dot_product_gradient_sizes(
            query, key, 1.0, score_grads
        ),
    ),
)
