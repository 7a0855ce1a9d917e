"""Kernels that misread a mask, or the rows that it leaves without keys; without one, right."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import apply_mask, resolve_scale, safe_softmax
from tests.planted.pieces import (
    Options,
    drop,
    finish,
    mask_of,
    masked_scores,
    plant,
    raw_scores,
    spans,
)
from tests.planted.planted import Planted, plain

KEYS_PER_BLOCK = 64


def float_mask_subtracted(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Subtracts the finite entries of a float mask."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype != torch.bool:
        options["attn_mask"] = torch.where(mask == -math.inf, mask, -mask)
    return plain(query, key, value, **options)


def float_mask_read_as_boolean(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes a float mask for "keep what is not -inf"."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype != torch.bool:
        options["attn_mask"] = mask != -math.inf
    return plain(query, key, value, **options)


def boolean_mask_inverted(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Masks where a boolean mask says True."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype == torch.bool:
        options["attn_mask"] = ~mask
    return plain(query, key, value, **options)


def boolean_mask_added(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds a boolean mask as the numbers 0 and 1."""
    mask = options.get("attn_mask")
    if mask is not None:
        options["attn_mask"] = mask.to(query.dtype)
    return plain(query, key, value, **options)


def boolean_mask_times_infinity(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Makes a bias of a boolean mask by multiplying with -inf, which is NaN where 0 is meant."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype == torch.bool:
        options["attn_mask"] = (~mask).to(query.dtype) * -math.inf
    return plain(query, key, value, **options)


def mask_ignored_in_the_last_block(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Forgets the mask in the last block of 64 keys, where there is more than one."""
    scores = masked_scores(query, key, options)
    if options.get("attn_mask") is None or key.shape[-2] <= KEYS_PER_BLOCK:
        return finish(scores, value, options)
    last = spans(key.shape[-2], KEYS_PER_BLOCK)[-1]
    unmasked = raw_scores(query, key[..., last, :], options)
    return finish(torch.cat((scores[..., : last.start], unmasked), dim=-1), value, options)


def mask_ignored_for_one_query(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Forgets the mask when there is a single query."""
    if query.shape[-2] == 1:
        options["attn_mask"] = None
    return plain(query, key, value, **options)


def mask_of_the_first_head(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Uses the first head's mask for all heads."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dim() > 2:
        options["attn_mask"] = mask[..., :1, :, :]
    return plain(query, key, value, **options)


def mask_of_the_first_batch_item(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Uses the first batch item's mask for all items."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dim() > 3:
        options["attn_mask"] = mask[:1]
    return plain(query, key, value, **options)


def mask_of_the_first_row(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Uses the first query's mask for all queries, as if it only hid padding."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dim() > 1:
        options["attn_mask"] = mask[..., :1, :]
    return plain(query, key, value, **options)


def batch_masks_dealt_over_heads(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Repeats a mask (batch, 1, n, m) over the heads in turn, so that items get others' masks."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dim() == 4 and mask.shape[1] == 1 < query.shape[1]:
        dealt = mask[:, 0].repeat(query.shape[1], 1, 1)  # repeat_interleave would be right
        options["attn_mask"] = dealt.reshape(*query.shape[:2], *mask.shape[2:])
    return plain(query, key, value, **options)


def head_masks_dealt_over_batch(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Repeats a mask (1, num_heads, n, m) entry by entry, so that heads get others' masks."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dim() == 4 and mask.shape[0] == 1 < query.shape[0]:
        heads = mask[0].expand(query.shape[1], *mask.shape[2:])
        dealt = heads.repeat_interleave(query.shape[0], dim=0)  # repeat would be right
        options["attn_mask"] = dealt.reshape(*query.shape[:2], *mask.shape[2:])
    return plain(query, key, value, **options)


def mask_squeezed(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Squeezes the mask, so that (batch, 1, n, m) is read as (heads, n, m)."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dim() > 2:
        options["attn_mask"] = mask.reshape(
            *(s for s in mask.shape[:-2] if s > 1), *mask.shape[-2:]
        )
    return plain(query, key, value, **options)


def row_mask_read_as_column(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Lets a mask of one row, which hides keys, hide queries where the lengths are equal."""
    mask = options.get("attn_mask")
    if mask is not None and query.shape[-2] == key.shape[-2] == mask.shape[-1]:
        if mask.dim() == 1:
            options["attn_mask"] = mask[:, None]
        elif mask.shape[-2] == 1:
            options["attn_mask"] = mask.mT
    return plain(query, key, value, **options)


def masked_by_minus_ten_thousand(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds -10000 where a mask says -inf, so that rows without keys attend as if unmasked."""
    mask = mask_of(query, key, options)
    scores = raw_scores(query, key, options)
    if mask is not None:
        hidden = ~mask if mask.dtype == torch.bool else mask == -math.inf
        bias = torch.zeros_like(scores) if mask.dtype == torch.bool else mask
        scores = scores + bias.masked_fill(hidden, -10000.0)
    return drop(scores.softmax(dim=-1), options) @ value


def infinite_entries_clamped(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Clamps a float mask at -10000, so that rows of -inf still attend."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype != torch.bool:
        options["attn_mask"] = mask.clamp(min=-10000.0)
    return plain(query, key, value, **options)


def even_weights_on_empty_rows(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Masks by the least finite number, so that rows without keys get the mean of the values."""
    scores = masked_scores(query, key, options)
    least = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(scores == -math.inf, least).softmax(dim=-1)
    return drop(weights, options) @ value


def nan_on_empty_rows(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """Gives NaN on rows without keys."""
    scores = query @ key.mT * resolve_scale(query, None)
    return apply_mask(scores, attn_mask).softmax(dim=-1) @ value


def nan_gradients_of_empty_rows(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Replaces the NaN of rows without keys in the weights, but not in their gradients."""
    weights = masked_scores(query, key, options).softmax(dim=-1).nan_to_num(0.0)
    return drop(weights, options) @ value


def masked_after_the_softmax(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Zeroes the weights of a boolean mask without bringing the sum back to 1."""
    mask = options.get("attn_mask")
    if mask is None or mask.dtype != torch.bool:
        return plain(query, key, value, **options)
    weights = safe_softmax(raw_scores(query, key, options)) * mask
    return drop(weights, options) @ value


def lone_key_taken_for_padding(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves a row that keeps a single key without any, taking it for padding."""
    scores = masked_scores(query, key, options)
    kept = (scores != -math.inf).sum(dim=-1, keepdim=True)
    lonely = (kept == 1) & (scores.shape[-1] > 1) & (options.get("attn_mask") is not None)
    return finish(scores.masked_fill(lonely, -math.inf), value, options)


def masked_keys_weigh_a_rounding_step(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves masked keys a small part of a rounding step of weight."""
    weights = safe_softmax(masked_scores(query, key, options))
    if options.get("attn_mask") is not None:
        hidden = (weights == 0.0) & (weights > 0.0).any(dim=-1, keepdim=True)
        trace = torch.finfo(query.dtype).eps / (8 * max(1, key.shape[-2]))
        weights = torch.where(hidden, trace, weights)
    return drop(weights, options) @ value


PLANTED: tuple[Planted, ...] = (
    plant(float_mask_subtracted, "masks: output"),
    plant(float_mask_read_as_boolean, "masks: output"),
    plant(boolean_mask_inverted, "masks: output"),
    plant(boolean_mask_added, "masks: output"),
    plant(boolean_mask_times_infinity, "masks: output"),
    plant(mask_ignored_in_the_last_block, "masks: output"),
    plant(mask_ignored_for_one_query, "masks: output"),
    plant(mask_of_the_first_head, "masks: output"),
    plant(mask_of_the_first_batch_item, "masks: output"),
    plant(mask_of_the_first_row, "masks: output"),
    plant(batch_masks_dealt_over_heads, "masks: output"),
    plant(head_masks_dealt_over_batch, "masks: output"),
    plant(mask_squeezed, "masks: output"),
    plant(row_mask_read_as_column, "masks: output"),
    plant(masked_by_minus_ten_thousand, "masks: output"),
    plant(infinite_entries_clamped, "masks: output"),
    plant(even_weights_on_empty_rows, "masks: output"),
    plant(nan_on_empty_rows, "masks: output"),
    plant(nan_gradients_of_empty_rows, "gradients: grad_query"),
    plant(masked_after_the_softmax, "masks: output"),
    plant(lone_key_taken_for_padding, "masks: output"),
    plant(masked_keys_weigh_a_rounding_step, "properties: masked_ignored"),
)
