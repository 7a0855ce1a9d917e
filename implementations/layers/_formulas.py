"""What the oracles of layers have in common: linear maps and heads, by their definition."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from implementations.oracle import Oracle, softmax_attention


def linear_map(parameters: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """x Wᵀ + b of the map `name`: (..., inputs) -> (..., outputs)."""
    product = torch.einsum("...i,oi->...o", x, parameters[f"{name}.weight"])
    return product + parameters[f"{name}.bias"]


def attend_by_heads(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    num_heads: int,
    attend: Oracle = softmax_attention,
) -> Tensor:
    """Concat(head_1, …, head_h) of Vaswani et al. 2017, section 3.2.2, one head after the other.

    query (batch, query_len, num_heads · qk_dim), key (batch, key_len, num_heads · qk_dim), value
    (batch, key_len, num_heads · value_dim) -> (batch, query_len, num_heads · value_dim). The mask
    broadcasts to (batch, num_heads, query_len, key_len).
    """
    shape = (query.shape[0], num_heads, query.shape[1], key.shape[1])
    masks = None if attn_mask is None else attn_mask.expand(shape)
    scale = 1.0 / math.sqrt(query.shape[-1] // num_heads)
    parts = zip(*(one.chunk(num_heads, dim=-1) for one in (query, key, value)), strict=True)
    heads = [
        attend(q, k, v, None if masks is None else masks[:, head], scale)
        for head, (q, k, v) in enumerate(parts)
    ]
    return torch.cat(heads, dim=-1)
