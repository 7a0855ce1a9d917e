"""The GPU's stopwatch and its graphs, with a stand-in for torch.cuda that keeps two times.

The processor hands work over, the GPU begins it when it is free, and a synchronisation lets the
processor wait. Capturing fails as it does in torch, which then forgets to give the stream back.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from bench.machine.nvml import Unavailable
from bench.process.answers import POISONED
from bench.timing.cuda import (
    SMALLEST_FLUSH_BYTES,
    Captured,
    CudaStopwatch,
    capture,
    flush_bytes,
    gpu_harness_costs,
)

LAUNCH_S, RECORD_S, REPLAY_S, CREATE_S = 7e-6, 1e-6, 11e-6, 53e-6
KERNEL_S, FLUSH_S = 3e-6, 97e-6


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.at_s: float | None = None

    def record(self) -> None:
        self.cuda.cpu_s += RECORD_S if self.at_s is not None else CREATE_S
        self.at_s = self.cuda.put(0.0)

    def elapsed_time(self, end_event: FakeEvent) -> float:
        assert end_event.at_s <= self.cuda.cpu_s, "the GPU has not come to this event"
        return (end_event.at_s - self.at_s) * 1e3


class FakeStream:
    def __init__(self) -> None:
        self.waited_for: list[FakeStream] = []

    def wait_stream(self, stream: FakeStream) -> None:
        self.waited_for.append(stream)


class FakeGraph:
    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.kernels: list[tuple[float, Callable[[], object]]] = []
        self.is_reset = False

    def replay(self) -> None:
        assert not self.is_reset
        self.cuda.cpu_s += REPLAY_S
        for work_s, write in self.kernels:
            self.cuda.put(work_s)
            write()

    def reset(self) -> None:
        self.is_reset = True


class FakeCuda:
    def __init__(self) -> None:
        self.cpu_s = self.gpu_free_s = 0.0
        self.devices = ["cuda:0"]
        self.used_devices: set[str] = set()
        self.emptied: list[str] = []
        self.default = self.current = FakeStream()
        self.graphs: list[FakeGraph] = []
        self.streams: list[FakeStream] = []
        self.capturing: FakeGraph | None = None
        self.invalidated = self.lost = False
        self.warmed: dict[int, int] = {}

    # What torch.cuda has.
    def Event(self, *, enable_timing: bool) -> FakeEvent:  # noqa: N802  # as in torch.cuda
        assert enable_timing
        return FakeEvent(self)

    def Stream(self) -> FakeStream:  # noqa: N802
        self.streams.append(FakeStream())
        return self.streams[-1]

    def CUDAGraph(self) -> FakeGraph:  # noqa: N802
        self.graphs.append(FakeGraph(self))
        return self.graphs[-1]

    @contextlib.contextmanager
    def device(self, device: str) -> Iterator[None]:
        self.devices.append(device)
        yield
        self.devices.pop()

    @contextlib.contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextlib.contextmanager
    def graph(self, graph: FakeGraph, *, stream: FakeStream) -> Iterator[None]:
        self.synchronize()
        before, self.current = self.current, stream
        assert stream is not self.default, "CUDA graphs must be captured on a non-default stream"
        assert self.warmed.get(id(stream), 0) >= 3, "a library sets itself up in the capture"
        self.capturing = graph
        try:
            yield
        finally:
            self.capturing = None
            if self.invalidated:
                self.invalidated = False
                raise RuntimeError("CUDA error: operation failed due to a previous error")
            if not graph.kernels:
                warnings.warn("The CUDA Graph is empty. This usually means", stacklevel=1)
            self.current = before

    def current_stream(self) -> FakeStream:
        return self.current

    def synchronize(self) -> None:
        if self.lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if self.capturing is not None:
            self.invalidated = True
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
        self.cpu_s = max(self.cpu_s, self.gpu_free_s)

    def empty_cache(self) -> None:
        self.synchronize()
        self.emptied.append(self.devices[-1])

    # What runs on it.
    def put(self, work_s: float) -> float:
        assert self.capturing is None
        self.used_devices.add(self.devices[-1])
        self.gpu_free_s = max(self.gpu_free_s, self.cpu_s) + work_s
        return self.gpu_free_s

    def launch(self, work_s: float, write: Callable[[], object] = lambda: None) -> None:
        self.cpu_s += LAUNCH_S
        if self.capturing is not None:
            self.capturing.kernels.append((work_s, write))
            return
        self.warmed[id(self.current)] = self.warmed.get(id(self.current), 0) + 1
        self.put(work_s)
        write()

    def flush(self) -> None:
        self.launch(FLUSH_S)


def forward(cuda: FakeCuda, kernels: int) -> Callable[[], list[Tensor]]:
    """A call of several kernels, the last of which writes the output."""

    def call() -> list[Tensor]:
        output = torch.empty(5)
        for _ in range(kernels - 1):
            cuda.launch(KERNEL_S)
        cuda.launch(KERNEL_S, lambda: output.fill_(1.0))
        return [output]

    return call


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


def stopwatch(cuda: FakeCuda, *, queued: bool = False) -> CudaStopwatch:
    return CudaStopwatch("cuda:1", cuda, cuda.flush, queued=queued)


def refusal(cuda: FakeCuda, call: Callable[[], list[Tensor]]) -> str:
    """Why the call cannot be captured, and the proof that what comes later still can be."""
    found = capture(call, "cuda:1", cuda=cuda)
    assert isinstance(found, Unavailable)
    assert "\n" not in found.reason
    assert cuda.current is cuda.default
    assert cuda.graphs[-1].is_reset
    assert cuda.devices == ["cuda:0"]
    assert isinstance(capture(forward(cuda, 2), "cuda:1", cuda=cuda), Captured)
    return found.reason


def test_as_called_a_short_kernel_takes_as_long_as_its_launch_and_no_flush(cuda):
    watch = stopwatch(cuda)
    once = LAUNCH_S + KERNEL_S
    assert watch.measure(forward(cuda, 1), 1) == pytest.approx(once)
    assert watch.measure(forward(cuda, 1), 13) == pytest.approx(13 * once)
    assert watch.measure(forward(cuda, 3), 1) == pytest.approx(3 * LAUNCH_S + KERNEL_S)


def test_as_called_a_long_kernel_hides_the_launches_after_it(cuda):
    watch = stopwatch(cuda)

    def call() -> None:
        cuda.launch(10 * LAUNCH_S)
        cuda.launch(KERNEL_S)

    assert watch.measure(call, 1) == pytest.approx(11 * LAUNCH_S + KERNEL_S)


def test_queued_only_the_work_of_the_gpu_is_read(cuda):
    watch = stopwatch(cuda, queued=True)
    assert watch.measure(forward(cuda, 2), 131) == pytest.approx(131 * 2 * KERNEL_S)


def test_everything_happens_on_the_device_that_is_measured(cuda):
    for queued in (False, True):
        stopwatch(cuda, queued=queued).measure(forward(cuda, 1), 3)
    assert cuda.used_devices == {"cuda:1"}
    assert cuda.devices == ["cuda:0"]


def test_the_flush_is_twice_any_cache_and_never_small():
    assert flush_bytes(None) == flush_bytes(0) == flush_bytes(50 * 2**20) == SMALLEST_FLUSH_BYTES
    assert flush_bytes(SMALLEST_FLUSH_BYTES) == 2 * SMALLEST_FLUSH_BYTES


def test_a_replay_is_free_of_launches_and_of_nothing_else(cuda):
    found = capture(forward(cuda, 17), "cuda:1", cuda=cuda)
    assert isinstance(found, Captured)
    assert cuda.current is cuda.default

    replayed_s = stopwatch(cuda, queued=True).measure(found.replay, 3)

    assert replayed_s == pytest.approx(3 * 17 * KERNEL_S)
    assert not cuda.graphs[-1].is_reset


def test_closing_gives_the_graph_back_on_its_own_device(cuda):
    found = capture(forward(cuda, 2), "cuda:1", cuda=cuda)
    assert isinstance(found, Captured)
    cuda.emptied.clear()

    found.close()

    assert cuda.graphs[-1].is_reset
    assert cuda.emptied == ["cuda:1"]
    assert cuda.devices == ["cuda:0"]


def test_a_call_that_waits_for_the_gpu_cannot_be_captured(cuda):
    def call() -> list[Tensor]:
        cuda.launch(KERNEL_S)
        cuda.synchronize()
        return [torch.ones(3)]

    reason = refusal(cuda, call)

    assert "not permitted when stream is capturing" in reason
    assert POISONED not in reason  # which would cost the process


def test_a_call_that_raises_in_a_capture_gives_its_own_words(cuda):
    def call() -> list[Tensor]:
        cuda.launch(KERNEL_S)
        if cuda.capturing is not None:
            raise NotImplementedError("no graphs here")
        return [torch.ones(3)]

    assert "no graphs here" in refusal(cuda, call)


def test_a_call_that_launches_nothing_cannot_be_replayed(cuda):
    def call() -> list[Tensor]:
        cuda.warmed[id(cuda.current)] = 3
        return [torch.ones(3)]

    assert "launches nothing" in refusal(cuda, call)


def test_work_past_the_captured_stream_is_noticed(cuda):
    def call() -> list[Tensor]:
        cuda.launch(KERNEL_S)
        return [torch.ones(3)]  # written at once, as by a library with a stream of its own

    assert "unwritten" in refusal(cuda, call)


def test_tensors_that_the_call_hands_through_keep_their_values(cuda):
    upstream = torch.full((7,), 2.0)

    def call() -> list[Tensor]:
        return [*forward(cuda, 2)(), upstream, upstream[:3]]

    assert isinstance(capture(call, "cuda:1", cuda=cuda), Captured)
    assert upstream.tolist() == [2.0] * 7


def test_a_device_that_does_not_recover_is_no_reason_but_an_error(cuda):
    def call() -> list[Tensor]:
        cuda.launch(KERNEL_S)
        if cuda.capturing is not None:
            cuda.lost = True
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return [torch.ones(3)]

    with pytest.raises(RuntimeError, match="illegal memory access"):
        capture(call, "cuda:1", cuda=cuda)


def test_captures_share_a_stream_since_libraries_keep_memory_for_each(cuda):
    for _ in range(3):
        capture(forward(cuda, 2), "cuda:1", cuda=cuda)

    assert len(cuda.streams) == 1


def test_a_call_of_nothing_reads_as_what_lies_between_two_events(cuda):
    both = [stopwatch(cuda, queued=queued) for queued in (False, True)]

    costs = gpu_harness_costs(stopwatches=both)

    assert costs == pytest.approx({"gpu_empty_call_s": RECORD_S, "gpu_empty_replay_s": 0.0})
