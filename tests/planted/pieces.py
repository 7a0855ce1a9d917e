"""Right pieces that faulty kernels are put together from, so that each has its one fault only."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from implementations.interface import Options
from implementations.masking import apply_mask, expand_mask, resolve_scale, safe_softmax
from implementations.oracle import full_mask
from tests.planted.planted import Planted


def plant(
    fn: Callable[..., Tensor],
    killed_by: str | None,
    *,
    name: str | None = None,
    what: str | None = None,
) -> Planted:
    """Declare a kernel under its own name, described by its docstring's first line.

    An object that has no name or no description of its own needs `name` and `what`.
    """
    sentence = what or (inspect.getdoc(fn) or "").partition("\n")[0].removesuffix(".")
    return Planted(
        name=name or str(getattr(fn, "__name__", type(fn).__name__)),
        what=sentence[:1].lower() + sentence[1:],
        fn=fn,
        killed_by=killed_by,
    )


def mask_of(query: Tensor, key: Tensor, options: Options) -> Tensor | None:
    """The one mask that the keywords stand for, as a view of shape (..., query_len, key_len)."""
    mask = full_mask(query, key, options.get("attn_mask"), options.get("is_causal", False))
    return expand_mask(mask, query, key)


def raw_scores(query: Tensor, key: Tensor, options: Options) -> Tensor:
    """Q Kᵀ · scale, without a mask: (..., query_len, key_len)."""
    return query @ key.mT * resolve_scale(query, options.get("scale"))


def masked_scores(query: Tensor, key: Tensor, options: Options) -> Tensor:
    """Q Kᵀ · scale with what is masked at -inf: (..., query_len, key_len)."""
    return apply_mask(raw_scores(query, key, options), mask_of(query, key, options))


def drop(weights: Tensor, options: Options) -> Tensor:
    """Dropout as the keywords ask for it."""
    return F.dropout(weights, options.get("dropout_p", 0.0))


def finish(scores: Tensor, value: Tensor, options: Options) -> Tensor:
    """softmax(scores) V, with dropout on the weights; rows without keys are zero."""
    return drop(safe_softmax(scores), options) @ value


def wide(tensor: Tensor) -> Tensor:
    """The tensor in a dtype that sums are safe in: half precision becomes float32."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def exponentials(scores: Tensor) -> tuple[Tensor, Tensor]:
    """exp(scores - row maximum), and its sums over each row, 1 for a row without keys."""
    if scores.shape[-1] == 0:
        return scores, scores.new_ones((*scores.shape[:-1], 1))
    highest = scores.detach().amax(dim=-1, keepdim=True)
    powers = (scores - highest.masked_fill(highest == -math.inf, 0.0)).exp()
    totals = powers.sum(dim=-1, keepdim=True)
    return powers, totals.masked_fill(totals == 0.0, 1.0)


def spans(length: int, size: int) -> list[slice]:
    """Slices of `size` that cover 0..length; the last may be shorter."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def refuse_mask_gradient(attn_mask: Tensor | None) -> None:
    """Raise NotImplementedError where a mask asks for a gradient that a backward pass lacks."""
    if attn_mask is not None and attn_mask.requires_grad and torch.is_grad_enabled():
        raise NotImplementedError("attn_mask is not differentiated")


def by_name(planted: Iterable[Planted]) -> dict[str, Callable[..., Tensor]]:
    """The kernels by name: a module that makes them from a table has each as an attribute too."""
    return {one.name: one.fn for one in planted}
