"""One query at a time, its keys vectorised: softmax(K q · scale)ᵀ V for each row q of Q.

The formula of Vaswani et al. 2017, equation 1, row by row. Only one row of scores lives at a time;
every query reads all keys and values again, so memory traffic is n²d as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.groups import product
from implementations.interface import ALL_FEATURES, Feature, Implementation
from implementations.masking import (
    apply_mask,
    causal_mask,
    check_arguments,
    expand_mask,
    refuse_dropout,
    resolve_scale,
    safe_softmax,
)


def row_loop(
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

    """
    check_arguments(query, key, value, attn_mask, is_causal, enable_gqa)
    refuse_dropout("row_loop", dropout_p)
    mask = expand_mask(attn_mask, query, key)
    factor = resolve_scale(query, scale)
    rows = []
    for i in range(query.shape[-2]):
        scores = product(query[..., i, None, :], key.mT)[..., 0, :] * factor
        if is_causal:
            row_mask = causal_mask(1, key.shape[-2], device=query.device, first_query=i)[0]
            weights = safe_softmax(apply_mask(scores, row_mask))
        elif mask is not None:
            weights = safe_softmax(apply_mask(scores, mask[..., i, :]))
        else:
            weights = scores.softmax(dim=-1)
        rows.append(product(weights[..., None, :], value)[..., 0, :])
    if not rows:
        return product(product(query, key.mT), value)  # empty, but with gradients to follow
    return torch.stack(rows, dim=-2)


IMPLEMENTATION = Implementation(
    name="row_loop",
    title="One query at a time",
    source="Vaswani et al. 2017, equation 1, row by row",
    fn=row_loop,
    time_law="n^2*d",
    workspace_law="n*d",
    supports=ALL_FEATURES - {Feature.DROPOUT} | {Feature.GROUPED},
)
