"""Attention as explicit loops over queries, keys and features, on Python floats.

Vaswani et al. 2017, equation 1, written so that the cost can be read off: the two innermost loops
run query_len * key_len * head_dim times each, hence Θ(n²d) for every head. It is for reading and
for small sizes: a multiply-add costs some 50 ns here and 0.01 ns in a matrix product.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from implementations.case import Case
from implementations.groups import group_size
from implementations.interface import ALL_FEATURES, Feature, Implementation
from implementations.masking import check_arguments, expand_mask, refuse_dropout, resolve_scale

# About a second of interpreter; whoever wants more wants another implementation.
MAX_MULTIPLY_ADDS = 2**24

Matrix = list[list[float]]


def loop(
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

    Computed in Python floats (float64) and rounded once to the dtype of the query; no gradients.

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, `attn_mask` with `is_causal`, inputs
            that require gradients, or more than MAX_MULTIPLY_ADDS multiply-adds.

    """
    check_arguments(query, key, value, attn_mask, is_causal, enable_gqa)
    refuse_dropout("loop", dropout_p)
    inputs = (query, key, value, attn_mask)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        raise ValueError("loop computes no gradients; use row_loop, or call it under no_grad")
    problem = _too_large(query.shape[:-1].numel(), key.shape[-2], key.shape[-1], value.shape[-1])
    if problem is not None:
        raise ValueError(problem)
    mask = expand_mask(attn_mask, query, key)
    factor = resolve_scale(query, scale)
    queries = _matrices(query)
    masks = _matrices(_additive(mask)) if mask is not None else [None] * len(queries)
    group = group_size(query, key)
    keys, values = ([one for one in _matrices(t) for _ in range(group)] for t in (key, value))
    outputs = [
        _one_head(q, k, v, own_mask, is_causal, factor, value.shape[-1])
        for q, k, v, own_mask in zip(queries, keys, values, masks, strict=True)
    ]
    shape = (*query.shape[:-1], value.shape[-1])
    return torch.tensor(outputs, dtype=query.dtype, device=query.device).reshape(shape)


def _one_head(
    query: Matrix,
    key: Matrix,
    value: Matrix,
    mask: Matrix | None,
    is_causal: bool,
    scale: float,
    value_dim: int,
) -> Matrix:
    output = []
    for i, query_row in enumerate(query):
        scores = []
        for j, key_row in enumerate(key):
            score = 0.0
            for feature in range(len(query_row)):
                score += query_row[feature] * key_row[feature]
            score *= scale
            if mask is not None:
                score += mask[i][j]
            if is_causal and j > i:
                score = -math.inf
            scores.append(score)

        highest = max(scores, default=-math.inf)
        row = [0.0] * value_dim
        if highest != -math.inf:
            weights = [math.exp(score - highest) for score in scores]
            total = sum(weights)
            for j, value_row in enumerate(value):
                weight = weights[j] / total
                for feature in range(value_dim):
                    row[feature] += weight * value_row[feature]
        output.append(row)
    return output


def _matrices(tensor: Tensor) -> list[Matrix]:
    """The (rows, columns) matrix of every leading index, in order, as nested lists."""
    leading = tensor.shape[:-2].numel()
    flat: list[Matrix] = tensor.double().reshape(leading, *tensor.shape[-2:]).tolist()
    return flat


def _additive(mask: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask.cpu(), -math.inf)


def _too_large(rows: int, key_len: int, head_dim: int, value_dim: int) -> str | None:
    work = rows * key_len * (head_dim + value_dim)
    if work <= MAX_MULTIPLY_ADDS:
        return None
    return (
        f"loop is for small sizes: {work} multiply-adds asked for, "
        f"at most {MAX_MULTIPLY_ADDS} taken; use row_loop or matmul"
    )


def _declines(case: Case) -> str | None:
    rows = case.batch * case.num_heads * case.seq_len
    return _too_large(rows, case.key_len, case.head_dim, case.value_dim)


IMPLEMENTATION = Implementation(
    name="loop",
    title="Three nested Python loops (small sizes only)",
    source="Vaswani et al. 2017, equation 1, scalar by scalar",
    fn=loop,
    time_law="n^2*d",
    workspace_law="n*d",
    supports=ALL_FEATURES - {Feature.BACKWARD, Feature.DROPOUT} | {Feature.GROUPED},
    declines=_declines,
    unmeasured_workspace="loop works on Python floats, which the tensor allocator does not see",
)
