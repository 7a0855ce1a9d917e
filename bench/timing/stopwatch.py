"""What reads the clock, and what reading it costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, repeat
from typing import Protocol

Call = Callable[[], object]


class Stopwatch(Protocol):
    """Seconds that `calls` calls take, the device synchronised before and after."""

    def measure(self, call: Call, calls: int) -> float:
        """Run `call` that many times and return the seconds of all of them together."""
        ...


@dataclass(frozen=True, kw_only=True)
class HarnessCosts:
    """What reading the clock and looping cost by themselves, in seconds.

    `clock_resolution_s` is the least difference of two reads of the clock, `clock_cost_s` what a
    read takes, `loop_cost_s` one turn of the loop around a function that does nothing. The last
    two are taken off every reading.
    """

    clock_resolution_s: float
    clock_cost_s: float
    loop_cost_s: float


def _nothing() -> None:
    pass


def calibrate(clock: Callable[[], float], *, reads: int = 1000, repeats: int = 30) -> HarnessCosts:
    """Measure the harness with its own clock; of many readings the quickest, the undisturbed."""
    times = [clock() for _ in range(reads)]
    steps = [later - earlier for earlier, later in pairwise(times)]
    resolution = min((step for step in steps if step > 0), default=0.0)
    clock_cost = statistics.median(steps)
    loops = []
    for _ in range(repeats):
        start = clock()
        for _ in repeat(None, reads):
            _nothing()
        loops.append((clock() - start - clock_cost) / reads)
    return HarnessCosts(
        clock_resolution_s=resolution,
        clock_cost_s=max(0.0, clock_cost),
        loop_cost_s=max(0.0, min(loops)),
    )


@cache
def harness_costs() -> HarnessCosts:
    """The costs of this process's clock and loop, measured once."""
    return calibrate(time.perf_counter)


class CpuStopwatch:
    """The monotonic clock around a loop of calls, less what clock and loop cost by themselves."""

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        costs: HarnessCosts | None = None,
    ) -> None:
        self._clock = clock
        self._costs = costs or harness_costs()

    def measure(self, call: Call, calls: int) -> float:
        """Seconds of `calls` calls, beyond those of as many empty ones."""
        clock = self._clock
        start = clock()
        for _ in repeat(None, calls):
            call()
        elapsed = clock() - start
        return max(0.0, elapsed - self._costs.clock_cost_s - calls * self._costs.loop_cost_s)
