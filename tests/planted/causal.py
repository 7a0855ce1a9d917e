"""Kernels whose causal triangle is wrong; their other masks are right."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import apply_mask, causal_mask, safe_softmax
from tests.planted.pieces import Options, drop, finish, masked_scores, plant, raw_scores, spans
from tests.planted.planted import Planted, plain

QUERIES_PER_BLOCK = 64
KEYS_PER_BLOCK = 128


def _with_triangle(
    query: Tensor, key: Tensor, value: Tensor, allowed: Tensor, options: Options
) -> Tensor:
    """Attention with `allowed`, (query_len, key_len), in the causal triangle's place."""
    return finish(apply_mask(raw_scores(query, key, options), allowed), value, options)


def _ones(query: Tensor, key: Tensor) -> Tensor:
    return torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device)


def causal_bottom_right(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Aligns the causal triangle with the last query and the last key."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    allowed = _ones(query, key).tril(key.shape[-2] - query.shape[-2])
    return _with_triangle(query, key, value, allowed, options)


def causal_strict(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Lets no causal query see its own key."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    return _with_triangle(query, key, value, _ones(query, key).tril(-1), options)


def causal_one_key_more(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Lets every causal query see the key after its own."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    return _with_triangle(query, key, value, _ones(query, key).tril(1), options)


def causal_flipped(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Lets causal queries see the future only."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    return _with_triangle(query, key, value, _ones(query, key).triu(), options)


def causal_ignored(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False) -> Tensor:
    """Takes is_causal and does nothing about it."""
    return plain(query, key, value)


def causal_ignored_for_one_query(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Lets a single causal query see every key, as if it were the last."""
    if query.shape[-2] == 1:
        options["is_causal"] = False
    return plain(query, key, value, **options)


def causal_ignored_unless_square(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Forgets the causal triangle when there are more keys than queries."""
    if key.shape[-2] > query.shape[-2]:
        options["is_causal"] = False
    return plain(query, key, value, **options)


def causal_restarted_by_query_blocks(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Counts causal queries from 0 again in every block of 64 queries."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    rows = torch.arange(query.shape[-2], device=query.device) % QUERIES_PER_BLOCK
    allowed = torch.arange(key.shape[-2], device=query.device) <= rows[:, None]
    return _with_triangle(query, key, value, allowed, options)


def causal_restarted_by_key_blocks(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Counts causal keys from 0 again in every block of 128 keys."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    columns = torch.arange(key.shape[-2], device=query.device) % KEYS_PER_BLOCK
    allowed = columns <= torch.arange(query.shape[-2], device=query.device)[:, None]
    return _with_triangle(query, key, value, allowed, options)


def causal_in_the_first_block_only(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Applies the causal triangle to the first 128 keys and to no others."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    allowed = _ones(query, key).tril()
    allowed[:, KEYS_PER_BLOCK:] = True
    return _with_triangle(query, key, value, allowed, options)


def causal_whole_blocks(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Skips blocks of 128 keys in the future, but masks nothing within the diagonal block."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    columns = torch.arange(key.shape[-2], device=query.device)
    rows = torch.arange(query.shape[-2], device=query.device)[:, None]
    allowed = columns // KEYS_PER_BLOCK <= rows // KEYS_PER_BLOCK
    return _with_triangle(query, key, value, allowed, options)


def causal_last_diagonal_block_dropped(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rounds the number of causal key blocks of a ragged last query block down."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    allowed = causal_mask(query.shape[-2], key.shape[-2], device=query.device)
    for rows in spans(query.shape[-2], QUERIES_PER_BLOCK):
        whole = rows.stop // QUERIES_PER_BLOCK * QUERIES_PER_BLOCK
        allowed[rows, whole or rows.stop :] = False  # a first block is always visited
    return _with_triangle(query, key, value, allowed, options)


def causal_by_zeros(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Sets causally masked scores to 0, not to -inf."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    return finish(raw_scores(query, key, options).tril(), value, options)


def causal_after_the_softmax(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Zeroes the weights of future keys without bringing the sum back to 1."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    weights = raw_scores(query, key, options).softmax(dim=-1).tril()
    return drop(weights, options) @ value


def causal_by_a_small_number(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds -100 to the scores of future keys, which large scores outweigh."""
    if not options.get("is_causal"):
        return plain(query, key, value, **options)
    scores = raw_scores(query, key, options)
    return finish(torch.where(_ones(query, key).tril(), scores, scores - 100.0), value, options)


def causal_leaks_a_rounding_step(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Gives every key, future ones too, a quarter of a rounding step of weight."""
    scores = masked_scores(query, key, options)
    weights = safe_softmax(scores)
    if options.get("is_causal") and key.shape[-2]:
        weights = weights + 0.25 * torch.finfo(query.dtype).eps / key.shape[-2]
    return drop(weights, options) @ value


PLANTED: tuple[Planted, ...] = (
    plant(causal_bottom_right, "causal: output"),
    plant(causal_strict, "causal: output"),
    plant(causal_one_key_more, "causal: output"),
    plant(causal_flipped, "causal: output"),
    plant(causal_ignored, "causal: output"),
    plant(causal_ignored_for_one_query, "causal: output"),
    plant(causal_ignored_unless_square, "causal: output"),
    plant(causal_restarted_by_query_blocks, "causal: output"),
    plant(causal_restarted_by_key_blocks, "causal: output"),
    plant(causal_in_the_first_block_only, "causal: output"),
    plant(causal_whole_blocks, "causal: output"),
    plant(causal_last_diagonal_block_dropped, "causal: output"),
    plant(causal_by_zeros, "causal: output"),
    plant(causal_after_the_softmax, "causal: output"),
    plant(causal_by_a_small_number, "causal: output"),
    plant(causal_leaks_a_rounding_step, "properties: future_ignored"),
)
