"""Inputs whose contents no call has seen before, whatever it keeps of earlier calls.

Between readings all contents are written anew, and between the calls of a reading an element each
of query, key and value changes its sign. Both are written past the tensors themselves, as a caller
writes who shares their memory (NumPy, DLPack): neither the objects, nor their addresses, nor
`Tensor._version` tell of it. A kernel that keeps an answer gives a stale one, and is found out; one
that compares contents first computes in every call.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import repeat

import torch
from torch import Tensor

from bench.timing.inputs import Inputs

# How far apart the offsets are that contents are taken from: they repeat after some thousand.
OFFSETS = 2**14
# Prime, so that the signs of all elements change before any does twice.
STRIDE = 7919
_WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Pool:
    """Standard normal numbers that contents are copied from, one sequence a dtype and device."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._drawn: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def numbers(self, like: Tensor, offset: int) -> Tensor:
        """As many as the tensor holds, in its dtype, from an offset below OFFSETS on."""
        kind, size = (like.dtype, like.device), like.numel()
        held = self._drawn.get(kind)
        if held is None or held.numel() < size + OFFSETS:
            generator = torch.Generator(like.device).manual_seed(self._seed)
            drawn = torch.randn(size + OFFSETS, generator=generator, device=like.device)
            held = self._drawn[kind] = drawn.to(like.dtype)
        return held[offset : offset + size]


class ChangingInputs:
    """The inputs of a cell, and how their contents change; the mask stays as it is.

    `grad_output` is a view of the upstream gradient's memory, to be written to (see
    `bench.checks.sampled_rows.thin_upstream`). What comes next is left to `chance`, by default one
    that no kernel can foresee.
    """

    def __init__(self, inputs: Inputs, pool: Pool, chance: random.Random | None = None) -> None:
        self.inputs = inputs
        self.grad_output = _alias(inputs.grad_output)
        self._pool = pool
        self._chance = chance = chance or random.Random()
        self._contents = [
            _flat(one) for one in (inputs.query, inputs.key, inputs.value, inputs.grad_output)
        ]
        self._flips = [_flipping(one, chance) for one in self._contents[:3]]

    def rewrite(self) -> None:
        """Give query, key, value and upstream gradient other contents."""
        for place, contents in enumerate(self._contents):
            # Offsets that differ by no multiple of four: no row of one is a row of another.
            offset = 4 * self._chance.randrange(OFFSETS // 4) + place
            contents.copy_(self._pool.numbers(contents, offset))

    def touch(self) -> None:
        """Change the sign of an element each of query, key and value."""
        for flip in self._flips:
            next(flip)


def _flat(tensor: Tensor) -> Tensor:
    """The tensor's memory, without its version; inputs are dense."""
    return tensor.detach().new_empty(0).set_(tensor.untyped_storage())


def _alias(tensor: Tensor) -> Tensor:
    """The tensor without its version."""
    return _flat(tensor).as_strided(tensor.shape, tensor.stride())


def _flipping(contents: Tensor, chance: random.Random) -> Iterator[None]:
    size = contents.numel()
    if not size:
        return repeat(None)
    place = chance.randrange(size)
    return _on_cpu(contents, place) if contents.device.type == "cpu" else _on_gpu(contents, place)


def _on_cpu(contents: Tensor, place: int) -> Iterator[None]:
    # An operator would take a hundred times as long as this.
    bits = contents.view(_WHOLE[contents.element_size()]).numpy().data
    size, sign = len(bits), -(2 ** (8 * contents.element_size() - 1))
    while True:
        bits[place] ^= sign
        place = (place + STRIDE) % size
        yield


def _on_gpu(contents: Tensor, place: int) -> Iterator[None]:
    size = contents.numel()
    while True:
        contents[place : place + 1].neg_()
        place = (place + STRIDE) % size
        yield
