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


def nothing() -> None:
    """Do nothing."""


def drop(result: object) -> None:
    """Have no use for a result."""


class Stopwatch(Protocol):
    """Seconds that `calls` calls take, the device synchronised before and after."""

    def measure(
        self,
        call: Call,
        calls: int,
        *,
        between: Call = nothing,
        keep: Callable[[object], object] = drop,
    ) -> float:
        """Run `call` that many times and return the seconds of all of them together.

        `between` is run before each call, and `keep` is given what the last call returned; neither
        is in the seconds, and no result is held during a later call.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class HarnessCosts:
    """What reading the clock and looping cost by themselves, in seconds.

    `clock_resolution_s` is the least difference of two reads of the clock, `clock_cost_s` what a
    read takes, `loop_cost_s` what a call of a function that does nothing reads as. The last is
    taken off every call.
    """

    clock_resolution_s: float
    clock_cost_s: float
    loop_cost_s: float


def calibrate(clock: Callable[[], float], *, reads: int = 1000, repeats: int = 30) -> HarnessCosts:
    """Measure the harness with its own clock; of many readings the quickest, the undisturbed."""
    times = [clock() for _ in range(reads)]
    steps = [later - earlier for earlier, later in pairwise(times)]
    resolution = min((step for step in steps if step > 0), default=0.0)
    loops = [_between_reads_s(clock, nothing, reads) / reads for _ in range(repeats)]
    return HarnessCosts(
        clock_resolution_s=resolution,
        clock_cost_s=max(0.0, statistics.median(steps)),
        loop_cost_s=max(0.0, min(loops)),
    )


def _between_reads_s(
    clock: Callable[[], float],
    call: Call,
    calls: int,
    between: Call = nothing,
    keep: Callable[[object], object] = drop,
) -> float:
    """Seconds of the calls, each between two reads of the clock."""
    elapsed = 0.0
    result: object = None
    for _ in repeat(None, calls):
        result = None  # or the next call would need memory beside it
        between()
        start = clock()
        result = call()
        elapsed += clock() - start
    keep(result)
    return elapsed


@cache
def harness_costs() -> HarnessCosts:
    """The costs of this process's clock and loop, measured once."""
    return calibrate(time.perf_counter)


class CpuStopwatch:
    """The monotonic clock around every call, less what an empty call reads as."""

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, costs: HarnessCosts | None = None
    ) -> None:
        self._clock = clock
        self._costs = costs or harness_costs()

    def measure(
        self,
        call: Call,
        calls: int,
        *,
        between: Call = nothing,
        keep: Callable[[object], object] = drop,
    ) -> float:
        """Seconds of `calls` calls, beyond those of as many empty ones."""
        elapsed = _between_reads_s(self._clock, call, calls, between, keep)
        return max(0.0, elapsed - calls * self._costs.loop_cost_s)
