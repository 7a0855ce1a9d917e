"""Kernels that treat large or small numbers apart; with ordinary ones they are right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor

from implementations.masking import safe_softmax
from tests.planted.pieces import Options, by_name, drop, finish, masked_scores, plant
from tests.planted.planted import Planted, plain

Change = Callable[[Tensor], Tensor]
HIGHEST_IN_FLOAT16 = 65504.0


def _clamped(limit: float) -> Change:
    return lambda tensor: tensor.clamp(-limit, limit)


def _dropped_below(limit: float) -> Change:
    return lambda tensor: tensor.masked_fill(tensor.abs() < limit, 0.0)


def _zero_if_all_below(limit: float) -> Change:
    return lambda tensor: tensor * float(not tensor.numel() or bool(tensor.abs().max() >= limit))


def _overflowing(tensor: Tensor) -> Tensor:
    beyond = tensor.abs() > HIGHEST_IN_FLOAT16
    return torch.where(beyond, tensor.sign() * math.inf, tensor)


class _Backward(torch.autograd.Function):
    """The identity, with what is changed of the gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, change: Change) -> Tensor:
        ctx.change = change
        return tensor.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.change(upstream), None


def _with_gradient(change: Change) -> Change:
    return lambda tensor: _Backward.apply(tensor, change)  # type: ignore[no-untyped-call]  # torch leaves apply untyped


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _changing(
    *, query: Change = _same, key: Change = _same, value: Change = _same, output: Change = _same
) -> Callable[..., Tensor]:
    def kernel(q: Tensor, k: Tensor, v: Tensor, **options: Unpack[Options]) -> Tensor:
        return output(plain(query(q), key(k), value(v), **options))

    return kernel


def _weights_dropped_below(limit: float) -> Callable[..., Tensor]:
    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        weights = safe_softmax(masked_scores(query, key, options))
        return drop(_dropped_below(limit)(weights), options) @ value

    return kernel


def _scores_clamped(limit: float) -> Callable[..., Tensor]:
    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        scores = masked_scores(query, key, options)
        least = scores.clamp(min=-limit).masked_fill(scores == -math.inf, -math.inf)
        return finish(least, value, options)

    return kernel


_FAULTS: tuple[tuple[str, str, Callable[..., Tensor], str], ...] = (
    *(
        (
            f"values_clamped_at_{limit:g}".replace("+", ""),
            f"clamps values at {limit:g}",
            _changing(value=_clamped(limit)),
            "properties: values_scaled",
        )
        for limit in (300.0, 1000.0, 1e5)
    ),
    (
        "outputs_clamped_at_1000",
        "clamps outputs at 1000",
        _changing(output=_clamped(1000.0)),
        "properties: values_scaled",
    ),
    (
        "queries_clamped_at_1e4",
        "clamps queries at 10,000",
        _changing(query=_clamped(1e4)),
        "properties: scores_kept",
    ),
    *(
        (
            f"{name}s_below_{limit:g}_dropped".replace("-", "_"),
            f"takes {name}s below {limit:g} for zero",
            _changing(**{name: _dropped_below(limit)}),
            check,
        )
        for name, limit, check in (
            ("value", 1e-6, "properties: values_scaled"),
            ("output", 1e-5, "properties: values_scaled"),
            ("query", 1e-6, "properties: scores_kept"),
            ("key", 1e-8, "properties: scores_kept"),
        )
    ),
    *(
        (
            f"{name}_gradients_below_{limit:g}_dropped".replace("-", "_"),
            f"takes gradients of {name}s below {limit:g} for zero",
            _changing(**{name: _with_gradient(_dropped_below(limit))}),
            "properties: upstream_scaled",
        )
        for name, limit in (("output", 1e-6), ("query", 1e-5), ("value", 1e-8))
    ),
    (
        "zeros_for_small_values",
        "gives zeros where no value reaches a thousandth",
        _changing(value=_zero_if_all_below(1e-3)),
        "properties: values_scaled",
    ),
    (
        "zeros_for_small_queries",
        "takes queries that are all below a hundred thousandth for zeros",
        _changing(query=_zero_if_all_below(1e-5)),
        "properties: scores_kept",
    ),
    (
        "zeros_for_small_upstream_gradients",
        "gives no gradients where no upstream gradient reaches a millionth",
        _changing(output=_with_gradient(_zero_if_all_below(1e-6))),
        "properties: upstream_scaled",
    ),
    *(
        (
            f"{name}s_overflow_as_in_float16",
            f"holds {name}s where nothing beyond 65,504 fits",
            _changing(**{name: _overflowing}),
            check,
        )
        for name, check in (
            ("value", "properties: values_scaled"),
            ("output", "properties: values_scaled"),
            ("key", "properties: scores_kept"),
        )
    ),
    (
        "gradients_overflow_as_in_float16",
        "holds upstream gradients where nothing beyond 65,504 fits",
        _changing(output=_with_gradient(_overflowing)),
        "properties: upstream_scaled",
    ),
    *(
        (
            f"weights_below_{limit:g}_dropped".replace("-", "_"),
            f"takes weights below {limit:g} for zero",
            _weights_dropped_below(limit),
            "masks: output",
        )
        for limit in (1e-5, 1e-6, 1e-8)
    ),
    (
        "scores_clamped_at_minus_12",
        "takes scores below -12 for -12",
        _scores_clamped(12.0),
        "scores: output",
    ),
)

PLANTED: tuple[Planted, ...] = tuple(
    plant(fn, killed_by, name=name, what=what) for name, what, fn, killed_by in _FAULTS
)
globals().update(by_name(PLANTED))
