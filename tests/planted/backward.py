"""Attention with a backward pass written out, for mutants to change; right as it stands.

It is computed in float32 for half precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from implementations.masking import resolve_scale, safe_softmax
from tests.planted.pieces import Options, drop, masked_scores, refuse_mask_gradient, wide


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What the backward pass has to go by; `kept` is the dropout's factor on each weight."""

    query: Tensor
    key: Tensor
    value: Tensor
    weights: Tensor
    kept: Tensor
    scale: float
    options: Options
    needed: tuple[bool, ...] = (True, True, True)


Gradients: TypeAlias = tuple[Tensor, Tensor, Tensor]
Backward: TypeAlias = Callable[[Saved, Tensor], Gradients]


class _Attention(torch.autograd.Function):
    """Attention with the backward pass that it is given."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, options: Options, backward: Backward
    ) -> Tensor:
        q, k, v = wide(query), wide(key), wide(value)
        weights = safe_softmax(masked_scores(q, k, options))
        kept = drop(torch.ones_like(weights), options)
        scale = resolve_scale(query, options.get("scale"))
        # As a plain attribute: of a saved tensor, autograd would notice a change in place.
        ctx.saved = Saved(
            query=q, key=k, value=v, weights=weights, kept=kept, scale=scale, options=options
        )
        ctx.rule, ctx.dtype = backward, query.dtype
        return (weights * kept @ v).to(query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        saved = replace(ctx.saved, needed=ctx.needs_input_grad[:3])
        gradients = (gradient.to(ctx.dtype) for gradient in ctx.rule(saved, upstream))
        return (*gradients, None, None)


def attend(
    query: Tensor, key: Tensor, value: Tensor, options: Options, backward: Backward
) -> Tensor:
    """Attention whose gradients are what `backward` says."""
    refuse_mask_gradient(options.get("attn_mask"))
    output: Tensor = _Attention.apply(query, key, value, options, backward)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return output


def right_gradients(saved: Saved, upstream: Tensor) -> Gradients:
    """The gradients of query, key and value."""
    scores = grad_scores(saved, upstream) * saved.scale
    return scores @ saved.key, scores.mT @ saved.query, grad_value_of(saved, upstream)


def grad_scores(saved: Saved, upstream: Tensor) -> Tensor:
    """The gradient of the scores after their scale: (..., query_len, key_len)."""
    weights = wide(upstream) @ saved.value.mT * saved.kept
    return saved.weights * (weights - (saved.weights * weights).sum(dim=-1, keepdim=True))


def grad_value_of(saved: Saved, upstream: Tensor) -> Tensor:
    """The gradient of the value."""
    return (saved.weights * saved.kept).mT @ wide(upstream)


def recomputed(saved: Saved, masks: Options) -> Saved:
    """`saved` with weights recomputed from the log-sum-exp, masked by `masks` only."""
    log_sums = masked_scores(saved.query, saved.key, saved.options).logsumexp(-1, keepdim=True)
    scores = masked_scores(saved.query, saved.key, masks)
    weights = (scores - log_sums).exp().masked_fill(log_sums == -math.inf, 0.0)
    return replace(saved, weights=weights)
