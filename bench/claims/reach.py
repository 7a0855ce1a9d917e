"""Which inputs does an output depend on? Gradients tell: they are exactly 0 where it does not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.process.answers import named

ROUNDING = 1e-9
"""In float64 with numbers near 1: a larger difference is another formula, and no rounding."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in float64, the same at every call."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def reached(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Whether the output at (item, position) depends on the input at (item, position).

    x (batch, seq_len, d_model) -> booleans (batch, rows, batch, seq_len), where the layer returns
    (batch, rows, …).
    """
    leaf = x.detach().clone().requires_grad_()
    output = layer(leaf)
    upstream = normal(*output.shape)
    rows = []
    for item in range(output.shape[0]):
        for position in range(output.shape[1]):
            part = (output[item, position] * upstream[item, position]).sum()
            (gradient,) = torch.autograd.grad(
                part, leaf, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            rows.append((gradient != 0).any(-1))
    return torch.stack(rows).view(*output.shape[:2], *x.shape[:2])


def tokens_seen(seen: Tensor) -> int:
    """On how many tokens of its own item an output depends, at the fewest."""
    return int(seen.diagonal(dim1=0, dim2=2).sum(1).min())


def items_seen(seen: Tensor) -> int:
    """On how many items an output depends, at the most."""
    return int(seen.any(-1).sum(-1).max())


def refusal(call: Callable[[], object]) -> str | None:
    """What a call raises, in one line; None where it returns."""
    try:
        call()
    except Exception as problem:
        return named(problem).rstrip(".")
    return None
