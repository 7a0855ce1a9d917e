"""Random inputs of a case: the same for every implementation, and never zeros."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from implementations.case import Case
from implementations.interface import Implementation
from implementations.naming import Layout

KEPT_FRACTION = 0.8


class CallInputs(Protocol):
    """What a call takes and is differentiated by, whatever the kind of its implementation.

    `grad_output` has the shape of the output, `attn_mask` is (seq_len, key_len) or None.
    """

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """What the call takes by position, in order, by name."""
        ...

    @property
    def turned(self) -> str:
        """Which of `tensors` has rows that change their sign between two calls."""
        ...

    @property
    def heavy(self) -> float:
        """How many times as long as the others a few rows of it are."""
        ...

    @property
    def grad_output(self) -> Tensor:
        """The upstream gradient."""
        ...

    @property
    def attn_mask(self) -> Tensor | None:
        """The mask."""
        ...


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a call of a core takes in one case.

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

    # Many rows of queries attend to little else than heavy keys, whatever the number of keys.
    turned: ClassVar[str] = "key"
    heavy: ClassVar[float] = 8.0

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Query, key and value."""
        return {"query": self.query, "key": self.key, "value": self.value}


@dataclass(frozen=True, kw_only=True)
class LayerInputs:
    """What a call of a layer takes in one case; its parameters belong to the module.

    x (batch, seq_len, d_model), memory (batch, key_len, d_model) or None, grad_output of the shape
    of x, attn_mask (seq_len, key_len) or None.
    """

    x: Tensor
    memory: Tensor | None
    grad_output: Tensor
    attn_mask: Tensor | None

    turned: ClassVar[str] = "x"
    heavy: ClassVar[float] = 1.0

    @property
    def tensors(self) -> dict[str, Tensor]:
        """x, and the memory where the layer needs one."""
        return {"x": self.x} if self.memory is None else {"x": self.x, "memory": self.memory}


def inputs_of(implementation: Implementation, case: Case, *, seed: int = 0) -> CallInputs:
    """The inputs of a call of the implementation; those of one kind and layout are the same."""
    if implementation.kind == "core":
        return make_inputs(case, seed=seed, layout=implementation.layout)
    return make_layer_inputs(case, seed=seed, needs_memory=implementation.needs_memory)


def make_inputs(case: Case, *, seed: int = 0, layout: Layout = "bhsd") -> Inputs:
    """Standard normal inputs of a core, drawn in float32 where they are needed and then rounded.

    With layout `bshd` they lie in memory as (batch, rows, heads, features).
    """
    normal, mask = _drawing(case, seed)

    def draw(heads: int, rows: int, columns: int) -> Tensor:
        drawn = normal(case.batch, heads, rows, columns)
        return drawn.transpose(1, 2).contiguous().transpose(1, 2) if layout == "bshd" else drawn

    return Inputs(
        query=draw(case.num_heads, case.seq_len, case.head_dim),
        key=draw(case.kv_heads, case.key_len, case.head_dim),
        value=draw(case.kv_heads, case.key_len, case.value_dim),
        grad_output=draw(case.num_heads, case.seq_len, case.value_dim),
        attn_mask=mask(),
    )


def make_layer_inputs(case: Case, *, seed: int = 0, needs_memory: bool = False) -> LayerInputs:
    """Standard normal inputs of a layer, drawn as those of a core are."""
    normal, mask = _drawing(case, seed)
    return LayerInputs(
        x=normal(case.batch, case.seq_len, case.d_model),
        memory=normal(case.batch, case.key_len, case.d_model) if needs_memory else None,
        grad_output=normal(case.batch, case.seq_len, case.d_model),
        attn_mask=mask(),
    )


def _drawing(case: Case, seed: int) -> tuple[Callable[..., Tensor], Callable[[], Tensor | None]]:
    """What draws a tensor of a shape, and what draws the mask: from one sequence of numbers."""
    drawing: dict[str, Any] = {"dtype": torch.float32, "device": case.device}
    if case.device != "meta":  # which has shapes and no numbers
        sizes = (case.batch, case.num_heads, case.seq_len, case.key_len)
        own_seed = zlib.crc32(f"{seed}/{(*sizes, case.head_dim, case.value_dim)}".encode())
        drawing["generator"] = torch.Generator(case.device).manual_seed(own_seed)
    dtype: torch.dtype = getattr(torch, case.dtype)
    pairs = (case.seq_len, case.key_len)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, **drawing).to(dtype)

    def mask() -> Tensor | None:
        if case.mask == "boolean":
            return torch.rand(pairs, **drawing) < KEPT_FRACTION
        return normal(*pairs) if case.mask == "float" else None

    return normal, mask


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
