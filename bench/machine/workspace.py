"""Peak memory of one call: what torch's allocators hand out beyond inputs and outputs.

The allocation events of torch's profiler are replayed, so that buffers inside kernels count too;
what a BLAS keeps for itself on the CPU is not seen, nor what NumPy or a library of C takes. Where
the process grows by far more than these events explain, that is told (`unexplained`). On CUDA every
block is a multiple of 512 bytes. What libraries keep for good once they have started, such as the
32 MiB of cuBLAS, is no call's workspace: one call goes before.
"""

from __future__ import annotations

import contextlib
import ctypes
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch._C._profiler import _ExtraFields_Allocation, _ProfilerEvent
from torch.profiler import ProfilerActivity, profile

from bench.machine.attention_kernel import attention_kernel
from bench.machine.linux_files import status_bytes

# A process grows in pages, libraries keep buffers, and heaps leave gaps.
RESIDENT_FACTOR = 2
RESIDENT_SLACK = 8 * 2**20
SELF = Path("/proc/self")
FORGET_THE_PEAK = "5"  # see proc(5), clear_refs

Call = Callable[[], Sequence[Tensor]]
"""A call that returns every output tensor: the output and, with a backward pass, the gradients."""


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """One event: `size` bytes at `address`, taken (positive) or given back (negative)."""

    address: int
    size: int


@dataclass(frozen=True, kw_only=True)
class CallProfile:
    """What the profiler saw of one call.

    `workspace_bytes` are the peak live bytes of the device beyond inputs and outputs; for
    `attention_kernel` see `bench.machine.attention_kernel`.
    """

    workspace_bytes: int
    attention_kernel: str | None


def workspace_bytes(call: Call, device: str) -> int:
    """Peak live bytes of the device during the call beyond inputs and outputs."""
    return profile_call(call, device).workspace_bytes


def profile_call(call: Call, device: str) -> CallProfile:
    """One call under the profiler; on a GPU another one goes before."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        call()
        torch.cuda.synchronize(device)
    with warnings.catch_warnings():
        # The profiler warns of its own start-up in a process without other activities.
        warnings.simplefilter("ignore")
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            outputs = call()
            if on_gpu:
                torch.cuda.synchronize(device)
    kept = {tensor.untyped_storage().data_ptr() for tensor in outputs}
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    events = _all_events(profiler.profiler.kineto_results.experimental_event_tree())
    return CallProfile(
        workspace_bytes=peak_beyond(_allocations(events, torch.device(device).type), kept),
        attention_kernel=attention_kernel(events),
    )


def unexplained(explained_bytes: int, grown_bytes: int | None) -> str | None:
    """Why the workspace that torch knows of is not all of it; None where that does not show."""
    if grown_bytes is None or grown_bytes <= RESIDENT_FACTOR * explained_bytes + RESIDENT_SLACK:
        return None
    return (
        f"takes memory that torch does not see: the process grew by {grown_bytes / 2**20:.3g} MiB, "
        f"torch's tensors explain {explained_bytes / 2**20:.3g} MiB"
    )


class ResidentGrowth:
    """How far the memory of this process rises above what it holds now (Linux; None elsewhere).

    The heap gives back first what it keeps for later, or it would serve the call without growing.
    """

    def __init__(self, own: Path = SELF) -> None:
        self._own = own
        self._before: int | None = None
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
            (own / "clear_refs").write_text(FORGET_THE_PEAK, encoding="ascii")
            self._before = status_bytes("VmRSS", own)

    def bytes(self) -> int | None:
        """The growth until now, at its highest."""
        peak = status_bytes("VmHWM", self._own)
        return None if peak is None or self._before is None else max(0, peak - self._before)


def peak_beyond(events: Sequence[Allocation], kept: set[int]) -> int:
    """The highest sum of live bytes over the events, the kept addresses' last tenants left out.

    An address may serve several tensors in turn; only the last one to live there is the output.
    """
    last_taken = {
        event.address: index
        for index, event in enumerate(events)
        if event.size > 0 and event.address in kept
    }
    outputs = set(last_taken.values())
    live = peak = 0
    taken: set[int] = set()
    for index, event in enumerate(events):
        if event.size > 0:
            if index in outputs:
                continue
            taken.add(event.address)
        elif event.address not in taken:
            continue  # given back, but not taken in this call
        else:
            taken.discard(event.address)
        live += event.size
        peak = max(peak, live)
    return peak


def _all_events(roots: Sequence[_ProfilerEvent]) -> list[_ProfilerEvent]:
    events, pending = [], list(roots)
    while pending:
        event = pending.pop()
        pending.extend(event.children)
        events.append(event)
    return events


def _allocations(events: Sequence[_ProfilerEvent], device_type: str) -> list[Allocation]:
    found = []
    for event in events:
        _, fields = event.typed
        if not isinstance(fields, _ExtraFields_Allocation) or not fields.ptr:
            continue
        if fields.device.type == device_type:
            found.append((event.start_time_ns, event.id, fields))
    found.sort(key=lambda item: item[:2])
    return [Allocation(address=fields.ptr, size=fields.alloc_size) for _, _, fields in found]
