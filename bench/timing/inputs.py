"""Random inputs of a case: the same for every implementation, never zeros, and ever changing."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from implementations.case import Case
from implementations.interface import Layout

KEPT_FRACTION = 0.8
# How far apart the offsets are that contents are taken from: they repeat after some thousand.
OFFSETS = 2**14
# Prime, so that the signs of all elements change before any does twice.
STRIDE = 7919
# So many times as long as the others are the last key and MOST_HEAVY more: many rows of queries
# attend to little else, whatever the number of keys.
HEAVY, MOST_HEAVY = 8.0, 2
_WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a call of one case takes.

    query (batch, num_heads, seq_len, head_dim), key (batch, kv_heads, key_len, head_dim), value
    (batch, kv_heads, key_len, value_dim), grad_output (batch, num_heads, seq_len, value_dim),
    attn_mask (seq_len, key_len) or None. All that a caller prepares once is prepared here, outside
    the timed region.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    grad_output: Tensor
    attn_mask: Tensor | None


def make_inputs(case: Case, *, seed: int = 0, layout: Layout = "bhsd") -> Inputs:
    """Standard normal inputs, drawn in float32 where they are needed and then rounded.

    With layout `bshd` they lie in memory as (batch, rows, heads, features).
    """
    drawing: dict[str, Any] = {"dtype": torch.float32, "device": case.device}
    if case.device != "meta":  # which has shapes and no numbers
        sizes = (case.batch, case.num_heads, case.seq_len, case.key_len)
        own_seed = zlib.crc32(f"{seed}/{(*sizes, case.head_dim, case.value_dim)}".encode())
        drawing["generator"] = torch.Generator(case.device).manual_seed(own_seed)
    dtype: torch.dtype = getattr(torch, case.dtype)

    def draw(heads: int, rows: int, columns: int) -> Tensor:
        shape = (case.batch, heads, rows, columns)
        drawn = torch.randn(shape, **drawing).to(dtype)
        return drawn.transpose(1, 2).contiguous().transpose(1, 2) if layout == "bshd" else drawn

    query = draw(case.num_heads, case.seq_len, case.head_dim)
    key = draw(case.kv_heads, case.key_len, case.head_dim)
    value = draw(case.kv_heads, case.key_len, case.value_dim)
    grad_output = draw(case.num_heads, case.seq_len, case.value_dim)
    mask, pairs = None, (case.seq_len, case.key_len)
    if case.mask == "boolean":
        mask = torch.rand(pairs, **drawing) < KEPT_FRACTION
    elif case.mask == "float":
        mask = torch.randn(pairs, **drawing).to(dtype)
    return Inputs(query=query, key=key, value=value, grad_output=grad_output, attn_mask=mask)


def differentiate(
    output: Tensor, leaves: Sequence[Tensor], grad_output: Tensor, *, retain_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """The gradients of the leaves, which keep none; None where none arrives.

    Accumulated in the leaves, as in training: reentrant checkpoints refuse `torch.autograd.grad`.
    """
    torch.autograd.backward([output], [grad_output], retain_graph=retain_graph)
    gradients = tuple(leaf.grad for leaf in leaves)
    for leaf in leaves:
        leaf.grad = None
    return gradients


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

    Between readings all contents but the mask's are written anew, with a few keys that outweigh the
    others: what is lost of such a key shows in any precision. Between the calls of a reading one of
    them is turned round, and an element each of query and value changes its sign. All is written
    past the tensors themselves, as a caller writes who shares their memory (NumPy, DLPack): neither
    the objects, nor their addresses, nor `Tensor._version` tell of it. A kernel that keeps an
    answer gives a stale one, and is found out; one that compares all contents computes always.

    `grad_output` is a view of the upstream gradient's memory, to be written to (see
    `bench.checks.timed.sampled_rows.thin_upstream`). What comes next is left to `chance`, by
    default one that no kernel can foresee.
    """

    def __init__(self, inputs: Inputs, pool: Pool, chance: random.Random | None = None) -> None:
        self.inputs = inputs
        self.grad_output = _alias(inputs.grad_output)
        self._pool = pool
        self._chance = chance = chance or random.Random()
        tensors = (inputs.query, inputs.key, inputs.value, inputs.grad_output)
        self._contents = [_flat(one) for one in tensors]
        self._key = _alias(inputs.key)
        self._heavy: list[int] = []
        self._turn = _turning(self._key)
        flat = (self._contents[0], self._contents[2])
        self._flips = [(_flipping(one), one.numel()) for one in flat if one.numel()]
        self._place = chance.randrange(2**32)

    def rewrite(self) -> None:
        """Give query, key, value and upstream gradient other contents."""
        for place, contents in enumerate(self._contents):
            # Offsets that differ by no multiple of four: no row of one is a row of another.
            offset = 4 * self._chance.randrange(OFFSETS // 4) + place
            contents.copy_(self._pool.numbers(contents, offset))
        keys = self._key.shape[-2]
        self._heavy = [keys - 1, *self._chance.choices(range(keys), k=MOST_HEAVY)] if keys else []
        for key in set(self._heavy):
            self._key[..., key, :] *= HEAVY

    def touch(self) -> None:
        """Turn a heavy key round, and change the sign of an element each of query and value."""
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
