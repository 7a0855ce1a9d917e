"""Kernels that lose keys, queries or features, mostly at sizes beyond a block of theirs."""

from __future__ import annotations

import math
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.planted.pieces import Options, finish, masked_scores, plant
from tests.planted.planted import Planted, plain


def _over_keys(
    query: Tensor, key: Tensor, value: Tensor, chosen: list[int] | slice, options: Options
) -> Tensor:
    """Attention over the chosen keys only, in their order."""
    scores = masked_scores(query, key, options)
    return finish(scores[..., chosen], value[..., chosen, :], options)


def last_keys_dropped(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops the keys that do not fill a block of 64."""
    kept = key.shape[-2] // 64 * 64 or key.shape[-2]
    return _over_keys(query, key, value, slice(kept), options)


def last_keys_of_256_dropped(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops the keys that do not fill a block of 256."""
    kept = key.shape[-2] // 256 * 256 or key.shape[-2]
    return _over_keys(query, key, value, slice(kept), options)


def last_full_block_dropped(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes key_len % 64 for the last block's length, which is 0 when the blocks fit exactly."""
    key_len = key.shape[-2]
    kept = key_len if key_len % 64 else max(0, key_len - 64)
    return _over_keys(query, key, value, slice(kept), options)


def last_queries_dropped(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves zeros for the queries that do not fill a block of 64."""
    output = plain(query, key, value, **options)
    computed = query.shape[-2] // 64 * 64 or query.shape[-2]
    rows = torch.arange(query.shape[-2], device=query.device)[:, None]
    return output.masked_fill(rows >= computed, 0.0)


def padding_takes_weight(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Pads the keys with zeros to a multiple of 64 and lets the padding take weight."""
    scores = masked_scores(query, key, options)
    missing = -key.shape[-2] % 64
    return finish(F.pad(scores, (0, missing)), F.pad(value, (0, 0, 0, missing)), options)


def first_key_of_each_block_twice(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Counts the first key of every block of 64 twice, save the very first."""
    key_len = key.shape[-2]
    again = range(64, key_len, 64)
    return _over_keys(query, key, value, [*range(key_len), *again], options)


def key_index_of_eight_bits(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Keeps the index of a key in 8 bits, so that key 256 is key 0 again."""
    chosen = torch.arange(key.shape[-2]).to(torch.uint8).tolist()
    return _over_keys(query, key, value, chosen, options)


def element_index_of_sixteen_bits(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Keeps the offset of a key's features in 16 bits, which long keys overflow."""
    head_dim = max(1, key.shape[-1])
    chosen = [(j * head_dim % 2**16) // head_dim for j in range(key.shape[-2])]
    return _over_keys(query, key, value, chosen, options)


def keys_beyond_1024_lost(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Has room for 1024 scores a row and loses further keys."""
    return _over_keys(query, key, value, slice(1024), options)


def keys_beyond_2048_lost(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Has room for 2048 scores a row and loses further keys."""
    return _over_keys(query, key, value, slice(2048), options)


def keys_beyond_4096_lost(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Has room for 4096 scores a row and loses further keys."""
    return _over_keys(query, key, value, slice(4096), options)


def query_len_taken_for_key_len(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Visits as many keys as there are queries."""
    return _over_keys(query, key, value, slice(query.shape[-2]), options)


def features_in_eights(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops the features of query and key that do not fill a group of 8, but for the scale."""
    kept = query.shape[-1] // 8 * 8 or query.shape[-1]
    if options.get("scale") is None:
        options["scale"] = 1.0 / math.sqrt(query.shape[-1])
    return plain(query[..., :kept], key[..., :kept], value, **options)


def features_of_one_warp(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Sums the scores over the first 64 features only."""
    if options.get("scale") is None:
        options["scale"] = 1.0 / math.sqrt(query.shape[-1])
    return plain(query[..., :64], key[..., :64], value, **options)


def value_dim_taken_for_head_dim(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves zeros in the features of the output beyond head_dim."""
    output = plain(query, key, value[..., : query.shape[-1]], **options)
    beyond = max(0, value.shape[-1] - query.shape[-1])
    return torch.cat((output, output.new_zeros((*output.shape[:-1], beyond))), dim=-1)


def output_shaped_like_query(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns head_dim features whatever value_dim is."""
    output = plain(query, key, value[..., : query.shape[-1]], **options)
    return F.pad(output, (0, query.shape[-1] - output.shape[-1]))


def single_query_unscaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Forgets the scale on its own path for a single query."""
    if query.shape[-2] == 1:
        options["scale"] = 1.0
    return plain(query, key, value, **options)


PLANTED: tuple[Planted, ...] = (
    plant(last_keys_dropped, "shapes: output"),
    plant(last_keys_of_256_dropped, "shapes: output"),
    plant(last_full_block_dropped, "shapes: output"),
    plant(last_queries_dropped, "shapes: output"),
    plant(padding_takes_weight, "shapes: output"),
    plant(first_key_of_each_block_twice, "shapes: output"),
    plant(key_index_of_eight_bits, "shapes: output"),
    plant(element_index_of_sixteen_bits, "shapes: output"),
    plant(keys_beyond_1024_lost, "shapes: output"),
    plant(keys_beyond_2048_lost, "shapes: output"),
    plant(keys_beyond_4096_lost, "scores: output"),
    plant(query_len_taken_for_key_len, "shapes: output"),
    plant(features_in_eights, "shapes: output"),
    plant(features_of_one_warp, "shapes: output"),
    plant(value_dim_taken_for_head_dim, "shapes: output"),
    plant(output_shaped_like_query, "shapes: output"),
    plant(single_query_unscaled, "shapes: output"),
)
