"""Random inputs of a case: seeded, the same for every implementation, never zeros."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from implementations.case import Case
from implementations.interface import Layout

KEPT_FRACTION = 0.8


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a call of one case takes.

    query (batch, num_heads, seq_len, head_dim), key (…, key_len, head_dim), value (…, key_len,
    value_dim), grad_output (…, seq_len, value_dim), attn_mask (seq_len, key_len) or None. All that
    a caller prepares once is prepared here, outside the timed region.
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

    def draw(rows: int, columns: int) -> Tensor:
        shape = (case.batch, case.num_heads, rows, columns)
        drawn = torch.randn(shape, **drawing).to(dtype)
        return drawn.transpose(1, 2).contiguous().transpose(1, 2) if layout == "bshd" else drawn

    query = draw(case.seq_len, case.head_dim)
    key = draw(case.key_len, case.head_dim)
    value = draw(case.key_len, case.value_dim)
    grad_output = draw(case.seq_len, case.value_dim)
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
