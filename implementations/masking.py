"""The masking semantics that every core shares, and the argument checks that go with them.

`is_causal` is top-left aligned: query i sees keys 0..i. A `window` leaves the keys j with
|i - j| < window. A boolean mask keeps True. A float mask is added to the scores. A row with every
key masked gives zeros, in the output and in the gradients.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def check_arguments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    enable_gqa: bool = False,
) -> None:
    """Refuse what no core accepts.

    With `enable_gqa`, key and value may have fewer heads (dimension -3), of which the query's
    heads are a multiple.

    Raises:
        ValueError: shapes that do not fit, dtypes that differ, or `attn_mask` with `is_causal`.

    """
    if attn_mask is not None and is_causal:
        raise ValueError("attn_mask and is_causal exclude each other; merge the triangle into it")
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if tensor.dim() < 2:
            raise ValueError(f"{name} needs at least 2 dimensions, got shape {tuple(tensor.shape)}")
        if tensor.dtype != query.dtype:
            raise ValueError(
                f"query and {name} must share dtype, got {query.dtype}, {tensor.dtype}"
            )
        if not enable_gqa and tensor.shape[:-2] != query.shape[:-2]:
            raise ValueError(
                f"query and {name} must share leading dimensions, "
                f"got {tuple(query.shape[:-2])} and {tuple(tensor.shape[:-2])}; expand them first"
                f"{_IF_GROUPED if _are_groups(query, tensor) else ''}"
            )
    if enable_gqa:
        _check_heads(query, key, value)
    if key.shape[-1] != query.shape[-1]:
        raise ValueError(
            f"query and key must share head_dim, got {query.shape[-1]} and {key.shape[-1]}"
        )
    if value.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"key and value must share key_len, got {key.shape[-2]} and {value.shape[-2]}"
        )
    if attn_mask is not None and attn_mask.dtype not in (torch.bool, query.dtype):
        if not attn_mask.is_floating_point():
            raise ValueError(f"attn_mask must be boolean or floating point, got {attn_mask.dtype}")
        raise ValueError(f"a float attn_mask must be {query.dtype}, got {attn_mask.dtype}; cast it")


_IF_GROUPED = ", or pass enable_gqa=True"


def _are_groups(query: Tensor, key: Tensor) -> bool:
    """Whether the shapes are those of grouped queries."""
    if min(query.dim(), key.dim()) < 3 or query.shape[:-3] != key.shape[:-3]:
        return False
    num_heads, num_kv_heads = query.shape[-3], key.shape[-3]
    return num_heads == num_kv_heads or (num_kv_heads > 0 and num_heads % num_kv_heads == 0)


def _check_heads(query: Tensor, key: Tensor, value: Tensor) -> None:
    if query.dim() < 3:
        raise ValueError(
            f"enable_gqa needs heads in dimension -3, got a query of shape {tuple(query.shape)}"
        )
    if key.shape[:-2] != value.shape[:-2]:
        raise ValueError(
            "key and value must share leading dimensions, "
            f"got {tuple(key.shape[:-2])} and {tuple(value.shape[:-2])}"
        )
    if not _are_groups(query, key):
        raise ValueError(
            "with enable_gqa the query must have a multiple of the key's heads and the other "
            "leading dimensions the same, "
            f"got {tuple(query.shape[:-2])} and {tuple(key.shape[:-2])}"
        )


def refuse_dropout(name: str, dropout_p: float) -> None:
    """Raise ValueError unless `dropout_p` is 0: recomputed blocks would need their random state."""
    if dropout_p != 0.0:
        raise ValueError(f"{name} has no dropout, got dropout_p={dropout_p}; use matmul or sdpa")


def resolve_scale(query: Tensor, scale: float | None) -> float:
    """The given scale, or 1/√head_dim (Vaswani et al. 2017, section 3.2.1)."""
    if scale is not None:
        return scale
    return 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0


def expand_mask(attn_mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
    """The mask as a view of shape (..., query_len, key_len); nothing is copied.

    Raises:
        ValueError: the mask does not broadcast to that shape.

    """
    if attn_mask is None:
        return None
    shape = (*query.shape[:-1], key.shape[-2])
    try:
        return attn_mask.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"attn_mask must broadcast to {tuple(shape)}, got {tuple(attn_mask.shape)}"
        ) from None


def causal_mask(
    query_len: int, key_len: int, *, device: torch.device, first_query: int = 0
) -> Tensor:
    """True where query first_query + i may see key j: not later than itself.

    Shape (query_len, key_len), boolean.
    """
    allowed = torch.ones(query_len, key_len, dtype=torch.bool, device=device)
    return allowed.tril_(diagonal=first_query)


def band_mask(
    query_len: int, key_len: int, window: int, is_causal: bool, *, device: torch.device
) -> Tensor:
    """True where query i may see key j: |i - j| < window, and with `is_causal` j <= i.

    Shape (query_len, key_len), boolean.
    """
    allowed = torch.ones(query_len, key_len, dtype=torch.bool, device=device)
    return allowed.tril_(diagonal=0 if is_causal else window - 1).triu_(diagonal=1 - window)


def apply_mask(scores: Tensor, attn_mask: Tensor | None) -> Tensor:
    """The scores with masked entries at -inf (boolean mask) or with the float mask added."""
    if attn_mask is None:
        return scores
    if attn_mask.dtype == torch.bool:
        return scores.masked_fill(~attn_mask, -math.inf)
    return scores + attn_mask


def safe_softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension in which a row of -inf gives zeros instead of NaN.

    Such rows are set to 0 before the softmax as well as after it, so that the backward pass never
    multiplies a NaN by zero.
    """
    if scores.shape[-1] == 0:
        return scores
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    return scores.masked_fill(empty, 0.0).softmax(dim=-1).masked_fill(empty, 0.0)
