"""Kernels that misread large entries of a float mask, or what its gradient is; else right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor

from tests.planted.pieces import Options, by_name, mask_of, plant
from tests.planted.planted import Planted, plain

Change = Callable[[Tensor], Tensor]


def _with_mask(change: Change) -> Callable[..., Tensor]:
    """The formula with another float mask than was given."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        mask = options.get("attn_mask")
        if mask is not None and mask.dtype != torch.bool:
            options["attn_mask"] = change(mask)
        return plain(query, key, value, **options)

    return kernel


def _rows_zeroed(limit: float) -> Callable[..., Tensor]:
    """Rows whose every entry is `limit` or less are taken for masked."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        output = plain(query, key, value, **options)
        mask = options.get("attn_mask")
        if mask is None or mask.dtype == torch.bool:
            return output
        expanded = mask_of(query, key, options)
        assert expanded is not None
        return output.masked_fill((expanded <= limit).all(dim=-1, keepdim=True), 0.0)

    return kernel


def _ignored(low: float, high: float) -> Change:
    """Finite entries between the two are taken for 0."""
    return lambda mask: mask.masked_fill((mask >= low) & (mask <= high), 0.0)


class _Gradient(torch.autograd.Function):
    """The mask as it is, expanded to `shape`, with a gradient of its own."""

    @staticmethod
    def forward(
        ctx: Any, mask: Tensor, shape: tuple[int, ...], rule: Callable[..., Tensor]
    ) -> Tensor:
        ctx.shape, ctx.rule = mask.shape, rule
        return mask.expand(shape).clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        return ctx.rule(upstream, ctx.shape), None, None


def _differentiated(rule: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        mask = options.get("attn_mask")
        if mask is not None and mask.requires_grad:
            shape = (*query.shape[:-1], key.shape[-2])
            options["attn_mask"] = _Gradient.apply(mask, shape, rule)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
        return plain(query, key, value, **options)

    return kernel


def _negative(upstream: Tensor, shape: torch.Size) -> Tensor:
    return -upstream.sum_to_size(shape)


def _of_the_first(upstream: Tensor, shape: torch.Size) -> Tensor:
    """The share of the first item wherever the mask broadcasts."""
    while upstream.dim() > len(shape):
        upstream = upstream[0]
    for dim, size in enumerate(shape):
        upstream = upstream[(slice(None),) * dim + (slice(0, size),)]
    return upstream.clone()


def _mean(upstream: Tensor, shape: torch.Size) -> Tensor:
    return upstream.sum_to_size(shape) * (math.prod(shape) / max(1, upstream.numel()))


def _lost_alone(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    mask = options.get("attn_mask")
    if mask is not None and not query.requires_grad:
        options["attn_mask"] = mask.detach()
    return plain(query, key, value, **options)


def _lost_if_broadcast(mask: Tensor) -> Tensor:
    return mask if mask.dim() == 2 else mask.detach()


_IGNORED = (("1e4", -1e4, -1e4), ("1e9", -1e9, -1e9), ("1e6_and_less", -1e30, -1e6))
_FAULTS: tuple[tuple[str, str, Callable[..., Tensor], str], ...] = (
    *(
        (
            f"entries_of_minus_{name}_ignored",
            f"takes mask entries of -{name.replace('_', ' ')} for 0",
            _with_mask(_ignored(low, high)),
            "masks: output",
        )
        for name, low, high in _IGNORED
    ),
    (
        "entries_clamped_at_minus_20",
        "takes mask entries below -20 for -20",
        _with_mask(lambda mask: mask.clamp(min=-20.0).masked_fill(mask == -math.inf, -math.inf)),
        "masks: output",
    ),
    (
        "entries_from_minus_300_to_minus_3000_ignored",
        "takes mask entries between -300 and -3000 for 0",
        _with_mask(_ignored(-3000.0, -300.0)),
        "masks: output",
    ),
    *(
        (
            f"rows_of_minus_{name}_zeroed",
            f"gives zeros for rows whose every mask entry is -{name} or less",
            _rows_zeroed(limit),
            "masks: output",
        )
        for name, limit in (("1e4", -1e4), ("1e9", -1e9), ("1000", -1e3))
    ),
    (
        "rows_of_the_least_number_not_finite",
        "overflows where a mask entry is the least number",
        _with_mask(lambda mask: torch.where(mask == torch.finfo(mask.dtype).min, math.nan, mask)),
        "masks: output",
    ),
    (
        "mask_gradient_lost",
        "detaches the mask",
        _with_mask(lambda mask: mask.detach()),
        "gradients: grad_mask",
    ),
    (
        "mask_gradient_lost_if_broadcast",
        "detaches a mask that is not two-dimensional",
        _with_mask(_lost_if_broadcast),
        "gradients: grad_mask",
    ),
    (
        "mask_gradient_lost_alone",
        "detaches the mask where the query asks for no gradient",
        _lost_alone,
        "gradients: grad_mask",
    ),
    (
        "mask_gradient_negative",
        "gives the mask a gradient of the other sign",
        _differentiated(_negative),
        "gradients: grad_mask",
    ),
    (
        "mask_gradient_of_the_first",
        "gives the mask the gradient of the first item that it broadcasts to",
        _differentiated(_of_the_first),
        "gradients: grad_mask",
    ),
    (
        "mask_gradient_averaged",
        "gives the mask the mean over what it broadcasts to, not the sum",
        _differentiated(_mean),
        "gradients: grad_mask",
    ),
)

PLANTED: tuple[Planted, ...] = tuple(
    plant(fn, killed_by, name=name, what=what) for name, what, fn, killed_by in _FAULTS
)
globals().update(by_name(PLANTED))
