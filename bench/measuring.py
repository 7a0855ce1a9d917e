"""Measures one cell inside a measuring process: prepares the call, times it, reads its memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from bench.environment import caches
from bench.inputs import Inputs, differentiate
from bench.pace import Canary, Stream, one_thread
from bench.timing import Call, CpuStopwatch, Stopwatch
from implementations.case import Case
from implementations.interface import Implementation

# What torch gives to a thread at least: of so many for each, each takes its part.
CANARY_ELEMENTS = 32768
# On a GPU a product long enough for its launch not to count.
CANARY_SIZE_CUDA = 2048
CANARY_READINGS = 2
USUAL_OWN_CACHE = 2**20
# Threads of OpenMP spin for some 10 ms before they sleep.
FALLING_ASLEEP_S = 0.02
WOKEN_S = 5e-4


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


def is_parallel(call: Call) -> bool:
    """Whether a call has other threads work for it; it is called once.

    Threads that wait for work spin for some milliseconds, which counts as work: they are asleep
    before the call, and again when their time is read.
    """
    time.sleep(FALLING_ASLEEP_S)
    before = _of_other_threads_s()
    call()
    time.sleep(FALLING_ASLEEP_S)
    return _of_other_threads_s() - before > WOKEN_S


def _of_other_threads_s() -> float:
    return time.process_time() - time.thread_time()


def canary(device: str, *, parallel: bool, beyond_cache: bool = False) -> Canary:
    """Seconds of fixed work of one thread and, if asked, of all and of memory.

    If they change, the machine did.

    Of a few readings the quickest: what lasts for microseconds disturbs no sample. One thread
    counts in Python, which a neighbour on the same core halves; all threads together compute
    exponentials, which want more of what neighbours take away than a matrix product does, in so
    short a region that threads that wake late are seen. A GPU multiplies matrices.
    """
    watch = stopwatch(device)
    works: list[Call] = [_all_of_gpu(device) if device.startswith("cuda") else one_thread]
    if parallel:
        works.append(_all_threads())
    if beyond_cache:
        works.append(_memory())
    return tuple(min(watch.measure(work, 1) for _ in range(CANARY_READINGS)) for work in works)


@cache
def _all_threads() -> Call:
    numbers = torch.rand(CANARY_ELEMENTS * torch.get_num_threads() - 1)
    return partial(torch.exp, numbers, out=torch.empty_like(numbers))


@cache
def _memory() -> Call:
    return Stream()


@cache
def own_cache_bytes() -> int:
    """The largest cache that a core has for itself; where that is not told, a usual size."""
    return (caches() or {}).get("L2", USUAL_OWN_CACHE)


@cache
def _all_of_gpu(device: str) -> Call:
    drawn = (torch.randn(CANARY_SIZE_CUDA, CANARY_SIZE_CUDA, device=device) for _ in range(3))
    left, right, product = drawn
    return partial(torch.mm, left, right, out=product)
