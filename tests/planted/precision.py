"""Kernels that lose digits which their dtype has."""

from __future__ import annotations

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
    wide,
)
from tests.planted.planted import Planted, plain


def _computed_in(
    dtype: torch.dtype, query: Tensor, key: Tensor, value: Tensor, options: Options
) -> Tensor:
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype != torch.bool:
        options["attn_mask"] = mask.to(dtype)
    inside = plain(query.to(dtype), key.to(dtype), value.to(dtype), **options)
    return inside.to(query.dtype)


def bfloat16_inside(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Computes in bfloat16, whatever it is given."""
    return _computed_in(torch.bfloat16, query, key, value, options)


def float16_inside(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Computes in float16, whatever it is given."""
    return _computed_in(torch.float16, query, key, value, options)


def float32_inside(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Computes in float32, whatever it is given."""
    return _computed_in(torch.float32, query, key, value, options)


def bfloat16_for_float16(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Computes in bfloat16 for float16."""
    inside = torch.bfloat16 if query.dtype == torch.float16 else query.dtype
    return _computed_in(inside, query, key, value, options)


def weights_in_bfloat16(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rounds the weights to bfloat16 before the product with the values."""
    weights = safe_softmax(masked_scores(query, key, options))
    return drop(weights.bfloat16().to(value.dtype), options) @ value


def scores_in_half_precision(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Keeps the scores in float16 and everything else as given."""
    scores = raw_scores(query, key, options).half().to(query.dtype)
    return finish(apply_mask(scores, mask_of(query, key, options)), value, options)


def products_of_ten_bits(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rounds float32 query and key to 10 bits of mantissa, as TF32 products do."""
    if query.dtype != torch.float32:
        return plain(query, key, value, **options)

    def rounded(tensor: Tensor) -> Tensor:
        bits = tensor.detach().clone().view(torch.int32)
        cut = ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
        return tensor + (cut - tensor).detach()

    return plain(rounded(query), rounded(key), value, **options)


def exponential_by_a_power(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Approximates exp(x) by (1 + x / 1024) to the power of 1024."""
    scores = wide(masked_scores(query, key, options))
    if scores.numel() == 0:
        return plain(query, key, value, **options)
    highest = scores.detach().amax(dim=-1, keepdim=True)
    exponents = scores - highest.masked_fill(highest.isinf(), 0.0)
    powers = (1.0 + exponents / 1024.0).clamp(min=0.0) ** 1024
    totals = powers.sum(dim=-1, keepdim=True)
    weights = powers / totals.masked_fill(totals == 0.0, 1.0)
    return drop(weights.to(value.dtype), options) @ value


def keys_of_eight_bits(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rounds every key to 8-bit integers times a factor of its own."""
    steps = key.detach().abs().amax(dim=-1, keepdim=True).clamp(min=1e-6) / 127.0
    rounded = (key.detach() / steps).round() * steps
    return plain(query, key + (rounded - key).detach(), value, **options)


def scale_in_float32(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Makes a float32 tensor of the scale, whatever the dtype of the query."""
    factor = torch.tensor(resolve_scale(query, options.get("scale")), dtype=torch.float32)
    options["scale"] = float(factor)
    return plain(query, key, value, **options)


def mask_in_float32(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rounds a float64 mask to float32."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype == torch.float64:
        options["attn_mask"] = mask.float().double()
    return plain(query, key, value, **options)


def output_in_float32(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns float32 for half precision."""
    return wide(plain(query, key, value, **options))


PLANTED: tuple[Planted, ...] = (
    plant(bfloat16_inside, "shapes: output"),
    plant(float16_inside, "shapes: output"),
    plant(float32_inside, "shapes: output"),
    plant(bfloat16_for_float16, "shapes: output"),
    plant(weights_in_bfloat16, "shapes: output"),
    plant(scores_in_half_precision, "shapes: output"),
    plant(products_of_ten_bits, "shapes: output"),
    plant(exponential_by_a_power, "shapes: output"),
    plant(keys_of_eight_bits, "shapes: output"),
    plant(scale_in_float32, "shapes: output"),
    plant(mask_in_float32, "masks: output"),
    plant(output_in_float32, "shapes: output"),
)
