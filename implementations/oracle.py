"""The float64 reference that every implementation is checked against: obvious, never timed.

Beside the value, the reference gives its magnitude: the same sums with every term replaced by its
absolute value. Rounding errors are proportional to the terms that are added, not to what is left
after they cancel, so the magnitude is the scale on which an error is large or small (Higham 2002,
"Accuracy and Stability of Numerical Algorithms", section 3.1).

The sensitivity says what rounding the scores does: exp turns the absolute error of a score, some
ε·|s|, into a relative error of its weight, and the softmax takes from it what all scores of a row
share. To first order, with weights w, score magnitudes s and outputs o,

    δo = Σⱼ wⱼ δsⱼ (vⱼ - o),    |δo| ≤ ε · √(Σⱼ wⱼ sⱼ²) · √(Σⱼ wⱼ vⱼ² - o²)

so that a row whose weight lies on one key is not sensitive at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor

from implementations.groups import group_size, in_groups
from implementations.masking import (
    apply_mask,
    band_mask,
    causal_mask,
    resolve_scale,
    safe_softmax,
)

QUANTITIES = ("output", "grad_query", "grad_key", "grad_value")
# Of a float mask that requires a gradient: the sum of the gradients of scores over what broadcasts.
GRAD_MASK = "grad_mask"

Oracle = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Tensor]
"""(query, key, value, attn_mask, scale) -> output, differentiable, in the dtype of its inputs."""
Scores = Callable[[Tensor, Tensor, float], Tensor]
"""(query, key, scale) -> (..., query_len, key_len)."""
PullBack = Callable[[Tensor, Tensor, float, Tensor], tuple[Tensor, Tensor]]
"""(query, key, scale, gradients of scores) -> gradients of query and key."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The oracle of a mechanism that weighs values by the softmax of scores; no keys give zeros.

    `scores` is differentiable. `sizes` gives the magnitude of each score, every term by its
    absolute value. `gradient_sizes` takes magnitudes of the gradients of scores to those of query
    and key, None where scores rise with every component of both, so that their own derivatives are
    magnitudes. Of weights without an exponential, such as those of linear attention, `scores` are
    the logarithms and a size is 1: the relative error of a weight in steps of rounding.
    """

    scores: Scores
    sizes: Scores
    gradient_sizes: PullBack | None = None

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, scale: float
    ) -> Tensor:
        """softmax(scores + mask) V in the dtype of its inputs."""
        return self.weights(query, key, attn_mask, scale) @ value

    def weights(self, query: Tensor, key: Tensor, attn_mask: Tensor | None, scale: float) -> Tensor:
        """The weights (..., query_len, key_len); each row sums to 1, or is zero."""
        return safe_softmax(apply_mask(self.scores(query, key, scale), attn_mask))

    def pulled_back(
        self, query: Tensor, key: Tensor, scale: float, score_grads: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The magnitudes of the gradients of query and key, from those of the scores."""
        if self.gradient_sizes is not None:
            return self.gradient_sizes(query, key, scale, score_grads)
        leaves = (query.detach().requires_grad_(), key.detach().requires_grad_())
        with torch.enable_grad():
            scores = self.scores(*leaves, scale)
        grad_query, grad_key = torch.autograd.grad(scores, leaves, score_grads)
        return grad_query, grad_key


def dot_products(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Q Kᵀ · scale."""
    return query @ key.mT * scale


def dot_product_sizes(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Σ|q||k| · |scale|."""
    return dot_products(query.abs(), key.abs(), abs(scale))


def dot_product_gradient_sizes(
    query: Tensor, key: Tensor, scale: float, score_grads: Tensor
) -> tuple[Tensor, Tensor]:
    """|dS| |K| · |scale| and |dS|ᵀ |Q| · |scale|."""
    return score_grads @ key.abs() * abs(scale), score_grads.mT @ query.abs() * abs(scale)


softmax_attention = Scored(
    scores=dot_products, sizes=dot_product_sizes, gradient_sizes=dot_product_gradient_sizes
)
"""softmax(Q Kᵀ · scale + mask) V in the dtype of its inputs; empty rows give zeros."""


def by_scores(oracle: Oracle) -> Scored:
    """The oracle, or that of the dot product in place of one that tells no scores."""
    return oracle if isinstance(oracle, Scored) else softmax_attention


@dataclass(frozen=True, kw_only=True)
class Reference:
    """By quantity (`output`, `grad_query`, …): the value, its magnitude and its sensitivity.

    Magnitude and sensitivity are the largest over all elements; the latter is the error that
    scores cause which are off by their own magnitude, Σ|q||k| · scale + |mask|, and
    `score_magnitude` the largest of those that have any weight.
    """

    values: dict[str, Tensor]
    magnitudes: dict[str, float]
    sensitivities: dict[str, float]
    score_magnitude: float


def for_each_head(tensor: Tensor, query: Tensor) -> Tensor:
    """Key or value with as many heads as query: head i is head i // group of the tensor."""
    group = group_size(query, tensor)
    return tensor if group == 1 else tensor.repeat_interleave(group, dim=-3)


def answer(
    oracle: Oracle,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    scale: float,
) -> Tensor:
    """The output of `oracle`; keys and values that several heads share are repeated for it."""
    every_key, every_value = for_each_head(key, query), for_each_head(value, query)
    return oracle(query, every_key, every_value, attn_mask, scale)


def evaluate(
    oracle: Oracle,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    scale: float,
    grad_output: Tensor | None,
) -> dict[str, Tensor]:
    """Output and, with an upstream gradient, gradients of `oracle` in the dtype of the inputs.

    Where `attn_mask` requires a gradient, its own is among them.
    """
    if grad_output is None:
        with torch.no_grad():
            return {"output": answer(oracle, query, key, value, attn_mask, scale)}
    inputs = [tensor.detach().clone().requires_grad_() for tensor in (query, key, value)]
    names: tuple[str, ...] = QUANTITIES
    if attn_mask is not None and attn_mask.requires_grad:
        attn_mask = attn_mask.detach().clone().requires_grad_()
        inputs.append(attn_mask)
        names = (*QUANTITIES, GRAD_MASK)
    output = answer(oracle, inputs[0], inputs[1], inputs[2], attn_mask, scale)
    gradients = torch.autograd.grad(output, inputs, grad_output)
    return dict(zip(names, (output.detach(), *gradients), strict=True))


def reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    window: int | None = None,
    scale: float | None = None,
    grad_output: Tensor | None,
    oracle: Oracle = softmax_attention,
) -> Reference:
    """The exact answer, as far as float64 on the CPU goes, for inputs of any dtype and device.

    Without an upstream gradient it is the output alone. Where `attn_mask` requires a gradient, its
    own is part of it. Of an oracle that is not `Scored`, magnitudes are those of the dot product.
    """
    q, k, v = (_exact(tensor) for tensor in (query, key, value))
    upstream = None if grad_output is None else _exact(grad_output)
    mask = full_mask(query, key, attn_mask, is_causal, window)
    if mask is not None:
        mask = mask.cpu() if mask.dtype == torch.bool else mask.to("cpu", torch.float64)
    factor = resolve_scale(query, scale)
    values = evaluate(oracle, q, k, v, mask, factor, upstream)
    mask = None if mask is None else mask.detach()

    group = group_size(q, k)
    k, v = (for_each_head(one, q) for one in (k, v))
    scored = by_scores(oracle)
    weights = scored.weights(q, k, mask, factor)
    score_sizes = scored.sizes(q, k, factor)
    if mask is not None and mask.dtype != torch.bool:
        score_sizes = score_sizes + mask.abs()
    score_sizes = score_sizes.where(weights > 0.0, 0.0)
    pull_back = partial(scored.pulled_back, q, k, factor)
    magnitudes = _magnitudes(v, upstream, weights, pull_back)
    sensitivities = _sensitivities(v, upstream, weights, score_sizes, pull_back)
    if group > 1 and upstream is not None:
        for sizes, name in product((magnitudes, sensitivities), ("grad_key", "grad_value")):
            sizes[name] = in_groups(sizes[name], group).sum(-3)
    if GRAD_MASK in values:
        for sizes in (magnitudes, sensitivities):
            sizes[GRAD_MASK] = sizes[GRAD_MASK].sum_to_size(values[GRAD_MASK].shape)
    return Reference(
        values=values,
        magnitudes={name: _largest(magnitudes[name]) for name in values},
        sensitivities={name: _largest(sensitivities[name]) for name in values},
        score_magnitude=_largest(score_sizes),
    )


def _exact(tensor: Tensor) -> Tensor:
    return tensor.detach().to(device="cpu", dtype=torch.float64)


def _magnitudes(
    v: Tensor,
    upstream: Tensor | None,
    weights: Tensor,
    pull_back: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> dict[str, Tensor]:
    output = weights @ v.abs()
    if upstream is None:
        return {"output": output}
    weight_grads = upstream.abs() @ v.abs().mT
    row_sums = (weights * weight_grads).sum(-1, keepdim=True)
    score_grads = weights * (weight_grads + row_sums)
    if score_grads.shape[-1]:
        # The gradients of a row of scores sum to zero. Who differentiates through the row's maximum
        # puts what rounding leaves of that sum, a random walk, on the largest key.
        residual = score_grads.norm(dim=-1, keepdim=True)
        largest = weights.argmax(-1, keepdim=True)
        score_grads = score_grads.scatter_add(-1, largest, residual)
    grad_query, grad_key = pull_back(score_grads)
    return {
        "output": output,
        "grad_query": grad_query,
        "grad_key": grad_key,
        "grad_value": weights.mT @ upstream.abs(),
        GRAD_MASK: score_grads,
    }


def _sensitivities(
    v: Tensor,
    upstream: Tensor | None,
    weights: Tensor,
    score_sizes: Tensor,
    pull_back: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> dict[str, Tensor]:
    score_error = (weights * score_sizes**2).sum(-1, keepdim=True).sqrt()
    output_spread = (weights @ v**2 - (weights @ v) ** 2).clamp(min=0.0).sqrt()
    output = score_error * output_spread
    if upstream is None:
        return {"output": output}

    def spread(values: Tensor) -> Tensor:
        """The standard deviation of a row's values under its weights."""
        mean = (weights * values).sum(-1, keepdim=True)
        return (weights * (values - mean) ** 2).sum(-1, keepdim=True).sqrt()

    mean_size = (weights * score_sizes).sum(-1, keepdim=True)
    weight_errors = weights * (score_sizes + mean_size - 2.0 * weights * score_sizes)
    weight_grads = upstream @ v.mT
    centred = weight_grads - (weights * weight_grads).sum(-1, keepdim=True)
    score_grad_errors = weight_errors * centred.abs() + weights * score_error * spread(weight_grads)
    grad_query, grad_key = pull_back(score_grad_errors)
    return {
        "output": output,
        "grad_query": grad_query,
        "grad_key": grad_key,
        "grad_value": weight_errors.mT @ upstream.abs(),
        GRAD_MASK: score_grad_errors,
    }


def full_mask(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    window: int | None = None,
) -> Tensor | None:
    """The one mask that `attn_mask`, `is_causal` and `window` stand for; None: all is seen."""
    lengths = (query.shape[-2], key.shape[-2])
    if window is not None:
        return band_mask(*lengths, window, is_causal, device=query.device)
    if is_causal:
        return causal_mask(*lengths, device=query.device)
    return attn_mask


def _largest(tensor: Tensor) -> float:
    return float(tensor.max()) if tensor.numel() else 0.0


def largest_error(actual: Tensor, expected: Tensor) -> float:
    """max |actual - expected|, or infinity where a finite value was expected and none came."""
    if not expected.numel():
        return 0.0
    difference = (actual.detach().to(device="cpu", dtype=torch.float64) - expected).abs()
    return math.inf if not bool(difference.isfinite().all()) else float(difference.max())
