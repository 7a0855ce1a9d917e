"""Kernels that mix up, leave out or leak between batch items, heads and dimensions."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from tests.planted.pieces import Options, plant
from tests.planted.planted import Planted, plain


def heads_viewed_not_transposed(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Views (num_heads, n, d) as (n, num_heads, d) instead of transposing, so that heads mix."""
    if query.dim() < 3:
        return plain(query, key, value, **options)

    def mixed(tensor: Tensor) -> Tensor:
        *batch, num_heads, rows, columns = tensor.shape
        return tensor.reshape(*batch, rows, num_heads, columns).transpose(-3, -2)

    return plain(mixed(query), mixed(key), mixed(value), **options)


def output_heads_viewed(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Writes the output as (n, num_heads, value_dim) and returns it under the wanted shape."""
    output = plain(query, key, value, **options)
    return output if output.dim() < 3 else output.transpose(-3, -2).reshape(output.shape)


def key_of_the_next_head(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Reads the key of the next head."""
    return plain(query, key.roll(1, dims=-3) if key.dim() > 2 else key, value, **options)


def key_shared_by_two_heads(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Groups the heads in pairs, of which the second reads the first one's key and value."""
    if query.dim() < 3:
        return plain(query, key, value, **options)
    first = torch.arange(key.shape[-3], device=key.device) // 2 * 2
    return plain(query, key.index_select(-3, first), value.index_select(-3, first), **options)


def odd_heads_zero(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Computes every second head only."""
    output = plain(query, key, value, **options)
    if output.dim() < 3:
        return output
    odd = torch.arange(output.shape[-3], device=output.device) % 2 == 1
    return output.masked_fill(odd[:, None, None], 0.0)


def last_head_of_odd_count_zero(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes heads in pairs and leaves out the last of an odd number, unless it is the only one."""
    output = plain(query, key, value, **options)
    if output.dim() < 3 or output.shape[-3] < 2:
        return output
    heads = torch.arange(output.shape[-3], device=output.device)
    return output.masked_fill((heads >= len(heads) // 2 * 2)[:, None, None], 0.0)


def later_items_zero(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Computes the first batch item only."""
    output = plain(query, key, value, **options)
    if output.dim() < 4:
        return output
    items = torch.arange(output.shape[0], device=output.device)
    return output.masked_fill((items > 0).view(-1, *[1] * (output.dim() - 1)), 0.0)


def first_item_copied(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Answers every batch item with the first one's output."""
    output = plain(query, key, value, **options)
    return (
        output
        if output.dim() < 4
        else output[:1].repeat(output.shape[0], *[1] * (output.dim() - 1))
    )


def batch_folded_in_another_order(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Folds batch and heads of the query one way, of key and value the other."""
    if query.dim() < 4:
        return plain(query, key, value, **options)

    def refolded(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1).reshape(tensor.shape)

    return plain(query, refolded(key), refolded(value), **options)


def items_leak_a_rounding_step(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds a quarter of a rounding step of the neighbouring batch item's output."""
    output = plain(query, key, value, **options)
    if output.dim() < 4:
        return output
    return output + 0.25 * torch.finfo(output.dtype).eps * output.roll(1, dims=0)


def heads_leak_a_rounding_step(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds a quarter of a rounding step of the neighbouring head's output."""
    output = plain(query, key, value, **options)
    if output.dim() < 3:
        return output
    return output + 0.25 * torch.finfo(output.dtype).eps * output.roll(1, dims=-3)


def output_transposed(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns (..., value_dim, query_len)."""
    return plain(query, key, value, **options).mT


def two_dimensions_become_three(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns inputs of two dimensions with a batch dimension of one."""
    output = plain(query, key, value, **options)
    return output[None] if output.dim() == 2 else output


def three_dimensions_with_heads_last(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Takes three dimensions for (rows, num_heads, features)."""
    if query.dim() != 3:
        return plain(query, key, value)
    heads_first = (tensor.transpose(0, 1) for tensor in (query, key, value))
    return plain(*heads_first).transpose(0, 1)


def five_dimensions_folded_wrongly(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Unfolds the leading dimensions in reverse order when there are more than two."""
    output = plain(query, key, value, **options)
    leading = output.shape[:-2]
    if len(leading) < 3:
        return output
    flat = output.reshape(math.prod(leading), *output.shape[-2:])
    reverse = [*range(len(leading) - 1, -1, -1), len(leading), len(leading) + 1]
    return flat.reshape(*leading[::-1], *output.shape[-2:]).permute(reverse)


def inner_batch_dimension_ignored(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Answers all of a second batch dimension with its first item's output."""
    output = plain(query, key, value, **options)
    if output.dim() < 5:
        return output
    return output[:, :1].expand(output.shape).clone()


PLANTED: tuple[Planted, ...] = (
    plant(heads_viewed_not_transposed, "shapes: output"),
    plant(output_heads_viewed, "shapes: output"),
    plant(key_of_the_next_head, "shapes: output"),
    plant(key_shared_by_two_heads, "shapes: output"),
    plant(odd_heads_zero, "shapes: output"),
    plant(last_head_of_odd_count_zero, "shapes: output"),
    plant(later_items_zero, "shapes: output"),
    plant(first_item_copied, "shapes: output"),
    plant(batch_folded_in_another_order, "shapes: output"),
    plant(items_leak_a_rounding_step, "properties: batch_apart"),
    plant(heads_leak_a_rounding_step, "properties: heads_apart"),
    plant(output_transposed, "shapes: output"),
    plant(two_dimensions_become_three, "shapes: output"),
    plant(three_dimensions_with_heads_last, "shapes: output"),
    plant(five_dimensions_folded_wrongly, "shapes: output"),
    plant(inner_batch_dimension_ignored, "shapes: output"),
)
