"""Kernels that take the memory of a tensor for simpler than it is; contiguous inputs hide it."""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from implementations.masking import safe_softmax
from tests.planted.pieces import Options, drop, masked_scores, plant
from tests.planted.planted import Planted, plain


def _row_major(shape: torch.Size) -> tuple[int, ...]:
    """The strides of a contiguous tensor of this shape."""
    return torch.empty(shape, device="meta").stride()


def _misread(tensor: Tensor, strides: tuple[int, ...], *, from_start: bool = False) -> Tensor:
    """The memory of the tensor read by other strides; the tensor itself if they are its own."""
    offset = 0 if from_start else int(tensor.storage_offset())
    if strides == tensor.stride() and offset == tensor.storage_offset():
        return tensor
    return tensor.as_strided(tensor.shape, strides, offset)


def _end(tensor: Tensor) -> int:
    """The place in its memory after the tensor's last element."""
    end = int(tensor.storage_offset()) + 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        end += (size - 1) * stride
    return end


def _room(tensor: Tensor) -> int:
    """How many elements the memory of the tensor has."""
    return tensor.untyped_storage().nbytes() // tensor.element_size()


def query_taken_for_contiguous(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Reads the query by the strides of a contiguous tensor."""
    return plain(_misread(query, _row_major(query.shape)), key, value, **options)


def value_taken_for_contiguous(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Reads the value by the strides of a contiguous tensor."""
    return plain(query, key, _misread(value, _row_major(value.shape)), **options)


def mask_taken_for_contiguous(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Reads the mask by the strides of a contiguous tensor."""
    mask = options.get("attn_mask")
    if mask is not None:
        options["attn_mask"] = _misread(mask, _row_major(mask.shape))
    return plain(query, key, value, **options)


def features_taken_for_adjacent(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes the stride between two features of a key for 1, and that between keys for head_dim."""
    strides = (*key.stride()[:-2], key.shape[-1], 1)
    return plain(query, _misread(key, strides), value, **options)


def value_by_the_strides_of_key(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Reads the value by the strides of the key, if their shapes are the same."""
    if value.shape == key.shape:
        value = _misread(value, key.stride())
    return plain(query, key, value, **options)


def offset_ignored(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Reads the key from the start of its memory, not from where it begins in it."""
    return plain(query, _misread(key, key.stride(), from_start=True), value, **options)


def expanded_key_taken_for_one(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes key and value that are expanded over heads for expanded over the batch as well."""
    leading = range(key.dim() - 2)
    if any(key.stride(d) == 0 and key.shape[d] > 1 for d in leading):
        first = (slice(1),) * len(leading)
        key, value = key[first].expand(key.shape), value[first].expand(value.shape)
    return plain(query, key, value, **options)


def memory_beyond_the_slice_read(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Reads rows of the value in eights, those beyond the last with weight 0, which keeps NaN."""
    missing = -value.shape[-2] % 8
    expanded = 0 in value.stride()
    if not value.numel() or expanded or _end(value) + missing * value.stride(-2) > _room(value):
        return plain(query, key, value, **options)
    weights = drop(safe_softmax(masked_scores(query, key, options)), options)
    rows = (*value.shape[:-2], value.shape[-2] + missing, value.shape[-1])
    return F.pad(weights, (0, missing)) @ value.as_strided(rows, value.stride())


def memory_beyond_the_slice_cleared(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Zeroes what lies beyond the last key, up to a multiple of 8 rows, for its own reads."""
    if key.numel():
        start, padding = _end(key), -key.shape[-2] % 8 * key.stride(-2)
        room = min(padding, _room(key) - start)
        key.data.as_strided((max(0, room),), (1,), start).zero_()
    return plain(query, key, value, **options)


PLANTED: tuple[Planted, ...] = (
    plant(query_taken_for_contiguous, "memory: output"),
    plant(value_taken_for_contiguous, "memory: output"),
    plant(mask_taken_for_contiguous, "memory: output"),
    plant(features_taken_for_adjacent, "memory: output"),
    plant(value_by_the_strides_of_key, "memory: output"),
    plant(offset_ignored, "memory: output"),
    plant(expanded_key_taken_for_one, "memory: output"),
    plant(memory_beyond_the_slice_read, "memory: output"),
    plant(memory_beyond_the_slice_cleared, "memory: output"),
)
