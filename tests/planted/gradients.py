"""Kernels with right outputs and a wrong backward pass: the one of `backward`, mistaken."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import resolve_scale
from tests.planted.backward import (
    Gradients,
    Saved,
    attend,
    grad_scores,
    grad_value_of,
    recomputed,
    right_gradients,
)
from tests.planted.pieces import Options, masked_scores, plant, wide
from tests.planted.planted import Planted

ROWS_PER_BLOCK = 64


def query_gradient_unscaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves the scale out of the query's gradient."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        _, grad_key, grad_value = right_gradients(saved, upstream)
        return grad_scores(saved, upstream) @ saved.key, grad_key, grad_value

    return attend(query, key, value, options, backward)


def key_gradient_unscaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves the scale out of the key's gradient."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        grad_query, _, grad_value = right_gradients(saved, upstream)
        return grad_query, grad_scores(saved, upstream).mT @ saved.query, grad_value

    return attend(query, key, value, options, backward)


def given_scale_ignored_backward(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Scales gradients by 1/√head_dim whatever scale is given."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        return right_gradients(replace(saved, scale=resolve_scale(saved.query, None)), upstream)

    return attend(query, key, value, options, backward)


def row_sum_left_out(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Differentiates the softmax as if its denominator were constant."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        weights = wide(upstream) @ saved.value.mT * saved.kept
        scores = saved.weights * weights * saved.scale
        return scores @ saved.key, scores.mT @ saved.query, grad_value_of(saved, upstream)

    return attend(query, key, value, options, backward)


def value_gradient_viewed(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Views the weights as (key_len, query_len) in the value's gradient, without transposing."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        grad_query, grad_key, _ = right_gradients(saved, upstream)
        weights = saved.weights * saved.kept
        return grad_query, grad_key, weights.reshape(weights.mT.shape) @ wide(upstream)

    return attend(query, key, value, options, backward)


def upstream_taken_for_ones(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes every upstream gradient for that of a sum."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        return right_gradients(saved, torch.ones_like(upstream))

    return attend(query, key, value, options, backward)


def upstream_taken_for_contiguous(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Reads the upstream gradient as if it were contiguous."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        strides = torch.empty(upstream.shape, device="meta").stride()
        return right_gradients(saved, upstream.as_strided(upstream.shape, strides))

    return attend(query, key, value, options, backward)


def key_gradient_of_the_last_block(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Overwrites the key's gradient with each further block of 64 queries, instead of adding."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        grad_query, _, grad_value = right_gradients(saved, upstream)
        start = max(0, saved.query.shape[-2] - 1) // ROWS_PER_BLOCK * ROWS_PER_BLOCK
        scores = grad_scores(saved, upstream)[..., start:, :] * saved.scale
        return grad_query, scores.mT @ saved.query[..., start:, :], grad_value

    return attend(query, key, value, options, backward)


def value_gradient_without_the_last_queries(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves queries that do not fill a block of 64 out of the value's gradient."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        grad_query, grad_key, _ = right_gradients(saved, upstream)
        rows = saved.query.shape[-2]
        kept = rows // ROWS_PER_BLOCK * ROWS_PER_BLOCK or rows
        weights = (saved.weights * saved.kept)[..., :kept, :]
        return grad_query, grad_key, weights.mT @ wide(upstream)[..., :kept, :]

    return attend(query, key, value, options, backward)


def query_gradient_without_the_last_keys(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Leaves keys that do not fill a block of 64 out of the query's gradient."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        _, grad_key, grad_value = right_gradients(saved, upstream)
        kept = saved.key.shape[-2] // ROWS_PER_BLOCK * ROWS_PER_BLOCK or saved.key.shape[-2]
        scores = grad_scores(saved, upstream)[..., :kept] * saved.scale
        return scores @ saved.key[..., :kept, :], grad_key, grad_value

    return attend(query, key, value, options, backward)


def gradients_of_equal_lengths(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Gives no gradient to keys beyond the number of queries."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        grad_query, grad_key, grad_value = right_gradients(saved, upstream)
        beyond = torch.arange(saved.key.shape[-2], device=saved.key.device)[:, None]
        return grad_query, grad_key.masked_fill(beyond >= saved.query.shape[-2], 0.0), grad_value

    return attend(query, key, value, options, backward)


def triangle_forgotten_backward(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Recomputes the weights for the backward pass without the causal triangle."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        masks: Options = {**saved.options, "is_causal": False}
        return right_gradients(recomputed(saved, masks), upstream)

    return attend(query, key, value, options, backward)


def mask_forgotten_backward(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Recomputes the weights for the backward pass without the mask."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        masks: Options = {**saved.options, "attn_mask": None}
        return right_gradients(recomputed(saved, masks), upstream)

    return attend(query, key, value, options, backward)


def overflow_backward(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Recomputes the weights for the backward pass without subtracting a maximum."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        powers = masked_scores(saved.query, saved.key, saved.options).exp()
        totals = powers.sum(dim=-1, keepdim=True)
        weights = powers / totals.masked_fill(totals == 0.0, 1.0)
        return right_gradients(replace(saved, weights=weights), upstream)

    return attend(query, key, value, options, backward)


def dropout_forgotten_backward(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Differentiates as if nothing had been dropped."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        return right_gradients(replace(saved, kept=torch.ones_like(saved.kept)), upstream)

    return attend(query, key, value, options, backward)


def right_the_first_time_only(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Overwrites the saved weights in the backward pass, which a second pass then reads."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        gradients = right_gradients(saved, upstream)
        saved.weights.copy_(grad_scores(saved, upstream))
        return gradients

    return attend(query, key, value, options, backward)


def row_sum_with_the_value_only(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Computes the softmax's row sums only when the value asks for a gradient, but needs them."""

    def backward(saved: Saved, upstream: Tensor) -> Gradients:
        right = right_gradients(saved, upstream)
        if saved.needed[2]:
            return right
        weights = wide(upstream) @ saved.value.mT * saved.kept
        scores = saved.weights * weights * saved.scale
        return scores @ saved.key, scores.mT @ saved.query, right[2]

    return attend(query, key, value, options, backward)


PLANTED: tuple[Planted, ...] = (
    plant(query_gradient_unscaled, "gradients: grad_query"),
    plant(key_gradient_unscaled, "gradients: grad_key"),
    plant(given_scale_ignored_backward, "gradients: grad_query"),
    plant(row_sum_left_out, "gradients: grad_query"),
    plant(value_gradient_viewed, "gradients: grad_value"),
    plant(upstream_taken_for_ones, "gradients: grad_query"),
    plant(upstream_taken_for_contiguous, "gradients: grad_query"),
    plant(key_gradient_of_the_last_block, "gradients: grad_key"),
    plant(value_gradient_without_the_last_queries, "gradients: grad_value"),
    plant(query_gradient_without_the_last_keys, "gradients: grad_query"),
    plant(gradients_of_equal_lengths, "gradients: grad_key"),
    plant(triangle_forgotten_backward, "gradients: grad_query"),
    plant(mask_forgotten_backward, "gradients: grad_query"),
    plant(overflow_backward, "gradients: grad_query"),
    plant(dropout_forgotten_backward, "dropout: grad_query"),
    plant(right_the_first_time_only, "state: repeatable"),
    plant(row_sum_with_the_value_only, "gradients: grad_query"),
)
