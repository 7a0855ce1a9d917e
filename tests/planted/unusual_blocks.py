"""Right kernels that take keys or queries piece by piece; the gate must let them through.

Their sums are in float32 for half precision, and in the dtype of the inputs else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from implementations.interface import UnsupportedCaseError
from implementations.masking import apply_mask, resolve_scale, safe_softmax
from tests.planted.pieces import (
    Options,
    finish,
    mask_of,
    masked_scores,
    plant,
    refuse_mask_gradient,
    spans,
    wide,
)
from tests.planted.planted import Planted, plain

MOST_SINGLE_KEYS = 4096


@dataclass(frozen=True, kw_only=True)
class Visit:
    """In which pieces, which order and how exactly keys are visited.

    The shift that exponents are relative to rises only when the maximum is `slack` above it, which
    saves rescaling and changes nothing while exp(slack) is far from overflow.
    """

    keys_per_block: int
    last_first: bool = False
    slack: float = 0.0

    def blocks(self, key_len: int) -> list[slice]:
        """The blocks of keys in their order."""
        found = spans(key_len, self.keys_per_block)
        return found[::-1] if self.last_first else found


class _Recomputing(torch.autograd.Function):
    """A running softmax, whose backward pass recomputes weights from the log-sum-exp."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scale: float,
        visit: Visit,
    ) -> Tensor:
        queries = wide(query)
        shift = queries.new_full((*query.shape[:-1], 1), -math.inf)
        total = torch.zeros_like(shift)
        summed = queries.new_zeros((*query.shape[:-1], value.shape[-1]))
        for keys in visit.blocks(key.shape[-2]):
            scores = _scores(queries, key, mask, scale, keys)
            highest = scores.amax(dim=-1, keepdim=True)
            raised = torch.where(highest > shift + visit.slack, highest, shift)
            reference = raised.masked_fill(raised == -math.inf, 0.0)
            powers = (scores - reference).exp()
            rescale = (shift - reference).exp()
            total = total * rescale + powers.sum(dim=-1, keepdim=True)
            summed = summed * rescale + powers @ wide(value[..., keys, :])
            shift = raised
        empty = total == 0.0
        output = summed / total.masked_fill(empty, 1.0)
        # +inf makes every recomputed weight of an empty row exp(-inf) = 0.
        log_sums = (shift + total.log()).masked_fill(empty, math.inf)
        ctx.save_for_backward(query, key, value, mask, output, log_sums)
        ctx.scale, ctx.visit = scale, visit
        return output.to(value.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, output, log_sums = ctx.saved_tensors
        queries, above = wide(query), wide(upstream)
        row_sums = (above * output).sum(dim=-1, keepdim=True)
        grad_query = torch.zeros_like(queries)
        grad_key, grad_value = torch.zeros_like(wide(key)), torch.zeros_like(wide(value))
        for keys in ctx.visit.blocks(key.shape[-2]):
            weights = (_scores(queries, key, mask, ctx.scale, keys) - log_sums).exp()
            grad_weights = above @ wide(value[..., keys, :]).mT
            grad_scores = weights * (grad_weights - row_sums) * ctx.scale
            grad_query += grad_scores @ wide(key[..., keys, :])
            grad_key[..., keys, :] = grad_scores.mT @ queries
            grad_value[..., keys, :] = weights.mT @ above
        found = (grad_query.to(query.dtype), grad_key.to(key.dtype), grad_value.to(value.dtype))
        return (*found, None, None, None)


def _scores(queries: Tensor, key: Tensor, mask: Tensor | None, scale: float, keys: slice) -> Tensor:
    scores = queries @ wide(key[..., keys, :]).mT * scale
    return apply_mask(scores, None if mask is None else mask[..., keys])


def _visited(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    visit: Visit,
) -> Tensor:
    """Attention without dropout, with keys visited in a certain way."""
    mask = mask_of(query, key, {"attn_mask": attn_mask, "is_causal": is_causal})
    factor = resolve_scale(query, scale)
    refuse_mask_gradient(attn_mask)
    output: Tensor = _Recomputing.apply(query, key, value, mask, factor, visit)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return output


def _by_visit(query: Tensor, key: Tensor, value: Tensor, options: Options, visit: Visit) -> Tensor:
    if options.pop("dropout_p", 0.0):
        raise UnsupportedCaseError("a kernel that recomputes its weights has no dropout")
    mask, causal = options.get("attn_mask"), options.get("is_causal", False)
    return _visited(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=causal,
        scale=options.get("scale"),
        visit=visit,
    )


def one_key_at_a_time(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Visits keys one by one, and recomputes the weights for the backward pass."""
    if key.shape[-2] > MOST_SINGLE_KEYS:
        raise UnsupportedCaseError(f"more than {MOST_SINGLE_KEYS} keys would take minutes")
    return _by_visit(query, key, value, options, Visit(keys_per_block=1))


def keys_in_sevens(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Visits keys in blocks of 7."""
    return _by_visit(query, key, value, options, Visit(keys_per_block=7))


def keys_in_blocks_of_64(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Visits keys in blocks of 64."""
    return _by_visit(query, key, value, options, Visit(keys_per_block=64))


def last_keys_first(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Visits blocks of 32 keys from the last to the first."""
    return _by_visit(query, key, value, options, Visit(keys_per_block=32, last_first=True))


def rescaled_seldom(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rescales its running sums only when the maximum has risen by more than 5."""
    return _by_visit(query, key, value, options, Visit(keys_per_block=16, slack=5.0))


keys_in_thirteens = partial(_visited, visit=Visit(keys_per_block=13))


def queries_in_fives(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Answers five queries at a time, and joins the answers."""
    if query.shape[-2] == 0:
        return plain(query, key, value, **options)
    mask = mask_of(query, key, options)
    scale = resolve_scale(query, options.get("scale"))
    found = []
    for rows in spans(query.shape[-2], 5):
        scores = query[..., rows, :] @ key.mT * scale
        masked = apply_mask(scores, None if mask is None else mask[..., rows, :])
        found.append(finish(masked, value, options))
    return torch.cat(found, dim=-2)


def queries_checkpointed(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Answers 128 queries at a time, under checkpoints that recompute them when differentiated."""
    if query.shape[-2] == 0:
        return plain(query, key, value, **options)
    mask = mask_of(query, key, options)
    dropout_p, scale = options.get("dropout_p", 0.0), options.get("scale")
    found: list[Tensor] = []
    for rows in spans(query.shape[-2], 128):
        chunk = partial(
            plain,
            attn_mask=None if mask is None else mask[..., rows, :],
            dropout_p=dropout_p,
            scale=scale,
        )
        found.append(checkpoint(chunk, query[..., rows, :], key, value, use_reentrant=False))
    return torch.cat(found, dim=-2)


def parts_joined_by_log_sums(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Answers three parts of the keys on their own and weighs them by their log-sum-exps."""
    scores = masked_scores(wide(query), wide(key), options)
    size = -(-key.shape[-2] // 3)
    if size == 0:
        return plain(query, key, value, **options)
    answers, log_sums = [], []
    for keys in spans(key.shape[-2], size):
        part = scores[..., keys]
        empty = (part == -math.inf).all(dim=-1, keepdim=True)
        log_sum = part.masked_fill(empty, 0.0).logsumexp(dim=-1, keepdim=True)
        log_sums.append(log_sum.masked_fill(empty, -math.inf))
        answers.append(finish(part, wide(value[..., keys, :]), options))
    shares = safe_softmax(torch.cat(log_sums, dim=-1))
    joined = [answer * shares[..., i : i + 1] for i, answer in enumerate(answers)]
    return torch.stack(joined).sum(dim=0).to(value.dtype)


PLANTED: tuple[Planted, ...] = (
    plant(one_key_at_a_time, None),
    plant(keys_in_sevens, None),
    plant(keys_in_blocks_of_64, None),
    plant(last_keys_first, None),
    plant(rescaled_seldom, None),
    plant(
        keys_in_thirteens,
        None,
        name="keys_in_thirteens",
        what="is a partial function, which visits keys in blocks of 13",
    ),
    plant(queries_in_fives, None),
    plant(queries_checkpointed, None),
    plant(parts_joined_by_log_sums, None),
)
