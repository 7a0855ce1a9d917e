"""What may be wrong in the path that a kernel takes for some sizes, and what it chooses by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import apply_mask
from tests.planted.backward import Backward, Gradients, Saved, attend, right_gradients
from tests.planted.pieces import (
    Options,
    drop,
    exponentials,
    finish,
    masked_scores,
    raw_scores,
    spans,
)
from tests.planted.planted import plain

KEYS_PER_BLOCK = 64
Kernel = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a kernel chooses its path by."""

    rows: int
    keys: int
    head_dim: int
    batch: int
    heads: int
    causal: bool
    mask: torch.dtype | None


Where = Callable[[Sizes], bool]


def sizes(query: Tensor, key: Tensor, options: Options) -> Sizes:
    """What a call says that a path may be chosen by."""
    mask = options.get("attn_mask")
    return Sizes(
        rows=query.shape[-2],
        keys=key.shape[-2],
        head_dim=query.shape[-1],
        batch=math.prod(query.shape[:-3]),
        heads=query.shape[-3] if query.dim() > 2 else 1,
        causal=options.get("is_causal", False),
        mask=None if mask is None else mask.dtype,
    )


def not_rescaled(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Each block of keys has a maximum of its own, and earlier sums are not rescaled to it."""
    scores = masked_scores(query, key, options)
    parts = [exponentials(scores[..., one])[0] for one in spans(key.shape[-2], KEYS_PER_BLOCK)]
    powers = torch.cat(parts, dim=-1)
    totals = powers.sum(dim=-1, keepdim=True)
    return drop(powers / totals.masked_fill(totals == 0.0, 1.0), options) @ value


def highest_from_zero(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """The maximum starts from zero, so that rows of negative scores vanish."""
    scores = masked_scores(query, key, options)
    powers = (scores - scores.amax(dim=-1, keepdim=True).clamp(min=0.0)).exp()
    totals = powers.sum(dim=-1, keepdim=True)
    return drop(powers / totals.masked_fill(totals == 0.0, 1.0), options) @ value


def last_key_lost(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """The last key is left out."""
    scores = masked_scores(query, key, options)[..., :-1]
    return finish(scores, value[..., :-1, :], options)


def last_head_with_the_first_value(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """The last head weighs the first one's value."""
    value = torch.cat((value[..., :-1, :, :], value[..., :1, :, :]), dim=-3)
    return plain(query, key, value, **options)


def last_item_zero(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Nothing is written for the last batch item."""
    output = plain(query, key, value, **options)
    return torch.cat((output[:-1], torch.zeros_like(output[-1:])))


def diagonal(offset: Callable[[Sizes], int]) -> Kernel:
    """The causal triangle at another diagonal."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        scores = raw_scores(query, key, options)
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device)
        allowed = allowed.tril(offset(sizes(query, key, options)))
        return finish(apply_mask(scores, allowed), value, options)

    return kernel


def mask_of_the_last_key_ignored(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """The last key is never masked."""
    scores = masked_scores(query, key, options)
    last = raw_scores(query, key[..., -1:, :], options)
    return finish(torch.cat((scores[..., :-1], last), dim=-1), value, options)


def backward(rule: Backward) -> Kernel:
    """A right output whose gradients are what `rule` says."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        return attend(query, key, value, options, rule)

    return kernel


def query_unscaled(saved: Saved, upstream: Tensor) -> Gradients:
    """The query's gradient without the scale."""
    grad_query, grad_key, grad_value = right_gradients(saved, upstream)
    return grad_query / saved.scale, grad_key, grad_value


def last_key_without_gradient(saved: Saved, upstream: Tensor) -> Gradients:
    """The last key gets none."""
    grad_query, grad_key, grad_value = right_gradients(saved, upstream)
    grad_key[..., -1:, :] = 0.0
    return grad_query, grad_key, grad_value


def value_of_the_next_head(saved: Saved, upstream: Tensor) -> Gradients:
    """Gradients of values go to the next head."""
    grad_query, grad_key, grad_value = right_gradients(saved, upstream)
    return grad_query, grad_key, grad_value.roll(1, dims=-3)


def mask_forgotten(saved: Saved, upstream: Tensor) -> Gradients:
    """Weights recomputed without a mask."""
    unmasked = replace(saved, weights=raw_scores(saved.query, saved.key, saved.options).softmax(-1))
    return right_gradients(unmasked, upstream)


def bottom_right(sizes: Sizes) -> int:
    """The diagonal that ends at the last query and the last key."""
    return sizes.keys - sizes.rows


def square(sizes: Sizes) -> bool:
    """Whether there are as many keys as queries."""
    return sizes.rows == sizes.keys


def wide(sizes: Sizes, least: int = 32) -> bool:
    """Whether a head has so many features."""
    return sizes.head_dim >= least


def scale_ignored(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Scores are scaled by 1/√head_dim, whatever is given."""
    options.pop("scale", None)
    return plain(query, key, value, **options)


def first_mask_for_all(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Every item and head gets the mask of the first."""
    mask = options.get("attn_mask")
    while mask is not None and mask.dim() > 2:
        mask = mask[0]
    options["attn_mask"] = mask
    return plain(query, key, value, **options)


def read_as_contiguous(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """The key is read as if its rows followed each other in memory."""
    if not key.is_contiguous() and key.transpose(-3, -2).is_contiguous():
        key = key.transpose(-3, -2).reshape(key.shape)
    return plain(query, key, value, **options)
