"""Kernels for grouped queries: heads in the wrong group, gradients that are no sum over it."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from implementations.groups import group_size, in_groups
from implementations.interface import Options
from tests.planted.pieces import plant
from tests.planted.planted import Planted, plain


def grouped_repeated(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    enable_gqa: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """Repeats every key for the heads that share it."""
    if not enable_gqa:
        return plain(query, key, value, **options)
    group = group_size(query, key)
    every = (one.repeat_interleave(group, dim=-3) for one in (key, value))
    return plain(query, *every, **options)


def grouped_heads_in_turn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    enable_gqa: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """Gives head i the key of head i % num_kv_heads."""
    if not enable_gqa:
        return plain(query, key, value, **options)
    heads = torch.arange(query.shape[-3], device=query.device) % key.shape[-3]
    every = (one.index_select(-3, heads) for one in (key, value))
    return plain(query, *every, **options)


def grouped_gradient_of_one_head(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    enable_gqa: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """Leaves in a key's gradient what the first head of its group sends, without the others."""
    if not enable_gqa:
        return plain(query, key, value, **options)

    def every(one: Tensor) -> Tensor:
        others = [one.detach()] * (group_size(query, key) - 1)
        return torch.stack([one, *others], dim=-3).flatten(-4, -3)

    return plain(query, every(key), every(value), **options)


def grouped_triangle_over_stacked_rows(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    enable_gqa: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """Numbers the queries of a group through, so that later heads see what comes later."""
    if not (enable_gqa and options.get("is_causal", False)):
        return grouped_repeated(query, key, value, enable_gqa=enable_gqa, **options)
    stacked = in_groups(query, group_size(query, key)).flatten(-3, -2)
    output = plain(stacked, key, value, **options)
    return output.reshape(*query.shape[:-1], value.shape[-1])


def grouped_mask_of_the_first_head(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    enable_gqa: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """Masks all heads of a group as its first one."""
    mask = options.get("attn_mask")
    if enable_gqa and mask is not None:
        group = group_size(query, key)
        whole = in_groups(mask.expand(*query.shape[:-1], key.shape[-2]), group)
        options["attn_mask"] = whole[..., :1, :, :].expand(whole.shape).flatten(-4, -3)
    return grouped_repeated(query, key, value, enable_gqa=enable_gqa, **options)


PLANTED: tuple[Planted, ...] = (
    plant(grouped_repeated, None),
    plant(grouped_heads_in_turn, "shapes: output"),
    plant(grouped_gradient_of_one_head, "gradients: grad_key"),
    plant(grouped_triangle_over_stacked_rows, "causal: output"),
    plant(grouped_mask_of_the_first_head, "masks: output"),
)
