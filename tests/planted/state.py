"""Kernels that keep something from one call to the next: buffers, scratch, caches.

Those that would break a training step outright are right while gradients are wanted.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import apply_mask, causal_mask, resolve_scale, safe_softmax
from tests.planted.backward import Gradients, Saved, attend, right_gradients
from tests.planted.pieces import Options, drop, finish, masked_scores, plant, raw_scores, wide
from tests.planted.planted import Planted, plain


def _training(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _kind(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.dtype, tensor.device


class _SameBuffer:
    """Returns the same output buffer in every call of the same shape."""

    def __init__(self) -> None:
        self._buffers: dict[Hashable, Tensor] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        output = plain(query, key, value, **options)
        if _training(query, key, value):
            return output
        buffer = self._buffers.setdefault(_kind(output), output)
        return buffer.copy_(output)


class _ScratchNotCleared:
    """Adds to an output scratch that only its first use clears."""

    def __init__(self) -> None:
        self._scratch: dict[Hashable, Tensor] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        output = plain(query, key, value, **options)
        if _kind(output) in self._scratch:
            output = output + self._scratch[_kind(output)]
        self._scratch[_kind(output)] = output.detach().clone()
        return output


class _ScratchOfALargerCall:
    """Pads weights to a multiple of 64 columns with what an earlier call left in the scratch."""

    def __init__(self) -> None:
        self._scratch = torch.empty(0)

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        weights = drop(safe_softmax(masked_scores(query, key, options)), options)
        *rows, key_len = weights.shape
        if weights.numel() == 0:
            return weights @ value
        shape = (*rows, -(-key_len // 64) * 64)
        size = weights.numel() // key_len * shape[-1]
        if self._scratch.numel() < size:
            self._scratch = torch.zeros(size)
        block = self._scratch[:size].view(shape)
        padding = block[..., key_len:].sum(dim=-1, keepdim=True).to(weights)
        block[..., :key_len] = weights.detach()
        # Rows of the value beyond the last are read as the last.
        return weights @ value + padding * value[..., -1:, :]


class _FirstAnswer:
    """Gives its first answer in every call."""

    def __init__(self) -> None:
        self._answer: Tensor | None = None

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        if self._answer is None:
            self._answer = plain(query, key, value, **options)
        return self._answer


class _AnswerByShape:
    """Keeps one answer for each shape of inputs, outside training."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, Tensor] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        output = plain(query, key, value, **options)
        if _training(query, key, value):
            return output
        flags = (options.get("is_causal"), options.get("scale"), options.get("attn_mask") is None)
        kind = (_kind(query), _kind(key), _kind(value), flags)
        return self._answers.setdefault(kind, output).clone()


class _AnswerByAddress:
    """Keeps its last answer for as long as the inputs lie where they lay, outside training."""

    def __init__(self) -> None:
        self._answer: tuple[Hashable, Tensor] | None = None

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        if _training(query, key, value):
            return plain(query, key, value, **options)
        mask = options.get("attn_mask")
        places = tuple((t.data_ptr(), t.stride(), _kind(t)) for t in (query, key, value))
        hidden = None if mask is None else mask.data_ptr()
        kind = (places, hidden, options.get("is_causal"), options.get("scale"))
        if self._answer is None or self._answer[0] != kind:
            self._answer = kind, plain(query, key, value, **options)
        return self._answer[1].clone()


class _KeyByAddress:
    """Keeps a copy of the key for as long as the key lies where it lay, outside training."""

    def __init__(self) -> None:
        self._copy: tuple[Hashable, Tensor] | None = None

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        if _training(query, key, value):
            return plain(query, key, value, **options)
        place = (key.data_ptr(), key.stride(), _kind(key))
        if self._copy is None or self._copy[0] != place:
            self._copy = place, key.clone()
        return plain(query, self._copy[1], value, **options)


class _BiasByShape:
    """Makes a bias of the first boolean mask of each shape and uses it for all of that shape."""

    def __init__(self) -> None:
        self._biases: dict[Hashable, Tensor] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        mask = options.get("attn_mask")
        if mask is not None and mask.dtype == torch.bool:
            bias = apply_mask(torch.zeros_like(mask, dtype=query.dtype), mask)
            options["attn_mask"] = self._biases.setdefault((_kind(mask), query.dtype), bias)
        return plain(query, key, value, **options)


class _TriangleBySize:
    """Keeps one causal mask for each number of scores, so that 5 x 7 passes for 7 x 5."""

    def __init__(self) -> None:
        self._triangles: dict[Hashable, Tensor] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        if not options.get("is_causal"):
            return plain(query, key, value, **options)
        shape = (query.shape[-2], key.shape[-2])
        new = causal_mask(*shape, device=query.device).flatten()
        allowed = self._triangles.setdefault((new.shape, new.device), new).view(shape)
        return finish(apply_mask(raw_scores(query, key, options), allowed), value, options)


class _ScaleByHeadDim:
    """Remembers the first scale for each head_dim, given or not."""

    def __init__(self) -> None:
        self._scales: dict[int, float] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        scale = resolve_scale(query, options.get("scale"))
        options["scale"] = self._scales.setdefault(query.shape[-1], scale)
        return plain(query, key, value, **options)


class _MaximumOfAllCalls:
    """Subtracts the largest score that any call has seen."""

    def __init__(self) -> None:
        self._highest = 0.0

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        scores = wide(masked_scores(query, key, options))
        finite = scores.detach()[scores.isfinite()]
        self._highest = max(self._highest, float(finite.max()) if finite.numel() else 0.0)
        powers = (scores - self._highest).exp()
        totals = powers.sum(dim=-1, keepdim=True)
        weights = powers / totals.masked_fill(totals == 0.0, 1.0)
        return drop(weights.to(value.dtype), options) @ value


class _GradientNotCleared:
    """Adds the value's gradient to what earlier backward passes left, right in the first."""

    def __init__(self) -> None:
        self._sums: dict[Hashable, Tensor] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        def backward(saved: Saved, upstream: Tensor) -> Gradients:
            grad_query, grad_key, grad_value = right_gradients(saved, upstream)
            earlier = self._sums.get(_kind(grad_value))
            total = grad_value if earlier is None else grad_value + earlier
            self._sums[_kind(grad_value)] = total.clone()
            return grad_query, grad_key, total

        return attend(query, key, value, options, backward)


def value_returned_for_one_key(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns the value itself, expanded over the queries, for one key, outside training."""
    weighted = options.get("attn_mask") is not None or options.get("dropout_p")
    if key.shape[-2] != 1 or weighted or _training(query, key, value):
        return plain(query, key, value, **options)
    return value.expand(*query.shape[:-1], value.shape[-1])


same_buffer_in_every_call = _SameBuffer()
scratch_not_cleared = _ScratchNotCleared()
scratch_of_a_larger_call = _ScratchOfALargerCall()
first_answer_kept = _FirstAnswer()
answer_kept_by_shape = _AnswerByShape()
answer_kept_by_address = _AnswerByAddress()
key_kept_by_address = _KeyByAddress()
bias_kept_by_shape = _BiasByShape()
triangle_kept_by_size = _TriangleBySize()
scale_kept_by_head_dim = _ScaleByHeadDim()
maximum_of_all_calls = _MaximumOfAllCalls()
gradient_not_cleared = _GradientNotCleared()

PLANTED: tuple[Planted, ...] = (
    plant(same_buffer_in_every_call, "state: own_memory", name="same_buffer_in_every_call"),
    plant(scratch_not_cleared, "state: repeatable", name="scratch_not_cleared"),
    plant(scratch_of_a_larger_call, "shapes: output", name="scratch_of_a_larger_call"),
    plant(first_answer_kept, "gradients: grad_query", name="first_answer_kept"),
    plant(answer_kept_by_shape, "scores: output", name="answer_kept_by_shape"),
    plant(answer_kept_by_address, "state: fresh_answer", name="answer_kept_by_address"),
    plant(key_kept_by_address, "scores: output", name="key_kept_by_address"),
    plant(bias_kept_by_shape, "masks: output", name="bias_kept_by_shape"),
    plant(triangle_kept_by_size, "causal: output", name="triangle_kept_by_size"),
    plant(scale_kept_by_head_dim, "scores: output", name="scale_kept_by_head_dim"),
    plant(maximum_of_all_calls, "scores: output", name="maximum_of_all_calls"),
    plant(gradient_not_cleared, "gradients: grad_value", name="gradient_not_cleared"),
    plant(value_returned_for_one_key, "state: own_memory"),
)
