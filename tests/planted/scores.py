"""Kernels whose scale or softmax is wrong."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import apply_mask, resolve_scale, safe_softmax
from tests.planted.pieces import (
    Options,
    drop,
    exponentials,
    finish,
    mask_of,
    masked_scores,
    plant,
    raw_scores,
)
from tests.planted.planted import Planted, plain


def softmax_over_queries(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes the softmax over the queries."""
    scores = masked_scores(query, key, options)
    return drop(safe_softmax(scores.mT).mT, options) @ value


def softmax_over_heads_and_keys(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Shares one sum of exponentials between the heads."""
    scores = masked_scores(query, key, options)
    if scores.dim() == 2:
        return finish(scores, value, options)
    powers, totals = exponentials(scores)
    return drop(powers / totals.sum(dim=-3, keepdim=True), options) @ value


def missing_scale(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Leaves the scale out when none is given."""
    return plain(query, key, value, scale=1.0)


def divides_by_head_dim(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Divides by head_dim, not its root."""
    if options.get("scale") is None:
        options["scale"] = 1.0 / query.shape[-1]
    return plain(query, key, value, **options)


def scale_of_model_width(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Divides by the root of d_model."""
    if options.get("scale") is None:
        num_heads = query.shape[-3] if query.dim() > 2 else 1
        options["scale"] = 1.0 / math.sqrt(max(1, num_heads) * query.shape[-1])
    return plain(query, key, value, **options)


def scale_of_value_dim(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Divides by the root of value_dim."""
    if options.get("scale") is None:
        options["scale"] = 1.0 / math.sqrt(max(1, value.shape[-1]))
    return plain(query, key, value, **options)


def scale_of_key_len(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Divides by the root of key_len."""
    if options.get("scale") is None:
        options["scale"] = 1.0 / math.sqrt(max(1, key.shape[-2]))
    return plain(query, key, value, **options)


def given_scale_ignored(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Ignores the scale that is given."""
    options["scale"] = None
    return plain(query, key, value, **options)


def scale_of_zero_not_taken(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes a scale of 0 for none."""
    options["scale"] = options.get("scale") or 1.0 / math.sqrt(query.shape[-1])
    return plain(query, key, value, **options)


def scale_twice(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Scales the query, then the scores again."""
    scaled = query * resolve_scale(query, options.get("scale"))
    return plain(scaled, key, value, **options)


def scale_on_the_mask_too(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Scales after adding the float mask."""
    scores = apply_mask(query @ key.mT, mask_of(query, key, options))
    return finish(scores * resolve_scale(query, options.get("scale")), value, options)


def maximum_not_subtracted(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Lets exp overflow at large scores."""
    powers = masked_scores(query, key, options).exp()
    totals = powers.sum(dim=-1, keepdim=True)
    return drop(powers / totals.masked_fill(totals == 0.0, 1.0), options) @ value


def one_maximum_for_all_rows(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Subtracts the largest score of all rows."""
    scores = masked_scores(query, key, options)
    highest = float(scores.max()) if scores.numel() else 0.0
    powers = (scores - (highest if math.isfinite(highest) else 0.0)).exp()
    totals = powers.sum(dim=-1, keepdim=True)
    return drop(powers / totals.masked_fill(totals == 0.0, 1.0), options) @ value


def maximum_of_unscaled_scores(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes the maximum before the scale, as if no scale were negative, or mask added."""
    scores = masked_scores(query, key, options)
    if scores.numel() == 0:
        return finish(scores, value, options)
    highest = (query @ key.mT).detach().amax(dim=-1, keepdim=True)
    powers = (scores - highest * resolve_scale(query, options.get("scale"))).exp()
    totals = powers.sum(dim=-1, keepdim=True)
    return drop(powers / totals.masked_fill(totals == 0.0, 1.0), options) @ value


def scores_clamped(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Clamps scores to ±30."""
    scores = raw_scores(query, key, options).clamp(-30.0, 30.0)
    return finish(apply_mask(scores, mask_of(query, key, options)), value, options)


def epsilon_in_the_denominator(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds 1e-6 to the sum."""
    powers, totals = exponentials(masked_scores(query, key, options))
    return drop(powers / (totals + 1e-6), options) @ value


def tiny_epsilon_in_the_denominator(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds 1e-9 to the sum."""
    powers, totals = exponentials(masked_scores(query, key, options))
    return drop(powers / (totals + 1e-9), options) @ value


def powers_of_two(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Uses exp2 without log2 e."""
    # exp(s log 2) is exp2(s).
    scores = query @ key.mT * (resolve_scale(query, None) * math.log(2.0))
    return safe_softmax(scores) @ value


def mask_not_in_units_of_two(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Uses exp2 and adds the float mask without log2 e."""
    in_units = raw_scores(query, key, options) * math.log2(math.e)
    scores = apply_mask(in_units, mask_of(query, key, options))
    return finish(scores * math.log(2.0), value, options)


def sums_of_the_wrong_row(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Divides column j by the sum of row j."""
    powers, totals = exponentials(masked_scores(query, key, options))
    # Without its last dimension a sum is taken for a row vector, which fits if lengths are equal.
    return drop(powers / totals.squeeze(-1).unsqueeze(-2), options) @ value


def small_weights_pruned(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes weights below 1e-4 for zero."""
    weights = safe_softmax(masked_scores(query, key, options))
    return drop(torch.where(weights < 1e-4, 0.0, weights), options) @ value


def exponents_never_below_minus_twenty(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Clamps exponents at -20, so that masked keys keep a little weight."""
    scores = masked_scores(query, key, options)
    if scores.numel() == 0:
        return finish(scores, value, options)
    highest = scores.detach().amax(dim=-1, keepdim=True)
    raised = (scores - highest.masked_fill(highest == -math.inf, 0.0)).clamp(min=-20.0)
    return finish(raised.masked_fill(highest == -math.inf, -math.inf), value, options)


PLANTED: tuple[Planted, ...] = (
    plant(softmax_over_queries, "shapes: output"),
    plant(softmax_over_heads_and_keys, "shapes: output"),
    plant(missing_scale, "shapes: output"),
    plant(divides_by_head_dim, "shapes: output"),
    plant(scale_of_model_width, "shapes: output"),
    plant(scale_of_value_dim, "shapes: output"),
    plant(scale_of_key_len, "shapes: output"),
    plant(given_scale_ignored, "scores: output"),
    plant(scale_of_zero_not_taken, "scores: output"),
    plant(scale_twice, "shapes: output"),
    plant(scale_on_the_mask_too, "masks: output"),
    plant(maximum_not_subtracted, "scores: output"),
    plant(one_maximum_for_all_rows, "scores: output"),
    plant(maximum_of_unscaled_scores, "causal: output"),
    plant(scores_clamped, "scores: output"),
    plant(epsilon_in_the_denominator, "shapes: output"),
    plant(tiny_epsilon_in_the_denominator, "shapes: output"),
    plant(powers_of_two, "shapes: output"),
    plant(mask_not_in_units_of_two, "masks: output"),
    plant(sums_of_the_wrong_row, "shapes: output"),
    plant(small_weights_pruned, "shapes: output"),
    plant(exponents_never_below_minus_twenty, "properties: future_ignored"),
)
