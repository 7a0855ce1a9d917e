"""How far is it from the first input to the last output, in layers and in operators?

The maximum path length of Vaswani et al. 2017, Table 1: layers of one kind are stacked until the
last output depends on the first input, which shows as a gradient that is not exactly 0. The path is
the shortest one on which this gradient flows. Its length is counted in operators, those inside a
layer among them: so a recurrent layer, in which one layer is enough, is as long as its sequence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.autograd.graph import Node

from bench.counting.traffic import Schema

Layer = Callable[[Tensor], Tensor]
"""Maps x (batch, seq_len, d_model) to the same shape."""

UPSTREAM = 2.0**900
"""The gradient that goes in: the longest paths then have most of float64's range before them."""
BITS = (32, 16, 8, 4, 2, 1)
"""Each operator divides the gradient by two to so many; fewer where the gradient would vanish."""
NEAR_WHOLE = 0.1


class PathError(ArithmeticError):
    """A path whose length cannot be told."""


@dataclass(frozen=True, kw_only=True)
class Path:
    """The shortest path from the first input to the last output of a stack of equal layers."""

    seq_len: int
    layers: int
    operators: int


def shortest_path(layers: Callable[[int], Sequence[Layer]], x: Tensor) -> Path:
    """The path in the smallest stack that has one; `layers` gives a stack of that many layers.

    x (batch, seq_len, d_model) in float64. Nothing must cancel: positive weights and inputs.

    Raises:
        PathError: as many layers as positions are not enough, or the length cannot be told.

    """
    seq_len = x.shape[1]
    too_few, enough = 0, 1
    while not _depends(layers(enough), x):
        if enough >= seq_len:
            raise PathError(f"{enough} layers do not connect {seq_len} positions")
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _depends(layers(middle), x):
            enough = middle
        else:
            too_few = middle
    return Path(seq_len=seq_len, layers=enough, operators=_length(layers(enough), x))


def _depends(layers: Sequence[Layer], x: Tensor) -> bool:
    leaf, output = _forward(layers, x)
    return bool(_gradient(leaf, output).any())


def _length(layers: Sequence[Layer], x: Tensor) -> int:
    """Operators on the shortest path.

    Each operator multiplies the gradient by t. What arrives is a polynomial in t with a term for
    every path; towards t = 0 it goes as t to the length of the shortest one.
    """
    leaf, output = _forward(layers, x)
    t = 1.0

    def scaled(inputs: tuple[Tensor | None, ...], _: object) -> tuple[Tensor | None, ...]:
        return tuple(None if one is None else one * t for one in inputs)

    assert output.grad_fn is not None
    for node in _nodes(output.grad_fn):
        if not _is_view(node.name()):
            node.register_hook(scaled)
    for bits in BITS:
        arrived = []
        for t in (2.0**-bits, 2.0 ** -(bits + 1)):  # noqa: B007  # the hooks read it
            arrived.append(float(_gradient(leaf, output).abs().max()))
        if arrived[1] < torch.finfo(torch.float64).tiny:
            continue
        length = math.log2(arrived[0] / arrived[1])
        if abs(length - round(length)) < NEAR_WHOLE:
            return round(length)
    raise PathError(f"the path through {len(layers)} layers has no length that can be told")


def _forward(layers: Sequence[Layer], x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.detach().clone().requires_grad_()
    output: Tensor = leaf
    with torch.enable_grad():
        for layer in layers:
            output = layer(output)
    return leaf, output


def _gradient(leaf: Tensor, output: Tensor) -> Tensor:
    """That of the last output by the first input: (batch, d_model)."""
    upstream = torch.zeros_like(output)
    upstream[:, -1] = UPSTREAM
    (gradient,) = torch.autograd.grad(output, leaf, upstream, retain_graph=True)
    return gradient[:, 0]


def _nodes(last: Node) -> Iterator[Node]:
    """Every operator that the gradient may go through."""
    seen, pending = {last}, [last]
    while pending:
        node = pending.pop()
        yield node
        for before, _ in node.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                pending.append(before)


@cache
def _is_view(node: str) -> bool:
    """Whether the node of this name, such as `TransposeBackward0`, belongs to a view."""
    operator = re.sub(r"(?<!^)(?=[A-Z])", "_", node.partition("Backward")[0]).lower()
    if operator == "unsafe_view":
        return True
    packet = getattr(torch.ops.aten, operator, None)
    if packet is None:
        return False
    overload = getattr(packet, packet.overloads()[0])
    return Schema.of(overload).is_view
