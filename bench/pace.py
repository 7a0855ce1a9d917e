"""The machine's pace, told by canaries: was a sample taken while it ran as it usually does?

A core that shares its execution units with another tenant's, a clock that was lowered, a host that
wakes threads late: no counter of a virtual machine tells any of it, and each makes calls up to
twice as slow, for milliseconds or for a minute. Canaries, fixed pieces of work that take a fraction
of a millisecond, are therefore timed before and after every sample: one of a single thread; for
calls that have several threads work, one of all threads; and for calls whose workspace outgrows the
core's own cache one that reads memory, since neighbours take shared caches and memory too, and then
slow such calls only. Samples between two canaries of the usual pace are compared with each other;
the others are set aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

ONE_THREAD, ALL_THREADS, MEMORY = "one thread", "all threads", "memory"
# The slowest canary of a pace over its quickest. A neighbour on the same core makes a thread's
# canary twice as slow, more or less by what it does itself; memory is twice as slow at worst.
BANDS = {ONE_THREAD: 1.3, ALL_THREADS: 1.16, MEMORY: 1.15}
# Fewer canaries say nothing of what is usual.
FEWEST_CANARIES = 40
USUAL_SHARE = 0.2
NEWS = 0.05

Canary = tuple[float, ...]
"""Seconds of each of the canaries that a kind of work has."""

Bands = Sequence[tuple[float, float]]

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "serial": (ONE_THREAD,),
        "parallel": (ONE_THREAD, ALL_THREADS),
        "serial, beyond the cache": (ONE_THREAD, MEMORY),
        "parallel, beyond the cache": (ONE_THREAD, ALL_THREADS, MEMORY),
    }
)
"""Kinds of work, which have a pace of their own, and the canaries that tell it, in order."""

CANARY_TURNS = 1500
STREAMED_BYTES = 2**27  # more than the caches of a core's neighbourhood hold
STREAMED_AT_ONCE = 2**20


def kind_of_work(*, is_parallel: bool, beyond_cache: bool) -> str:
    """Which of the kinds it is."""
    kind = "parallel" if is_parallel else "serial"
    return f"{kind}, beyond the cache" if beyond_cache else kind


def one_thread() -> None:
    """The canary of a single thread: it counts, which a neighbour on the same core halves."""
    for _ in range(CANARY_TURNS):
        pass


class Stream:
    """The canary of memory: reads a MiB that no cache holds, the next one each time."""

    def __init__(self) -> None:
        self._numbers = np.ones(STREAMED_BYTES // 4, dtype=np.float32)
        self._at = 0

    def __call__(self) -> None:
        """Read; the largest number is looked for since that takes next to no work."""
        end = self._at + STREAMED_AT_ONCE // 4
        self._numbers[self._at : end].max()
        self._at = end if end < self._numbers.size else 0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What canaries take: for each of them the least and the most seconds."""

    bands: Bands

    def holds(self, *canaries: Canary) -> bool:
        """Whether every one of them ran at this pace."""
        return all(self.drift(one) is None for one in canaries)

    def drift(self, canary: Canary) -> float | None:
        """By how much the canary farthest off the pace is slower than its middle; None if none is.

        Below 0 it is quicker.
        """
        drifts = [
            seconds / (low_s * high_s) ** 0.5 - 1.0
            for seconds, (low_s, high_s) in zip(canary, self.bands, strict=True)
            if not low_s <= seconds <= high_s
        ]
        return max(drifts, key=abs, default=None)


class UsualPace:
    """What is usual among the canaries of a kind of work heard so far."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._heard: list[Canary] = []
        self._judged = 0
        self._pace: Pace | None = None

    def hear(self, canaries: Sequence[Canary]) -> None:
        """Learn from more of them."""
        self._heard += canaries

    def pace(self) -> Pace | None:
        """The usual pace; looked for again when there are more canaries by NEWS."""
        if len(self._heard) >= (1.0 + NEWS) * self._judged:
            self._judged = len(self._heard)
            self._pace = usual_pace(self._heard, self._kind)
        return self._pace


def usual_pace(canaries: Sequence[Canary], kind: str) -> Pace | None:
    """The quickest pace that the machine keeps for a good part of the time; None for few canaries.

    Not the best pace ever seen: a shared machine may be undisturbed for moments only, and what is
    compared has to be measured under one condition. Nor the most frequent one: disturbances come in
    kinds, and only without them is a call as quick again. The bands hold USUAL_SHARE of the
    canaries at least, or else most of them; those of all threads and of memory hold moments in
    which the single one ran at its usual pace.
    """
    if len(canaries) < FEWEST_CANARIES:
        return None
    left: npt.NDArray[np.float64] = np.asarray(canaries, dtype=np.float64)
    enough = USUAL_SHARE * len(left)
    found = []
    for column, name in enumerate(KINDS[kind]):
        low_s, high_s = _band(left[:, column], BANDS[name], enough)
        found.append((low_s, high_s))
        left = left[(left[:, column] >= low_s) & (left[:, column] <= high_s)]
    return Pace(bands=tuple(found))


def _band(seconds: npt.NDArray[np.float64], width: float, enough: float) -> tuple[float, float]:
    """The quickest band of a width that holds enough, else the densest.

    Up to a quarter of that band's quickest canaries are left out for the sake of a denser one: a
    quick pace may not be passed over for a slow one, but neither begins with its rarest moments.
    """
    ordered = np.sort(seconds)
    counts = np.searchsorted(ordered, ordered * width, side="right") - np.arange(len(ordered))
    first = int(counts.argmax())
    dense = np.flatnonzero(counts >= enough)
    if dense.size:
        quickest = int(dense[0])
        near = counts[quickest : quickest + counts[quickest] // 4 + 1]
        first = quickest + int(near.argmax())
    last = first + int(counts[first]) - 1
    slack = width * float(ordered[first]) / float(ordered[last])
    low_s = float(ordered[first]) / slack**0.5
    return low_s, low_s * width
