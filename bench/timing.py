"""How one visit reads the clock: calibrated loops, warm-up, and a stopping rule.

Everything that touches time or a device comes in from outside, so that tests inject it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.noise import Usage, read_usage

# A reading this long makes the clock's resolution and the loop's own cost (some 50 ns each) less
# than 0.1 % of it.
SHORTEST_READING_S = 1e-3
WARM_UP_AGREEMENT = 0.05
LONGEST_WARM_UP_CALLS = 50
LONGEST_WARM_UP_S = 1.0
FEWEST_SETTLING_CALLS = 6
SETTLED_FAULTS = 256  # of 4 KiB pages: 1 MiB
L2_FLUSH_BYTES = 256 * 2**20

Call = Callable[[], object]


class Stopwatch(Protocol):
    """Seconds that `calls` calls take, the device synchronised before and after."""

    def measure(self, call: Call, calls: int) -> float:
        """Run `call` that many times and return the seconds of all of them together."""
        ...

    @property
    def loops(self) -> bool:
        """Whether several calls may share one reading."""
        ...


class CpuStopwatch:
    """The monotonic clock around a loop of calls."""

    loops = True

    def measure(self, call: Call, calls: int) -> float:
        """Seconds of `calls` calls."""
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - start


class CudaStopwatch:
    """Events on the current stream, the L2 cache overwritten before every call.

    `cuda` is `torch.cuda`, or what stands in for it; `flush` overwrites the cache.
    """

    loops = False

    def __init__(self, device: str, cuda: Any, flush: Call) -> None:
        self._device = device
        self._cuda = cuda
        self._flush = flush

    @classmethod
    def on(cls, device: str) -> CudaStopwatch:
        """The stopwatch of a device that torch sees."""
        import torch

        buffer = torch.empty(L2_FLUSH_BYTES, dtype=torch.int8, device=device)
        return cls(device, torch.cuda, buffer.zero_)

    def measure(self, call: Call, calls: int) -> float:
        """Seconds of `calls` calls, each between its own pair of events."""
        cuda = self._cuda
        total_ms = 0.0
        for _ in range(calls):
            self._flush()
            start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
            cuda.synchronize(self._device)
            start.record()
            call()
            end.record()
            cuda.synchronize(self._device)
            total_ms += start.elapsed_time(end)
        return total_ms / 1e3


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a visit may stop: `min_samples` always; then precision reached or `visit_s` spent."""

    visit_s: float = 0.2
    min_samples: int = 3
    max_samples: int = 1000
    precision: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one visit read. All values are per call; `usage` sums over all timed calls."""

    samples_s: tuple[float, ...]
    calls: int
    cpu_time_s: float | None
    minor_faults: float | None
    usage: Usage = field(repr=False)

    @property
    def time_s(self) -> float:
        """Median seconds per call."""
        return statistics.median(self.samples_s)


def sample(
    call: Call,
    stopwatch: Stopwatch,
    budget: Budget,
    *,
    usage: Callable[[], Usage] = read_usage,
) -> Reading:
    """Warm up, then read until the budget's rule is met."""
    once = warm_up(call, stopwatch, usage=usage)
    calls = max(1, round(SHORTEST_READING_S / once)) if stopwatch.loops and once > 0 else 1
    before = usage()
    samples: list[float] = []
    spent = 0.0
    while len(samples) < budget.max_samples:
        seconds = stopwatch.measure(call, calls)
        spent += seconds
        samples.append(seconds / calls)
        if len(samples) >= budget.min_samples and (
            spent >= budget.visit_s or half_width(samples) <= budget.precision
        ):
            break
    used = usage().since(before)
    total = calls * len(samples)
    return Reading(
        samples_s=tuple(samples),
        calls=calls,
        cpu_time_s=None if used.cpu_time_s is None else used.cpu_time_s / total,
        minor_faults=None if used.minor_faults is None else used.minor_faults / total,
        usage=used,
    )


def warm_up(call: Call, stopwatch: Stopwatch, *, usage: Callable[[], Usage] = read_usage) -> float:
    """Call until two readings in a row agree within 5 % and memory has settled; the last reading.

    Timing the first calls would include compilation, cold caches and the page faults of memory
    that is touched for the first time. An allocator that gives its memory back faults for ever;
    after FEWEST_SETTLING_CALLS that is taken for its steady state.
    """
    last = 0.0
    spent = 0.0
    for number in range(LONGEST_WARM_UP_CALLS):
        before = usage()
        seconds = stopwatch.measure(call, 1)
        faults = usage().since(before).minor_faults or 0
        spent += seconds
        settled = faults <= SETTLED_FAULTS or number >= FEWEST_SETTLING_CALLS
        if settled and number and abs(seconds - last) <= WARM_UP_AGREEMENT * last:
            return seconds
        last = seconds
        if spent > LONGEST_WARM_UP_S and number >= FEWEST_SETTLING_CALLS:
            break
    return last


def half_width(samples: Sequence[float]) -> float:
    """Half the approximate 95 % interval of the median, relative to it, from order statistics.

    The interval runs between the ranks n/2 ± 0.98·√n (binomial(n, 1/2), normal approximation).
    Infinite for fewer than six samples, which cannot give 95 %.
    """
    n = len(samples)
    if n < 6:
        return float("inf")
    ordered = sorted(samples)
    reach = 0.98 * n**0.5
    low = max(0, int(n / 2 - reach))
    high = min(n - 1, int(n / 2 + reach))
    return (ordered[high] - ordered[low]) / 2 / statistics.median(ordered)
