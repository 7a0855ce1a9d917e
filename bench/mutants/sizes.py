"""Kernels with a path of its own for some sizes, which is wrong; everywhere else they are right.

Real kernels choose their path by lengths, head_dim and the number of heads: a fault in one path
shows at its sizes only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Unpack

import torch
from torch import Tensor

from bench.mutants.backward import Backward, Gradients, Saved, attend, right_gradients
from bench.mutants.pieces import (
    Options,
    by_name,
    drop,
    exponentials,
    finish,
    masked_scores,
    plant,
    raw_scores,
    spans,
)
from bench.mutants.planted import Planted, plain
from implementations.masking import apply_mask

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


def _sizes(query: Tensor, key: Tensor, options: Options) -> Sizes:
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


def _not_rescaled(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Each block of keys has a maximum of its own, and earlier sums are not rescaled to it."""
    scores = masked_scores(query, key, options)
    parts = [exponentials(scores[..., one])[0] for one in spans(key.shape[-2], KEYS_PER_BLOCK)]
    powers = torch.cat(parts, dim=-1)
    totals = powers.sum(dim=-1, keepdim=True)
    return drop(powers / totals.masked_fill(totals == 0.0, 1.0), options) @ value


def _last_key_lost(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    scores = masked_scores(query, key, options)[..., :-1]
    return finish(scores, value[..., :-1, :], options)


def _last_head_with_the_first_value(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    value = torch.cat((value[..., :-1, :, :], value[..., :1, :, :]), dim=-3)
    return plain(query, key, value, **options)


def _last_item_zero(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    output = plain(query, key, value, **options)
    return torch.cat((output[:-1], torch.zeros_like(output[-1:])))


def _diagonal(offset: Callable[[Sizes], int]) -> Kernel:
    """The causal triangle at another diagonal."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        scores = raw_scores(query, key, options)
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device)
        allowed = allowed.tril(offset(_sizes(query, key, options)))
        return finish(apply_mask(scores, allowed), value, options)

    return kernel


def _mask_of_the_last_key_ignored(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    scores = masked_scores(query, key, options)
    last = raw_scores(query, key[..., -1:, :], options)
    return finish(torch.cat((scores[..., :-1], last), dim=-1), value, options)


def _backward(rule: Backward) -> Kernel:
    """A right output whose gradients are what `rule` says."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        return attend(query, key, value, options, rule)

    return kernel


def _query_unscaled(saved: Saved, upstream: Tensor) -> Gradients:
    grad_query, grad_key, grad_value = right_gradients(saved, upstream)
    return grad_query / saved.scale, grad_key, grad_value


def _last_key_without_gradient(saved: Saved, upstream: Tensor) -> Gradients:
    grad_query, grad_key, grad_value = right_gradients(saved, upstream)
    grad_key[..., -1:, :] = 0.0
    return grad_query, grad_key, grad_value


def _value_of_the_next_head(saved: Saved, upstream: Tensor) -> Gradients:
    grad_query, grad_key, grad_value = right_gradients(saved, upstream)
    return grad_query, grad_key, grad_value.roll(1, dims=-3)


def _mask_forgotten(saved: Saved, upstream: Tensor) -> Gradients:
    unmasked = replace(saved, weights=raw_scores(saved.query, saved.key, saved.options).softmax(-1))
    return right_gradients(unmasked, upstream)


def _bottom_right(sizes: Sizes) -> int:
    return sizes.keys - sizes.rows


def _square(sizes: Sizes) -> bool:
    return sizes.rows == sizes.keys


def _wide(sizes: Sizes, least: int = 32) -> bool:
    return sizes.head_dim >= least


# name, what it does, where, what is wrong there, what must catch it
_FAULTS: tuple[tuple[str, str, Where, Kernel, str], ...] = (
    (
        "not_rescaled_at_64_features_by_128",
        "does not rescale for 64 features and lengths that 128 divides",
        lambda s: s.head_dim == 64 and s.rows % 128 == 0,
        _not_rescaled,
        "shapes: output",
    ),
    (
        "not_rescaled_at_128_features_by_256",
        "does not rescale for 128 features and lengths that 256 divides",
        lambda s: s.head_dim == 128 and s.rows % 256 == 0,
        _not_rescaled,
        "shapes: output",
    ),
    (
        "not_rescaled_from_1024_rows_of_3_heads",
        "does not rescale from 1024 rows and 3 heads on",
        lambda s: s.rows >= 1024 and s.heads >= 3,
        _not_rescaled,
        "shapes: output",
    ),
    (
        "last_key_lost_where_keys_divide_by_512",
        "loses the last key where 512 divides the number of keys and 64 the features",
        lambda s: s.keys % 512 == 0 and s.head_dim % 64 == 0 and s.keys > 0,
        _last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_from_2048_squared",
        "loses the last key of 2048 queries and keys or more",
        lambda s: min(s.rows, s.keys) >= 2048,
        _last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_for_4_heads_of_many_keys",
        "loses the last key of 2048 or more, for 4 heads",
        lambda s: s.keys >= 2048 and s.heads >= 4,
        _last_key_lost,
        "shapes: output",
    ),
    (
        "heads_mixed_from_4_on",
        "gives the last of 4 or more heads the first one's value, from 32 features on",
        lambda s: s.heads >= 4 and _wide(s),
        _last_head_with_the_first_value,
        "shapes: output",
    ),
    (
        "heads_mixed_from_8_on",
        "gives the last of 8 or more heads the first one's value, from 64 features on",
        lambda s: s.heads >= 8 and _wide(s, 64),
        _last_head_with_the_first_value,
        "shapes: output",
    ),
    (
        "heads_mixed_for_long_rows",
        "gives the last head the first one's value, for 3 heads or more of 512 rows or more",
        lambda s: s.heads >= 3 and s.rows >= 512 and s.rows % 2 == 0,
        _last_head_with_the_first_value,
        "shapes: output",
    ),
    (
        "last_item_zero_from_4_on",
        "leaves the last of 4 or more batch items zero, from 32 features on",
        lambda s: s.batch >= 4 and _wide(s),
        _last_item_zero,
        "shapes: output",
    ),
    (
        "last_item_zero_from_8_on",
        "leaves the last of 8 or more batch items zero, from 128 rows on",
        lambda s: s.batch >= 8 and s.rows >= 128,
        _last_item_zero,
        "shapes: output",
    ),
    (
        "last_item_zero_for_long_rows",
        "leaves the last of 3 or more batch items zero, from 1024 rows on",
        lambda s: s.batch >= 3 and s.rows >= 1024,
        _last_item_zero,
        "shapes: output",
    ),
    (
        "causal_strict_by_512",
        "lets no causal query see its own key where 512 divides the rows",
        lambda s: s.causal and s.rows % 512 == 0 and s.rows > 0,
        _diagonal(lambda s: -1),
        "causal: output",
    ),
    (
        "causal_one_more_from_1024_rows_of_3_heads",
        "lets causal queries see one key more from 1024 rows and 3 heads on",
        lambda s: s.causal and s.rows >= 1024 and s.heads >= 3,
        _diagonal(lambda s: 1),
        "causal: output",
    ),
    (
        "causal_not_rescaled_at_128_features",
        "does not rescale causal rows of 128 features where 128 divides the lengths",
        lambda s: s.causal and s.head_dim == 128 and s.rows % 128 == 0,
        _not_rescaled,
        "causal: output",
    ),
    (
        "bottom_right_beyond_700_keys",
        "aligns the triangle at the bottom right for more than 700 keys",
        lambda s: s.causal and s.keys > 700 and not _square(s),
        _diagonal(_bottom_right),
        "causal: output",
    ),
    (
        "bottom_right_beyond_1000_keys",
        "aligns the triangle at the bottom right for more than 1000 keys, and fewer queries",
        lambda s: s.causal and s.keys > 1000 and s.rows < s.keys,
        _diagonal(_bottom_right),
        "causal: output",
    ),
    (
        "bottom_right_from_4_heads_on",
        "aligns the triangle at the bottom right for 4 heads or more, from 32 features on",
        lambda s: s.causal and s.heads >= 4 and _wide(s),
        _diagonal(_bottom_right),
        "causal: output",
    ),
    (
        "mask_ignored_by_256",
        "does not mask the last key of 64 features where 256 divides the rows",
        lambda s: s.mask == torch.bool and s.head_dim == 64 and s.rows % 256 == 0,
        _mask_of_the_last_key_ignored,
        "masks: output",
    ),
    (
        "float_mask_ignored_from_1024_rows_on",
        "does not add the mask to the last key from 1024 rows on",
        lambda s: s.mask not in (None, torch.bool) and s.rows >= 1024,
        _mask_of_the_last_key_ignored,
        "masks: output",
    ),
    (
        "mask_ignored_from_4_heads_on",
        "does not mask the last key for 4 heads or more, from 32 features on",
        lambda s: s.mask is not None and s.heads >= 4 and _wide(s),
        _mask_of_the_last_key_ignored,
        "masks: output",
    ),
    (
        "query_gradient_unscaled_by_128",
        "leaves the scale out of the query's gradient where 128 divides rows of 64 features",
        lambda s: s.rows % 128 == 0 and s.head_dim == 64,
        _backward(_query_unscaled),
        "gradients: grad_query",
    ),
    (
        "key_gradient_lost_from_2048_rows_on",
        "gives the last key no gradient from 2048 rows on",
        lambda s: s.rows >= 2048 and s.rows == s.keys,
        _backward(_last_key_without_gradient),
        "gradients: grad_key",
    ),
    (
        "value_gradients_of_other_heads_from_4_on",
        "gives values the next head's gradient for 4 heads or more, from 32 features on",
        lambda s: s.heads >= 4 and _wide(s),
        _backward(_value_of_the_next_head),
        "gradients: grad_value",
    ),
    (
        "triangle_forgotten_backward_by_512",
        "forgets the triangle in the backward pass where 512 divides the rows",
        lambda s: s.causal and s.rows % 512 == 0 and s.rows > 0,
        _backward(_mask_forgotten),
        "gradients: grad_key",
    ),
    (
        "mask_forgotten_backward_from_1024_rows_on",
        "forgets the mask in the backward pass from 1024 rows on",
        lambda s: s.mask is not None and s.rows >= 1024,
        _backward(_mask_forgotten),
        "gradients: grad_key",
    ),
    (
        "last_key_lost_in_decoding_by_1024",
        "loses the last key for a single query where 1024 divides the keys",
        lambda s: s.rows == 1 and s.keys % 1024 == 0 and s.keys > 0,
        _last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_in_decoding_of_4_items",
        "loses the last key for a single query of 4 items or more",
        lambda s: s.rows == 1 and s.batch >= 4 and s.keys > 512,
        _last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_for_a_few_queries",
        "loses the last of 1024 keys or more for 2 to 16 queries",
        lambda s: 2 <= s.rows <= 16 and s.keys >= 1024 and s.heads >= 4,
        _last_key_lost,
        "shapes: output",
    ),
)


def _dispatched(where: Where, fault: Kernel) -> Kernel:
    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        chosen = fault if where(_sizes(query, key, options)) else plain
        return chosen(query, key, value, **options)

    return kernel


PLANTED: tuple[Planted, ...] = tuple(
    plant(_dispatched(where, fault), killed_by, name=name, what=what)
    for name, what, where, fault, killed_by in _FAULTS
)
globals().update(by_name(PLANTED))
