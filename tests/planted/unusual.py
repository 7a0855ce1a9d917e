"""Right kernels that take the whole score matrix in unusual ways; the gate must let them through.

Half precision is computed in float32 where rounding on the way would be worse than the formula's.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.masking import apply_mask, resolve_scale, safe_softmax
from tests.planted.pieces import (
    Options,
    drop,
    exponentials,
    finish,
    mask_of,
    masked_scores,
    plant,
    wide,
)
from tests.planted.planted import Planted, plain


def float64_inside(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Computes in float64, whatever it is given."""
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype != torch.bool:
        options["attn_mask"] = mask.double()
    return plain(query.double(), key.double(), value.double(), **options).to(query.dtype)


def exp2_form(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Keeps the scores in units of log 2 and takes exp2 of them."""
    scores = masked_scores(wide(query), wide(key), options) * math.log2(math.e)
    if scores.numel() == 0:
        return finish(scores, wide(value), options).to(value.dtype)
    highest = scores.detach().amax(dim=-1, keepdim=True)
    powers = (scores - highest.masked_fill(highest == -math.inf, 0.0)).exp2()
    totals = powers.sum(dim=-1, keepdim=True)
    weights = powers / totals.masked_fill(totals == 0.0, 1.0)
    return (drop(weights, options) @ wide(value)).to(value.dtype)


def log_sum_exp_form(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes exp(scores - log-sum-exp), without a division."""
    scores = masked_scores(wide(query), wide(key), options)
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    log_sums = scores.masked_fill(empty, 0.0).logsumexp(dim=-1, keepdim=True)
    weights = (scores - log_sums).exp()  # exp(-inf - 0) = 0 in a row without keys
    return (drop(weights, options) @ wide(value)).to(value.dtype)


def log_softmax_form(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes exp of a log-softmax."""
    scores = masked_scores(wide(query), wide(key), options)
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    weights = scores.masked_fill(empty, 0.0).log_softmax(dim=-1).exp().masked_fill(empty, 0.0)
    return (drop(weights, options) @ wide(value)).to(value.dtype)


def maximum_in_the_graph(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Differentiates through the maximum, whose gradients cancel."""
    scores = masked_scores(wide(query), wide(key), options)
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    if scores.shape[-1] == 0:
        return plain(query, key, value, **options)
    finite = scores.masked_fill(empty, 0.0)
    powers = (finite - finite.amax(dim=-1, keepdim=True)).exp()
    weights = (powers / powers.sum(dim=-1, keepdim=True)).masked_fill(empty, 0.0)
    return (drop(weights, options) @ wide(value)).to(value.dtype)


def divided_at_the_end(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Divides by the sum of exponentials after the product with the values."""
    powers, totals = exponentials(masked_scores(wide(query), wide(key), options))
    return (drop(powers, options) @ wide(value) / totals).to(value.dtype)


def column_of_ones(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Gets the sum of exponentials from a column of ones beside the values; without dropout."""
    if options.get("dropout_p"):
        return plain(query, key, value, **options)
    powers, _ = exponentials(masked_scores(wide(query), wide(key), options))
    product = powers @ F.pad(wide(value), (0, 1), value=1.0)
    totals = product[..., -1:]
    return (product[..., :-1] / totals.masked_fill(totals == 0.0, 1.0)).to(value.dtype)


def scale_halved_between_query_and_key(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Multiplies query and key by the root of the scale each."""
    scale = resolve_scale(query, options.get("scale"))
    root = math.sqrt(abs(scale))
    scores = (wide(query) * root) @ (wide(key) * math.copysign(root, scale)).mT
    weights = safe_softmax(apply_mask(scores, mask_of(query, key, options)))
    return (drop(weights, options) @ wide(value)).to(value.dtype)


def least_finite_number_for_masked(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Masks by the least finite number and zeroes the rows without keys afterwards."""
    scores = masked_scores(wide(query), wide(key), options)
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    lowered = scores.masked_fill(scores == -math.inf, torch.finfo(scores.dtype).min)
    weights = lowered.softmax(dim=-1).masked_fill(empty, 0.0)
    return (drop(weights, options) @ wide(value)).to(value.dtype)


def keys_by_queries(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Computes K Qᵀ and lets the softmax run down its columns."""
    mask = mask_of(query, key, options)
    scores = wide(key) @ wide(query).mT * resolve_scale(query, options.get("scale"))
    columns = apply_mask(scores, None if mask is None else mask.mT)
    if key.shape[-2] == 0:
        return plain(query, key, value, **options)
    empty = (columns == -math.inf).all(dim=-2, keepdim=True)
    weights = columns.masked_fill(empty, 0.0).softmax(dim=-2).masked_fill(empty, 0.0)
    return (wide(value).mT @ drop(weights, options)).mT.to(value.dtype)


def output_not_contiguous(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns an output whose features are not adjacent in memory."""
    return plain(query, key, value, **options).mT.contiguous().mT


def einstein_sums(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Writes both products as einsum."""
    scores = torch.einsum("...nd,...md->...nm", query, key)
    scores = scores * resolve_scale(query, options.get("scale"))
    weights = drop(safe_softmax(apply_mask(scores, mask_of(query, key, options))), options)
    return torch.einsum("...nm,...mv->...nv", weights, value)


def bias_in_the_product(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Adds a float mask within the matrix product, over all leading dimensions folded into one."""
    folded = math.prod(query.shape[:-2])

    def three(tensor: Tensor) -> Tensor:
        return wide(tensor).reshape(folded, *tensor.shape[-2:])

    mask = mask_of(query, key, options)
    hidden = (
        None
        if mask is None or mask.dtype != torch.bool
        else ~mask.reshape(folded, *mask.shape[-2:])
    )
    bias = three(query).new_zeros(1, 1, 1) if mask is None or hidden is not None else three(mask)
    scale = resolve_scale(query, options.get("scale"))
    scores = torch.baddbmm(bias, three(query), three(key).mT, alpha=scale)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    output = finish(scores, three(value), options)
    return output.reshape(*query.shape[:-1], value.shape[-1]).to(value.dtype)


def heads_in_a_loop(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Loops over all leading dimensions in Python."""
    if math.prod(query.shape[:-2]) == 0:
        return plain(query, key, value, **options)
    leading = [*itertools.product(*map(range, query.shape[:-2]))]
    mask = mask_of(query, key, options)
    scale = resolve_scale(query, options.get("scale"))
    found = []
    for i in leading:
        scores = apply_mask(query[i] @ key[i].mT * scale, None if mask is None else mask[i])
        found.append(finish(scores, value[i], options))
    return torch.stack(found).reshape(*query.shape[:-1], value.shape[-1])


def sdpa_called_through(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Hands everything to torch."""
    mask = options.get("attn_mask")
    if mask is not None:
        options["attn_mask"] = mask.expand(*query.shape[:-1], key.shape[-2])
    return F.scaled_dot_product_attention(query, key, value, **options)


def any_keywords(query: Tensor, key: Tensor, value: Tensor, **keywords: Any) -> Tensor:
    """Takes any keywords at all."""
    return plain(query, key, value, **keywords)


def no_keywords(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Takes no keywords."""
    return plain(query, key, value)


def scale_only(query: Tensor, key: Tensor, value: Tensor, scale: float | None = None) -> Tensor:
    """Takes a scale and no other keyword."""
    return plain(query, key, value, scale=scale)


class AttentionModule(nn.Module):
    """Is a module without parameters."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Attention without dropout or another scale."""
        return plain(query, key, value, attn_mask=attn_mask, is_causal=is_causal)


class AttentionObject:
    """Is an object that can be called, and remembers nothing but a number of calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        """Attention."""
        self.calls += 1
        return plain(query, key, value, **options)


class ReusedScratch:
    """Keeps its scores in memory of an earlier call, and nothing that outlives the call."""

    def __init__(self) -> None:
        self._scratch = torch.empty(0)

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        """Attention; the scratch is for calls without gradients."""
        training = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
        if training:
            return plain(query, key, value, **options)
        shape = (*query.shape[:-1], key.shape[-2])
        like = (query.dtype, query.device)
        if (
            self._scratch.numel() < math.prod(shape)
            or (self._scratch.dtype, self._scratch.device) != like
        ):
            self._scratch = query.new_empty(math.prod(shape))
        scores = self._scratch[: math.prod(shape)].view(shape)
        torch.matmul(query, key.mT, out=scores)
        scores.mul_(resolve_scale(query, options.get("scale")))
        return finish(apply_mask(scores, mask_of(query, key, options)), value, options)


attention_module = AttentionModule()
attention_object = AttentionObject()
reused_scratch = ReusedScratch()

PLANTED: tuple[Planted, ...] = (
    plant(float64_inside, None),
    plant(exp2_form, None),
    plant(log_sum_exp_form, None),
    plant(log_softmax_form, None),
    plant(maximum_in_the_graph, None),
    plant(divided_at_the_end, None),
    plant(column_of_ones, None),
    plant(scale_halved_between_query_and_key, None),
    plant(least_finite_number_for_masked, None),
    plant(keys_by_queries, None),
    plant(output_not_contiguous, None),
    plant(einstein_sums, None),
    plant(bias_in_the_product, None),
    plant(heads_in_a_loop, None),
    plant(sdpa_called_through, None),
    plant(any_keywords, None),
    plant(no_keywords, None),
    plant(scale_only, None),
    plant(attention_module, None, name="attention_module"),
    plant(attention_object, None, name="attention_object"),
    plant(reused_scratch, None, name="reused_scratch"),
)
