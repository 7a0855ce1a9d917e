"""Kernels that change what is not theirs, or answer differently every time."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import resolve_scale, safe_softmax
from tests.planted.pieces import Options, drop, masked_scores, plant
from tests.planted.planted import Planted, plain


def query_scaled_in_place(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves the query multiplied by the scale."""
    scale = resolve_scale(query, options.get("scale"))
    output = plain(query.clone(), key, value, **options)
    query.data.mul_(scale)
    return output


def query_scaled_and_scaled_back(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Multiplies the query by the scale and divides it again, which rounding does not undo."""
    scale = resolve_scale(query, options.get("scale"))
    output = plain(query.clone(), key, value, **options)
    query.data.mul_(scale)
    query.data.div_(scale)
    return output


def key_centred_in_place(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves the key without its mean, which the softmax does not notice."""
    output = plain(query, key.clone(), value, **options)
    if key.shape[-2]:
        key.data.sub_(key.data.mean(dim=-2, keepdim=True))
    return output


def value_masked_in_place(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves zeros in the values of keys that every query has masked."""
    weights = safe_softmax(masked_scores(query, key, options))
    output = drop(weights, options) @ value.clone()
    unused = (weights.detach() == 0.0).all(dim=-2).unsqueeze(-1)
    value.data.masked_fill_(unused, 0.0)
    return output


def boolean_mask_inverted_in_place(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves a boolean mask inverted, the way that masked_fill wants it."""
    output = plain(query, key, value, **options)
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype == torch.bool:
        mask.logical_not_()
    return output


def float_mask_clamped_in_place(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves the least finite number where a float mask had -inf."""
    output = plain(query, key, value, **options)
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype != torch.bool:
        mask.data.clamp_(min=torch.finfo(mask.dtype).min)
    return output


class _LastBitNoise:
    """Rounds elements of the output up or down by chance, all within tolerance."""

    def __init__(self) -> None:
        self._generator = torch.Generator()

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        output = plain(query, key, value, **options)
        up = torch.rand(output.shape, generator=self._generator).to(output.device) < 0.5
        return output * torch.where(up, 1.0 + torch.finfo(output.dtype).eps, 1.0).to(output.dtype)


class _RandomOrder:
    """Adds the keys up in a new random order in every call."""

    def __init__(self) -> None:
        self._generator = torch.Generator()

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        weights = drop(safe_softmax(masked_scores(query, key, options)), options)
        order = torch.randperm(key.shape[-2], generator=self._generator).to(key.device)
        return weights[..., order] @ value[..., order, :]


last_bit_noise = _LastBitNoise()
random_order_of_keys = _RandomOrder()


def gradients_left_off(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Switches gradients off for everything that comes after it."""
    output = plain(query, key, value, **options)
    torch.set_grad_enabled(False)
    return output


def default_dtype_left_changed(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves the dtype of its inputs as the default for new tensors."""
    torch.set_default_dtype(query.dtype)
    return plain(query, key, value, **options)


def number_of_threads_left_changed(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Asks for three threads, and leaves it at that."""
    torch.set_num_threads(3)
    return plain(query, key, value, **options)


def matmul_precision_left_lowered(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Allows float32 products of lower precision from then on."""
    output = plain(query, key, value, **options)
    torch.set_float32_matmul_precision("medium")
    return output


def seed_left_set(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Seeds the global generator, so that what is drawn after it is always the same."""
    output = plain(query, key, value, **options)
    torch.manual_seed(0)
    return output


def random_numbers_used_up(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Draws from the global generator even when it drops nothing."""
    if not options.get("dropout_p"):
        torch.rand(())
    return plain(query, key, value, **options)


PLANTED: tuple[Planted, ...] = (
    plant(query_scaled_in_place, "state: inputs_unmodified"),
    plant(query_scaled_and_scaled_back, "state: inputs_unmodified"),
    plant(key_centred_in_place, "state: inputs_unmodified"),
    plant(value_masked_in_place, "state: inputs_unmodified"),
    plant(boolean_mask_inverted_in_place, "state: repeatable"),
    plant(float_mask_clamped_in_place, "state: inputs_unmodified"),
    plant(last_bit_noise, "state: repeatable", name="last_bit_noise"),
    plant(random_order_of_keys, "state: repeatable", name="random_order_of_keys"),
    plant(gradients_left_off, "state: global_state"),
    plant(default_dtype_left_changed, "state: global_state"),
    plant(number_of_threads_left_changed, "state: global_state"),
    plant(matmul_precision_left_lowered, "state: global_state"),
    plant(seed_left_set, "state: global_state"),
    plant(random_numbers_used_up, "state: global_state"),
)
