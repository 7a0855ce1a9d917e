"""What an operator reads and writes, by its schema: which tensors, and how many bytes of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.counting.operators import Bound, base_name, names

OVERWRITING = names("bernoulli copy exponential fill normal random uniform zero")
"""In-place operators that do not look at what was there."""

ALLOCATING = names(
    """empty empty_like empty_permuted empty_strided new_empty new_empty_strided resize set"""
)
"""They take memory and touch none of it."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What an operator's schema says of its tensors, worked out once an operator.

    `defaults` are its arguments in order with their default values. `is_view` means that it only
    returns aliases of its arguments, or looks at one of them in another way from then on,
    `is_inplace` that it changes its first one and returns it.
    """

    defaults: tuple[tuple[str, object], ...]
    written: frozenset[str]
    unread: frozenset[str]
    is_view: bool
    is_inplace: bool
    is_allocation: bool

    @classmethod
    def of(cls, operator: torch._ops.OpOverload) -> Schema:
        """The schema of an operator."""
        name, declared = base_name(operator), operator._schema
        written, unread = set(), set()
        for argument in declared.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                written.add(argument.name)
                if argument.is_out or (argument.name == "self" and name in OVERWRITING):
                    unread.add(argument.name)
        if name.startswith("new_") or name.endswith("_like"):
            unread.add("self")  # only its shape and dtype
        aliases = [one.alias_info for one in declared.returns]
        writes = [alias for alias in aliases if alias is not None and alias.is_write]
        return cls(
            defaults=tuple((one.name, one.default_value) for one in declared.arguments),
            written=frozenset(written),
            unread=frozenset(unread),
            is_view=(torch.Tag.inplace_view in operator.tags and name not in ALLOCATING)
            or (bool(aliases) and all(one is not None and not one.is_write for one in aliases)),
            is_inplace=declared.name.endswith("_")
            and written == {"self"}
            and len(writes) == len(aliases) == 1
            and name not in ALLOCATING
            and torch.Tag.inplace_view not in operator.tags,
            is_allocation=operator.namespace == "prim" or name in ALLOCATING,
        )

    def bind(self, args: Sequence[object], kwargs: Bound) -> dict[str, object]:
        """The arguments of a call by name, defaults filled in."""
        bound = dict(self.defaults)
        bound.update(zip(bound, args, strict=False))
        bound.update(kwargs)
        return bound

    def operands(self, bound: Bound) -> tuple[list[Tensor], list[Tensor]]:
        """The tensors among the arguments that are read, and those that are written."""
        read: list[Tensor] = []
        written: list[Tensor] = []
        for name, value in bound.items():
            found = list(tensors_in(value))
            # A product whose old values count nothing does not read them.
            ignored = name == "self" and bound.get("beta") == 0
            if name not in self.unread and not ignored:
                read += found
            if name in self.written:
                written += found
        return read, written


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors of an argument or a result: itself, or those in a list."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_in(one)


def touched_bytes(tensors: Sequence[Tensor]) -> int:
    """Bytes of all distinct elements: what is broadcast or given twice counts once."""
    seen = set()
    total = 0
    for tensor in tensors:
        place = (
            tensor.untyped_storage()._cdata,
            tensor.storage_offset(),
            tuple(tensor.shape),
            tensor.stride(),
        )
        if place not in seen:
            seen.add(place)
            total += distinct_elements(tensor) * tensor.element_size()
    return total


def distinct_elements(tensor: Tensor) -> int:
    """Elements in memory behind a tensor: those along a stride of 0 are one and the same."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else min(size, 1)
    # Windows that overlap share elements too; there are never more than the storage has.
    return min(elements, tensor.untyped_storage().nbytes() // tensor.element_size())
