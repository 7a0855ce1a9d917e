"""Kernels that take keys in blocks of 64 and put the blocks' answers together wrongly.

All but the last two keep their sums in float32 for half precision, as is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import safe_softmax
from tests.planted.pieces import Options, drop, finish, masked_scores, plant, spans, wide
from tests.planted.planted import Planted, plain

KEYS_PER_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Masked scores and values of some keys; `product` gives powers of the scores times values."""

    scores: Tensor
    product: Callable[[Tensor], Tensor]

    @property
    def highest(self) -> Tensor:
        return self.scores.detach().amax(dim=-1, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class _Running:
    """The largest score of each row so far, and sums relative to it: of powers, and with values."""

    highest: Tensor
    total: Tensor
    output: Tensor


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: Options,
    step: Callable[[_Running, _Block], _Running],
    *,
    lowest: float = -math.inf,
    keys_per_block: int = KEYS_PER_BLOCK,
    widen: Callable[[Tensor], Tensor] = wide,
) -> Tensor:
    """Attention by blocks of keys, each taken in by `step`."""
    scores, values = widen(masked_scores(query, key, options)), widen(value)
    if scores.numel() == 0:
        return finish(scores, values, options).to(value.dtype)
    total = scores.new_zeros((*scores.shape[:-1], 1))
    output = scores.new_zeros((*scores.shape[:-1], value.shape[-1]))
    state = _Running(highest=total + lowest, total=total, output=output)
    for keys in spans(key.shape[-2], keys_per_block):

        def product(powers: Tensor, rows: Tensor = values[..., keys, :]) -> Tensor:
            return drop(powers, options) @ rows

        state = step(state, _Block(scores=scores[..., keys], product=product))
    return (state.output / state.total.masked_fill(state.total == 0.0, 1.0)).to(value.dtype)


def _right(state: _Running, block: _Block) -> _Running:
    return _added(state, block, state.highest.maximum(block.highest))


def _added(
    state: _Running, block: _Block, highest: Tensor, rescale: Tensor | None = None
) -> _Running:
    """The state with a block added, relative to a new `highest`; by `rescale` or as is right."""
    shift = highest.masked_fill(highest == -math.inf, 0.0)
    powers = (block.scores - shift).exp()
    factor = (state.highest - shift).exp() if rescale is None else rescale
    return _Running(
        highest=highest,
        total=state.total * factor + powers.sum(dim=-1, keepdim=True),
        output=state.output * factor + block.product(powers),
    )


def running_output_not_rescaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rescales the running sum, but not the running output, when the maximum rises."""

    def step(state: _Running, block: _Block) -> _Running:
        highest = state.highest.maximum(block.highest)
        unscaled = _added(state, block, highest, torch.ones_like(highest))
        return replace(_right(state, block), output=unscaled.output)

    return _attend(query, key, value, options, step)


def running_sum_not_rescaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rescales the running output, but not the running sum, when the maximum rises."""

    def step(state: _Running, block: _Block) -> _Running:
        highest = state.highest.maximum(block.highest)
        unscaled = _added(state, block, highest, torch.ones_like(highest))
        return replace(_right(state, block), total=unscaled.total)

    return _attend(query, key, value, options, step)


def running_maximum_never_rescaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rescales nothing when the maximum rises."""

    def step(state: _Running, block: _Block) -> _Running:
        highest = state.highest.maximum(block.highest)
        return _added(state, block, highest, torch.ones_like(highest))

    return _attend(query, key, value, options, step)


def small_rises_not_rescaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rescales nothing when the maximum rises by less than 1, to save the work."""

    def step(state: _Running, block: _Block) -> _Running:
        highest = state.highest.maximum(block.highest)
        rise = highest - state.highest.masked_fill(highest == -math.inf, 0.0)
        return _added(state, block, highest, torch.where(rise < 1.0, 1.0, (-rise).exp()))

    return _attend(query, key, value, options, step)


def rescaled_by_the_block_maximum(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes the block's own maximum for the new one, even where it is lower."""

    def step(state: _Running, block: _Block) -> _Running:
        highest = state.highest.maximum(block.highest)
        shift = block.highest.masked_fill(block.highest == -math.inf, 0.0)
        return _added(state, block, highest, (state.highest - shift).exp())

    return _attend(query, key, value, options, step)


def maximum_of_the_first_block(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Subtracts the first block's maximum from all blocks, so that later scores can overflow."""

    def step(state: _Running, block: _Block) -> _Running:
        first = torch.where(state.highest == -math.inf, block.highest, state.highest)
        return _added(state, block, first)

    return _attend(query, key, value, options, step)


def maximum_starts_at_zero(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Starts the running maximum at 0, under which a row of very negative scores vanishes."""
    return _attend(query, key, value, options, _right, lowest=0.0)


def nan_after_a_masked_block(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Gives NaN on a row whose first block of keys is wholly masked, if it keeps others."""
    hidden = masked_scores(query, key, options) == -math.inf
    late = hidden[..., :KEYS_PER_BLOCK].all(dim=-1, keepdim=True) & ~hidden.all(-1, keepdim=True)
    # What -inf minus -inf leaves behind; rows without any key are mended at the end.
    return _attend(query, key, value, options, _right).masked_fill(late, math.nan)


def stops_at_a_masked_block(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes a block without a kept key for the end of its row."""
    going = torch.ones((), dtype=torch.bool, device=query.device)
    found = []
    scores = masked_scores(query, key, options)
    for start in range(0, max(1, key.shape[-2]), KEYS_PER_BLOCK):
        block = scores[..., start : start + KEYS_PER_BLOCK]
        going = going & (block != -math.inf).any(dim=-1, keepdim=True)
        found.append(block.masked_fill(~going, -math.inf))
    return finish(torch.cat(found, dim=-1), value, options)


def blocks_averaged(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Averages the blocks' own answers, whatever weight their keys have."""
    scores = masked_scores(query, key, options)
    parts = [
        finish(scores[..., keys], value[..., keys, :], options)
        for keys in spans(key.shape[-2], KEYS_PER_BLOCK)
    ]
    if len(parts) < 2:
        return plain(query, key, value, **options)
    return torch.stack(parts).mean(dim=0)


def halves_weighted_by_their_maximum(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Joins two halves of long keys by the exponentials of their maxima, without their sums."""
    scores = masked_scores(query, key, options)
    middle = key.shape[-2] // 2
    if middle < KEYS_PER_BLOCK:
        return finish(scores, value, options)
    parts = [slice(middle), slice(middle, None)]
    answers = [finish(scores[..., keys], value[..., keys, :], options) for keys in parts]
    highest = [scores[..., keys].detach().amax(dim=-1, keepdim=True) for keys in parts]
    shares = safe_softmax(torch.cat(highest, dim=-1))
    return answers[0] * shares[..., :1] + answers[1] * shares[..., 1:]


def _as_given(tensor: Tensor) -> Tensor:
    return tensor


def sums_of_16_keys_in_the_input_dtype(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Keeps the running sum and output in the dtype of the inputs, over blocks of 16 keys."""
    return _attend(query, key, value, options, _right, keys_per_block=16, widen=_as_given)


def sums_of_4_keys_in_the_input_dtype(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Keeps the running sum and output in the dtype of the inputs, over blocks of 4 keys."""
    return _attend(query, key, value, options, _right, keys_per_block=4, widen=_as_given)


PLANTED: tuple[Planted, ...] = (
    plant(running_output_not_rescaled, "shapes: output"),
    plant(running_sum_not_rescaled, "shapes: output"),
    plant(running_maximum_never_rescaled, "shapes: output"),
    plant(small_rises_not_rescaled, "shapes: output"),
    plant(rescaled_by_the_block_maximum, "shapes: output"),
    plant(maximum_of_the_first_block, "scores: output"),
    plant(maximum_starts_at_zero, "causal: output"),
    plant(nan_after_a_masked_block, "masks: output"),
    plant(stops_at_a_masked_block, "masks: output"),
    plant(blocks_averaged, "shapes: output"),
    plant(halves_weighted_by_their_maximum, "shapes: output"),
    plant(sums_of_16_keys_in_the_input_dtype, "scores: output"),
    plant(sums_of_4_keys_in_the_input_dtype, "scores: output"),
)
