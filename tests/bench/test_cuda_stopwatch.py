"""The GPU's stopwatch with a stand-in for torch.cuda: no GPU is needed to see what it does."""

from __future__ import annotations

import pytest

from bench.timing import Budget, CudaStopwatch, sample


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.at_ms = 0.0

    def record(self) -> None:
        self._cuda.log.append("record")
        self.at_ms = self._cuda.now_ms

    def elapsed_time(self, other: FakeEvent) -> float:
        return other.at_ms - self.at_ms


class FakeCuda:
    """A clock that only the kernel and the flush move."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.log: list[str] = []

    def Event(self, *, enable_timing: bool) -> FakeEvent:  # noqa: N802  # as in torch.cuda
        assert enable_timing
        return FakeEvent(self)

    def synchronize(self, device: str) -> None:
        self.log.append(f"synchronize {device}")

    def kernel(self) -> None:
        self.log.append("kernel")
        self.now_ms += 3.0

    def flush(self) -> None:
        self.log.append("flush")
        self.now_ms += 100.0


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


def test_each_call_is_timed_between_events_after_a_flush_that_is_not_counted(
    cuda: FakeCuda,
) -> None:
    watch = CudaStopwatch("cuda:1", cuda, cuda.flush)
    assert watch.measure(cuda.kernel, 2) == pytest.approx(2 * 3e-3)
    one = ["flush", "synchronize cuda:1", "record", "kernel", "record", "synchronize cuda:1"]
    assert cuda.log == one * 2


def test_calls_on_a_gpu_do_not_share_a_reading(cuda: FakeCuda) -> None:
    watch = CudaStopwatch("cuda", cuda, cuda.flush)
    reading = sample(cuda.kernel, watch, Budget(visit_s=1.0, min_samples=6))
    assert reading.calls == 1
    assert reading.time_s == pytest.approx(3e-3)
