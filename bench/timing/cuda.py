"""Time on a GPU: a call as it is called, and its work alone, replayed from a captured graph.

Both are read by events on the stream, with the L2 cache overwritten before every call. What differs
is where the launches fall:

- **As called**, the stream is idle when the call begins, as it is for a caller who waited for the
  last result. The reading runs until the last kernel ends, so that whatever the processor does
  between two launches counts wherever the GPU waits for it.
- **Queued**, the work is handed over while the GPU still overwrites its cache: the reading is that
  of the GPU alone. This holds if handing over is quicker than the overwriting (some 60 µs or more),
  which a graph's replay, one launch, is, and a call of many kernels is not.

So a call is captured in a graph once, its replays are read on a queued stopwatch, and what
launching costs is the time as called less the replayed time.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bench.machine.nvml import Unavailable
from bench.process.answers import POISONED
from bench.timing.stopwatch import Call, Stopwatch, drop, nothing

# Large enough to last longer than handing over a graph, whatever the size of the cache.
SMALLEST_FLUSH_BYTES = 256 * 2**20
FLUSH_IN_CACHES = 2
MOST_QUEUED_CALLS = 64  # below the depth of a stream's queue, at which the processor would wait
CAPTURE_WARM_UP_CALLS = 3
LONGEST_REASON = 300
EMPTY_READINGS = 25

Result: TypeAlias = Callable[[], Sequence[Tensor]]
"""A call that returns every output tensor, as `prepare` makes them."""
Cuda: TypeAlias = Any
"""The module `torch.cuda`, or what stands in for it."""


class CudaStopwatch:
    """Events on the current stream around every call, the L2 cache overwritten before it.

    `flush` overwrites the cache. `queued` leaves the launches out of the readings; see above.
    Calls may share a reading: each is timed by itself, and their sum evens the events' steps out.
    """

    def __init__(self, device: str, cuda: Cuda, flush: Call, *, queued: bool = False) -> None:
        self._device = device
        self._cuda = cuda
        self._flush = flush
        self._queued = queued
        self._pairs: list[tuple[Any, Any]] = []

    @classmethod
    def on(cls, device: str, *, queued: bool = False) -> CudaStopwatch:
        """The stopwatch of a device that torch sees."""
        cache_bytes = torch.cuda.get_device_properties(torch.device(device)).L2_cache_size
        buffer = torch.empty(flush_bytes(cache_bytes), dtype=torch.int8, device=device)
        return cls(device, torch.cuda, buffer.zero_, queued=queued)

    def measure(
        self,
        call: Call,
        calls: int,
        *,
        between: Call = nothing,
        keep: Callable[[object], object] = drop,
    ) -> float:
        """Seconds of `calls` calls, each between its own pair of events."""
        # An event is recorded on the current stream of the current device, which need not be ours.
        with self._cuda.device(self._device):
            if self._queued:
                chunks = range(0, calls, MOST_QUEUED_CALLS)
                return math.fsum(
                    self._queued_s(call, min(MOST_QUEUED_CALLS, calls - first), between)
                    for first in chunks
                )
            seconds = [self._as_called_s(call, between, drop) for _ in range(calls - 1)]
            return math.fsum([*seconds, self._as_called_s(call, between, keep)])

    def _as_called_s(self, call: Call, between: Call, keep: Callable[[object], object]) -> float:
        ((start, end),) = self._events(1)
        between()
        self._flush()
        self._cuda.synchronize()
        start.record()
        result = call()
        end.record()
        self._cuda.synchronize()
        keep(result)
        return float(start.elapsed_time(end)) / 1e3

    def _queued_s(self, call: Call, calls: int, between: Call) -> float:
        pairs = self._events(calls)
        for start, end in pairs:
            between()
            self._flush()
            start.record()
            call()
            end.record()
        self._cuda.synchronize()
        return math.fsum(start.elapsed_time(end) for start, end in pairs) / 1e3

    def _events(self, number: int) -> Sequence[tuple[Any, Any]]:
        while len(self._pairs) < number:
            pair = (self._cuda.Event(enable_timing=True), self._cuda.Event(enable_timing=True))
            for event in pair:
                event.record()  # which makes it: not within a reading
            self._pairs.append(pair)
        return self._pairs[:number]


def gpu_harness_costs(
    device: str = "cuda", stopwatches: Sequence[Stopwatch] | None = None
) -> dict[str, float]:
    """Seconds that a call of nothing reads as: `gpu_empty_call_s`, and `gpu_empty_replay_s` queued.

    It is what the events cost and, as called, the processor between them. Nothing of it is taken
    off a reading, since part of it falls together with the launch of the work.
    """
    watches = stopwatches or [CudaStopwatch.on(device, queued=q) for q in (False, True)]
    return {
        name: statistics.median(watch.measure(nothing, 1) for _ in range(EMPTY_READINGS))
        for name, watch in zip(("gpu_empty_call_s", "gpu_empty_replay_s"), watches, strict=True)
    }


def gpu_caches(device: str = "cuda") -> dict[str, int]:
    """Bytes of the caches that a GPU's multiprocessors share."""
    return {"L2": torch.cuda.get_device_properties(torch.device(device)).L2_cache_size}


def flush_bytes(cache_bytes: int | None) -> int:
    """How much to overwrite so that nothing of the inputs is left in a cache of that size."""
    return max(SMALLEST_FLUSH_BYTES, FLUSH_IN_CACHES * (cache_bytes or 0))


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A call's work in a graph, which holds the memory that the call needs until it is closed."""

    graph: Any
    cuda: Cuda
    device: str

    def replay(self) -> None:
        """Hand the work over to the GPU."""
        self.graph.replay()

    def close(self) -> None:
        """Give the graph and its memory back."""
        with self.cuda.device(self.device):
            _give_back(self.graph, self.cuda)


def capture(call: Result, device: str, *, cuda: Cuda = None) -> Captured | Unavailable:
    """Capture one call in a graph; or why it cannot be captured.

    A replay takes what the call's work takes on the GPU, its kernels following each other without
    waiting. A call that waits for the GPU, or takes memory past torch's allocator, cannot be
    captured. The device stays usable; an error that it does not recover from is raised. torch may
    not give back the memory of a capture that failed (seen in its 2.11); what a later call takes
    beyond it is measured all the same.
    """
    cuda = cuda or torch.cuda
    with cuda.device(device):
        graph = cuda.CUDAGraph()
        reason: str | None = "the capture was broken off"
        outputs: list[Tensor] | Unavailable | None = None
        try:
            outputs = _capture(call, graph, cuda, device)
            if isinstance(outputs, Unavailable):
                reason = outputs.reason
            elif not _rewrites(outputs, graph, cuda):
                reason = "a replay leaves outputs unwritten: they are made past the captured stream"
            else:
                reason = None
        finally:
            outputs = None  # its tensors lie in the graph's memory
            if reason is not None:
                _give_back(graph, cuda)
        if reason is not None:
            return Unavailable(reason)
        return Captured(graph=graph, cuda=cuda, device=device)


def _give_back(graph: Any, cuda: Cuda) -> None:
    graph.reset()
    cuda.synchronize()
    cuda.empty_cache()


def _capture(call: Result, graph: Any, cuda: Cuda, device: str) -> list[Tensor] | Unavailable:
    """The captured call's outputs that are its own; every replay writes them again."""
    # Libraries set themselves up in the first calls, by stream, in ways that cannot be captured;
    # and a graph cannot be captured on the default stream.
    side = _side_stream(cuda, device)
    side.wait_stream(cuda.current_stream())
    problems: list[Exception] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            # The outer context gives the stream back: the inner one does not if it fails to end.
            with cuda.stream(side):
                for _ in range(CAPTURE_WARM_UP_CALLS):
                    last = call()
                cuda.synchronize()
                with cuda.graph(graph, stream=side):
                    try:
                        outputs = call()
                    except Exception as problem:
                        problems.append(problem)
                        raise
        except Exception as problem:
            # Ending a capture that went wrong raises too, and says less.
            problems.append(problem)
    cuda.synchronize()
    if problems:
        # The GPU has answered since: a supervisor must not take it for one that is lost.
        words = str(problems[0]).strip().replace(f"{POISONED}: ", "")
        words = words.partition("\n")[0][:LONGEST_REASON]
        return Unavailable(f"cannot be captured in a graph: {words or type(problems[0]).__name__}")
    if any("graph is empty" in str(one.message).lower() for one in warned):
        return Unavailable("cannot be captured in a graph: the call launches nothing on its stream")
    # What was at the same address in the call before is not the graph's, and may be an input.
    others = {tensor.untyped_storage().data_ptr() for tensor in last}
    return [one for one in outputs if one.untyped_storage().data_ptr() not in others]


@cache
def _side_stream(cuda: Cuda, device: str) -> Any:
    """One a device for all captures: libraries keep memory for every stream they worked on."""
    return cuda.Stream()


def _rewrites(outputs: Sequence[Tensor], graph: Any, cuda: Cuda) -> bool:
    """Whether a replay writes every output anew."""
    written = [one.detach() for one in outputs if one.is_floating_point()]
    for one in written:
        # The whole storage: elements may share memory, which cannot be filled in place.
        one.new_empty(0).set_(one.untyped_storage()).fill_(math.nan)
    graph.replay()
    cuda.synchronize()
    return not any(bool(one.isnan().any()) for one in written)
