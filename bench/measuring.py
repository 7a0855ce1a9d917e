"""Measures one cell inside a measuring process: prepares the call, times it, reads its memory."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from bench.inputs import Inputs, differentiate
from bench.timing import Call, CpuStopwatch, Stopwatch
from implementations.case import Case
from implementations.interface import Implementation

CANARY_SIZE = 384
CANARY_READINGS = 5


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A cell ready to be timed.

    `call` is what the stopwatch loops over: as little as possible beside the kernel itself. It has
    to run under `conditions()`. `outputs` turns what it returns into every output tensor: the
    output and, with a backward pass, the gradients.
    """

    call: Call
    outputs: Callable[[object], Sequence[Tensor]]
    is_backward: bool

    @contextlib.contextmanager
    def conditions(self) -> Iterator[None]:
        """Gradients on or off, once around all calls and not in each of them."""
        with torch.set_grad_enabled(self.is_backward):
            yield

    def run(self) -> Sequence[Tensor]:
        """One call, its output tensors."""
        with self.conditions():
            return self.outputs(self.call())


def prepare(implementation: Implementation, inputs: Inputs, case: Case) -> Prepared:
    """The call that is timed, its keywords and tensors bound beforehand."""
    tensors = (inputs.query, inputs.key, inputs.value)
    if not case.is_backward:
        call = implementation.bound(*tensors, attn_mask=inputs.attn_mask, is_causal=case.is_causal)
        return Prepared(call=call, outputs=_only, is_backward=False)
    leaves = tuple(tensor.requires_grad_() for tensor in tensors)
    forward = implementation.bound(*leaves, attn_mask=inputs.attn_mask, is_causal=case.is_causal)
    grad_output = inputs.grad_output

    def forward_backward() -> Sequence[Tensor]:
        output = forward()
        gradients = differentiate(output, leaves, grad_output)
        return (output.detach(), *(one for one in gradients if one is not None))

    return Prepared(call=forward_backward, outputs=_all, is_backward=True)


def _only(output: object) -> Sequence[Tensor]:
    assert isinstance(output, Tensor)
    return (output,)


def _all(outputs: object) -> Sequence[Tensor]:
    assert isinstance(outputs, tuple)
    return outputs


def unsound(outputs: Sequence[Tensor], case: Case) -> str | None:
    """What is wrong with the outputs at first sight: the checks have not seen every size."""
    expected = (case.batch, case.num_heads, case.seq_len, case.value_dim)
    shape = tuple(outputs[0].shape)
    if sorted(shape) != sorted(expected):  # in either layout
        return f"gave an output of {shape}, expected {expected}"
    if not all(bool(one.isfinite().all()) for one in outputs):
        return "gave values that are not finite at this size"
    return None


@cache
def stopwatch(device: str) -> Stopwatch:
    """The stopwatch of a device."""
    if device.startswith("cuda"):
        from bench.cuda_timing import CudaStopwatch

        return CudaStopwatch.on(device)
    return CpuStopwatch()


@cache
def _canary_operands(device: str) -> tuple[Tensor, Tensor, Tensor]:
    left, right, product = (torch.randn(CANARY_SIZE, CANARY_SIZE, device=device) for _ in range(3))
    return left, right, product


def canary(device: str) -> float:
    """Seconds of a fixed matmul: if it changes, the machine did."""
    left, right, product = _canary_operands(device)
    watch = stopwatch(device)
    multiply = partial(torch.mm, left, right, out=product)
    return statistics.median(watch.measure(multiply, 1) for _ in range(CANARY_READINGS))
