"""Additive attention with one number for each query, key and feature in memory.

Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate",
appendix A.1.2: the score of a query and a key is vᵀ tanh(W₁ q + W₂ k). A core is given what the
projections W₁ and W₂ made, so that the score is Σ_c v_c tanh(q_c + k_c). It takes as many
evaluations of tanh as the dot product takes multiply-adds, and all of them stand in memory.
"""

from __future__ import annotations

from torch import Tensor

from implementations.case import Case
from implementations.interface import ALL_FEATURES, Feature, Implementation
from implementations.masking import (
    apply_mask,
    check_arguments,
    expand_mask,
    refuse_dropout,
    resolve_scale,
    safe_softmax,
)
from implementations.oracle import Scored, full_mask

# A gibibyte in float32, of which a backward pass holds three; whoever has more wants the blocks.
MAX_TANHS = 2**28


def additive(
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

    The vector v is `scale` in every component, by default 1/√head_dim.

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, or `attn_mask` with `is_causal`.

    """
    check_arguments(query, key, value, attn_mask, is_causal)
    refuse_dropout("additive", dropout_p)
    weight = query.new_full(query.shape[-1:], resolve_scale(query, scale))
    return additive_attention(query, key, value, weight, attn_mask=attn_mask, is_causal=is_causal)


def additive_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weight: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """softmax(Σ_c v_c tanh(q_c + k_c)) V: (..., query_len, d) -> (..., query_len, value_dim).

    `weight` is the vector v, (head_dim,); it may be learned.

    Raises:
        ValueError: shapes or dtypes that do not fit, or `attn_mask` with `is_causal`.

    """
    check_arguments(query, key, value, attn_mask, is_causal)
    mask = full_mask(query, key, expand_mask(attn_mask, query, key), is_causal)
    # One v for each query: the gradient of a single one would be one long sum over all pairs, which
    # loses ten times as many digits.
    weights = weight.expand(*query.shape[:-1], -1)[..., None]
    scores = (_tanhs(query, key) @ weights)[..., 0]
    return safe_softmax(apply_mask(scores, mask)) @ value


def _scores(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """scale · Σ_c tanh(q_c + k_c)."""
    return _tanhs(query, key).sum(-1) * scale


def _sizes(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return _tanhs(query, key).abs().sum(-1) * abs(scale)


def _gradient_sizes(
    query: Tensor, key: Tensor, scale: float, score_grads: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums of |dS| (1 + tanh²) · |scale|: the terms of the slope, 1 - tanh², do not cancel."""
    sizes = score_grads[..., None] * (1.0 + _tanhs(query, key) ** 2) * abs(scale)
    return sizes.sum(-2), sizes.sum(-3)


def _tanhs(query: Tensor, key: Tensor) -> Tensor:
    """tanh(q_c + k_c): (..., query_len, key_len, head_dim)."""
    return (query[..., :, None, :] + key[..., None, :, :]).tanh()


ADDITIVE = Scored(scores=_scores, sizes=_sizes, gradient_sizes=_gradient_sizes)


def _declines(case: Case) -> str | None:
    tanhs = case.batch * case.num_heads * case.seq_len * case.key_len * case.head_dim
    if tanhs <= MAX_TANHS:
        return None
    return (
        f"additive keeps every tanh: {tanhs} asked for, at most {MAX_TANHS} taken; "
        "use additive_chunked"
    )


IMPLEMENTATION = Implementation(
    name="additive",
    title="Additive attention, every tanh in memory",
    source="Bahdanau et al. 2015, appendix A.1.2",
    fn=additive,
    time_law="n^2*d",
    workspace_law="n^2*d",
    supports=ALL_FEATURES - {Feature.DROPOUT},
    declines=_declines,
    oracle=ADDITIVE,
)
