"""What Table 1 of Vaswani et al. 2017 states, counted: operations, rounds and paths.

    {"rows": {
      "recurrent": {
        "counted": "rnn", "kernel": null,
        "flops": {"terms": [{"coefficient": 4, "powers": {"n": 1, "d": 2}}, …],
                  "valid": "all sizes"},
        "sequential_operations": {"terms": [{"coefficient": 3, "powers": {"n": 1}}, …], …},
        "paths": [{"sizes": {"n": 8}, "layers": 1, "operators": 25}, …]}, …}}

All for one sequence, one head and a forward pass, with d = d_model. The letter r is the number of
positions that restricted attention sees, 2·window - 1, and k the size of a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from bench.counting.counter import Counter
from bench.counting.path import Layer, shortest_path
from bench.counting.polynomials import Polynomial, Powers
from bench.counting.result import Quantity
from implementations.case import Case
from implementations.catalogue import suite
from implementations.interface import Implementation, no_core
from implementations.layers.convolution import KERNEL_SIZE, dilated

WINDOWS = (32, 64, 128)
"""A count that is a straight line in the window through two of them has to go through the third."""
LENGTHS = (8, 16, 32, 64, 128)
PATH_WINDOWS = (5, 9)
"""Of the stacks whose paths are counted: short ones, so that many layers are needed."""
WIDTH = 5
"""d_model of the stacks."""
SMALL = 1e-6
"""Inputs and biases of the stacks: where a tanh is as good as a straight line."""


class MechanismError(ArithmeticError):
    """A row of the table that cannot be counted."""


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """The implementation that is counted for a row, and the stack in which its path is counted.

    A core is a layer by x -> core(x, x, x). `layer` builds the layer that has so many below it,
    where they are not all alike; `is_causal` is how layers that can look both ways are stacked.
    """

    counted: str
    kernel: int | None = None
    is_windowed: bool = False
    is_causal: bool = False
    layer: Callable[[int], nn.Module] | None = None


def _farther_apart(below: int) -> nn.Module:
    """The convolution whose taps are as far apart as the layers below it reach together."""
    return dilated(KERNEL_SIZE**below)(Case(seq_len=1, head_dim=WIDTH))


MECHANISMS: Mapping[str, Mechanism] = {
    # The fused kernel that is timed shows no operators; this is the same formula in four of them.
    "self_attention": Mechanism(counted="matmul"),
    "recurrent": Mechanism(counted="rnn"),
    # Taps on both sides that are 3 and 9 positions apart reach some positions only by way of places
    # outside the sequence; with those before a position, each is reached.
    "convolutional": Mechanism(
        counted="convolution_dilated", kernel=KERNEL_SIZE, is_causal=True, layer=_farther_apart
    ),
    "convolutional_contiguous": Mechanism(
        counted="convolution", kernel=KERNEL_SIZE, is_causal=True
    ),
    "restricted": Mechanism(counted="sliding_window", is_windowed=True),
    "linear": Mechanism(counted="linear"),
}
"""By the row of the table."""


def mechanisms(
    rows: Mapping[str, Mechanism] = MECHANISMS,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """The document that the module's docstring shows.

    `tell` is told how many mechanisms are counted, of how many.

    Raises:
        MechanismError: a count is no polynomial, or there is nothing to stack.
        PathError: a path whose length cannot be told.

    """
    counted = {}
    for done, (row, mechanism) in enumerate(rows.items()):
        tell("counting mechanisms of attention", done, len(rows))
        counted[row] = _counted(mechanism)
    return {"rows": counted}


def _counted(mechanism: Mechanism) -> dict[str, Any]:
    implementation = suite()[mechanism.counted]
    counter = Counter(implementation)
    flops, rounds = (
        _polynomial(counter, quantity, mechanism)
        for quantity in ("executed_flops", "sequential_operations")
    )
    return {
        "counted": mechanism.counted,
        "kernel": mechanism.kernel,
        "flops": flops,
        "sequential_operations": rounds,
        "paths": _paths(implementation, mechanism),
    }


def _polynomial(counter: Counter, quantity: Quantity, mechanism: Mechanism) -> dict[str, Any]:
    """The terms in n and d, and in r where there is a window, and where they hold."""
    if not mechanism.is_windowed:
        polynomial, valid = _of_one_head(counter, quantity, None)
        return {
            "terms": _plain({(*powers, 0): c for powers, c in polynomial.terms}),
            "valid": valid,
        }
    found = [_of_one_head(counter, quantity, window) for window in WINDOWS]
    first, second, third = (dict(polynomial.terms) for polynomial, _ in found)
    low, high, further = (2 * window - 1 for window in WINDOWS)
    lines: dict[Powers, Fraction] = {}
    for powers in first | second | third:
        at_low, at_high, at_further = (
            one.get(powers, Fraction(0)) for one in (first, second, third)
        )
        slope = (at_high - at_low) / (high - low)
        if at_further != at_low + slope * (further - low):
            raise MechanismError(
                f"{counter.implementation.name}: {quantity} is no straight line in r"
            )
        lines |= {(*powers, 1): slope, (*powers, 0): at_low - slope * low}
    valid = f"{found[1][1]}, at window {WINDOWS[1]}"
    return {"terms": _plain(lines), "valid": valid}


def _of_one_head(
    counter: Counter, quantity: Quantity, window: int | None
) -> tuple[Polynomial, str]:
    """The polynomial for a batch of one and one head, and where it holds."""
    formula = counter.search(Case(seq_len=1, window=window)).formula(quantity)
    if formula.fitted is None or 1 not in formula.fitted.lattice.h:
        reason = formula.reason or "its polynomial does not hold for one head"
        raise MechanismError(f"{counter.implementation.name}: {quantity}: {reason}")
    terms: dict[Powers, Fraction] = {}
    for (_, _, n, head_dim), coefficient in formula.fitted.polynomial.terms:
        in_n_and_d = 0, 0, n, head_dim
        terms[in_n_and_d] = terms.get(in_n_and_d, Fraction(0)) + coefficient
    return Polynomial.of(terms), str(formula.fitted.lattice)


def _plain(terms: Mapping[Powers, Fraction]) -> list[dict[str, object]]:
    """For programs: the fastest growing term first, powers by letter, r the last of them."""
    ordered = sorted(
        ((powers, c) for powers, c in terms.items() if c),
        key=lambda term: (sum(term[0]), term[0]),
        reverse=True,
    )
    return [
        {
            "coefficient": int(c) if c.denominator == 1 else str(c),
            "powers": {name: p for name, p in zip("bhndr", powers, strict=True) if p},
        }
        for powers, c in ordered
    ]


def _paths(implementation: Implementation, mechanism: Mechanism) -> list[dict[str, Any]]:
    """The shortest path at each length, and with each window."""
    found = []
    for window in PATH_WINDOWS if mechanism.is_windowed else (None,):
        for seq_len in LENGTHS:
            path = shortest_path(
                _stacks(implementation, mechanism, window), _small(1, seq_len, WIDTH)
            )
            sizes = {"n": seq_len}
            sizes |= {} if window is None else {"r": 2 * window - 1}
            sizes |= {} if mechanism.kernel is None else {"k": mechanism.kernel}
            found.append({"sizes": sizes, "layers": path.layers, "operators": path.operators})
    return found


def _stacks(
    implementation: Implementation, mechanism: Mechanism, window: int | None
) -> Callable[[int], Sequence[Layer]]:
    """What builds a stack of so many layers."""
    if implementation.build is None:
        core = implementation.fn
        if core is no_core:
            raise MechanismError(f"{implementation.name}: neither a core nor a layer to stack")

        def attend(x: Tensor) -> Tensor:
            heads = x[:, None]  # one head, as wide as the model
            options = {} if window is None else {"window": window}
            return core(heads, heads, heads, **options)[:, 0]

        return lambda count: [attend] * count
    build = implementation.build
    one_for_all = _positive(build(Case(seq_len=1, head_dim=WIDTH)))

    def layer(below: int) -> Layer:
        module = one_for_all if mechanism.layer is None else _positive(mechanism.layer(below))
        return lambda x: module(x, is_causal=True) if mechanism.is_causal else module(x)

    return lambda count: [layer(below) for below in range(count)]


def _positive(module: nn.Module) -> nn.Module:
    """The module in float64, with weights that only add up, the sum of each row near 1."""
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.copy_(
                    (0.5 + _small(*parameter.shape) / SMALL) / (2 * parameter[0].numel())
                )
            else:
                parameter.copy_(_small(*parameter.shape))
    return module


def _small(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return SMALL * (1.0 + torch.rand(shape, generator=generator, dtype=torch.float64))
