"""Contents of inputs that change between calls, without a trace in the tensors."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor

from bench.timing.inputs import CallInputs

# How far apart the offsets are that contents are taken from: they repeat after some thousand.
OFFSETS = 2**14
# Prime, so that the signs of all elements change before any does twice.
STRIDE = 7919
# The last row is a heavy one, and so many more.
MOST_HEAVY = 2
_WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Pool:
    """Standard normal numbers that contents are copied from, one sequence a dtype and device."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def numbers(self, like: Tensor, offset: int) -> Tensor:
        """As many as the tensor holds, in its dtype, from an offset below OFFSETS on."""
        kind, size = (like.dtype, like.device), like.numel()
        held = self._drawn.get(kind)
        if held is None or held.numel() < size + OFFSETS:
            generator = torch.Generator(like.device).manual_seed(0)
            drawn = torch.randn(
                size + OFFSETS, generator=generator, device=like.device, dtype=torch.float32
            )
            held = self._drawn[kind] = drawn.to(like.dtype)
        return held[offset : offset + size]


class ChangingInputs:
    """The inputs of a cell, whose contents no call has seen before.

    Between readings all contents but the mask's are written anew, with a few heavy rows (a core's
    keys that outweigh the others: what is lost of such a key shows in any precision). Between the
    calls of a reading one of these is turned round, and an element of each other tensor changes its
    sign. All is written past the tensors themselves, as a caller writes who shares their memory
    (NumPy, DLPack): neither the objects, nor their addresses, nor `Tensor._version` tell of it. A
    kernel that keeps an answer gives a stale one, and is found out; one that compares all contents
    computes always.

    `grad_output` is a view of the upstream gradient's memory, to be written to (see
    `bench.checks.timed.sampled_rows.thin_upstream`). What comes next is left to `chance`, by
    default one that no kernel can foresee.
    """

    def __init__(self, inputs: CallInputs, pool: Pool, chance: random.Random | None = None) -> None:
        self.inputs = inputs
        self.grad_output = _alias(inputs.grad_output)
        self._pool = pool
        self._chance = chance = chance or random.Random()
        others = [one for name, one in inputs.tensors.items() if name != inputs.turned]
        self._contents = [_flat(one) for one in (*inputs.tensors.values(), inputs.grad_output)]
        self._rows = _alias(inputs.tensors[inputs.turned])
        self._heavy: list[int] = []
        self._turn = _turning(self._rows)
        flat = [_flat(one) for one in others if one.numel()]
        self._flips = [(_flipping(one), one.numel()) for one in flat]
        self._place = chance.randrange(2**32)

    def rewrite(self) -> None:
        """Give all tensors and the upstream gradient other contents."""
        for place, contents in enumerate(self._contents):
            # Offsets that differ by no multiple of four: no row of one is a row of another.
            offset = 4 * self._chance.randrange(OFFSETS // 4) + place
            contents.copy_(self._pool.numbers(contents, offset))
        rows = self._rows.shape[-2]
        self._heavy = [rows - 1, *self._chance.choices(range(rows), k=MOST_HEAVY)] if rows else []
        for row in set(self._heavy):
            self._rows[..., row, :] *= self.inputs.heavy

    def touch(self) -> None:
        """Turn a heavy row round, and change the sign of an element of each other tensor."""
        if self._heavy:
            self._turn(self._chance.choice(self._heavy))
        self._place += STRIDE
        for flip, size in self._flips:
            flip(self._place % size)


def _flat(tensor: Tensor) -> Tensor:
    """The tensor's memory, without its version; inputs are dense."""
    return tensor.detach().new_empty(0).set_(tensor.untyped_storage())


def _alias(tensor: Tensor) -> Tensor:
    """The tensor without its version."""
    return _flat(tensor).as_strided(tensor.shape, tensor.stride())


def _turning(tensor: Tensor) -> Callable[[int], None]:
    """What changes the signs of all elements in a row of each of its matrices."""

    def turn(row: int) -> None:
        tensor[..., row, :].neg_()

    if tensor.device.type != "cpu":
        return turn
    # An operator would take several times as long as this.
    bits = tensor.view(_WHOLE[tensor.element_size()]).numpy()
    sign = bits.dtype.type(_sign(tensor))

    def turn_bits(row: int) -> None:
        bits[..., row, :] ^= sign

    return turn_bits


def _flipping(contents: Tensor) -> Callable[[int], None]:
    """What changes the sign of an element."""

    def flip(place: int) -> None:
        contents[place : place + 1].neg_()

    if contents.device.type != "cpu":
        return flip
    bits, sign = contents.view(_WHOLE[contents.element_size()]).numpy().data, _sign(contents)

    def flip_bit(place: int) -> None:
        bits[place] ^= sign

    return flip_bit


def _sign(tensor: Tensor) -> int:
    """The bit that holds the sign, as a number of the same width."""
    return -int(2 ** (8 * tensor.element_size() - 1))
