"""The machine's pace, told by canaries: was a sample taken while it ran as it usually does?

A core that shares its execution units with another tenant's, a clock that was lowered, a host that
wakes threads late: no counter of a virtual machine tells any of it, and each makes calls up to
twice as slow, for milliseconds or for a minute. Canaries, fixed pieces of work that take a fraction
of a millisecond, are therefore timed before and after every sample: one of a single thread and, for
calls that have several threads work, one of all threads. Samples between two canaries of the usual
pace are compared with each other; the others are set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The slowest canary of a pace over its quickest, of a single thread and of all. A neighbour on the
# same core makes a thread's canary twice as slow, more or less by what it does itself.
BANDS = (1.3, 1.16)
# Fewer canaries say nothing of what is usual.
FEWEST_CANARIES = 40
USUAL_SHARE = 0.2
NEWS = 0.05

Canary = tuple[float, ...]
"""Seconds of the canary of a single thread and, if there are more, of that of all threads."""

CANARY_TURNS = 1500


def one_thread() -> None:
    """The canary of a single thread: it counts, which a neighbour on the same core halves."""
    for _ in range(CANARY_TURNS):
        pass


Bands = Sequence[tuple[float, float]]

KINDS = ("serial", "parallel")
"""Kinds of work that have a pace of their own: that of one thread, and that of several."""


def kind_of_work(is_parallel: bool) -> str:
    """Which of the kinds it is."""
    return KINDS[is_parallel]


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
    """What is usual among the canaries heard so far."""

    def __init__(self) -> None:
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
            self._pace = usual_pace(self._heard)
        return self._pace


def usual_pace(canaries: Sequence[Canary]) -> Pace | None:
    """The quickest pace that the machine keeps for a good part of the time; None for few canaries.

    Not the best pace ever seen: a shared machine may be undisturbed for moments only, and what is
    compared has to be measured under one condition. Nor the most frequent one: disturbances come in
    kinds, and only without them is a call as quick again. The bands hold USUAL_SHARE of the
    canaries at least, or else most of them; that of all threads holds those of moments in which the
    single one ran at its usual pace.
    """
    if len(canaries) < FEWEST_CANARIES:
        return None
    left: npt.NDArray[np.float64] = np.asarray(canaries, dtype=np.float64)
    enough = USUAL_SHARE * len(left)
    found = []
    for column in range(left.shape[1]):
        low_s, high_s = _band(left[:, column], BANDS[column], enough)
        found.append((low_s, high_s))
        left = left[(left[:, column] >= low_s) & (left[:, column] <= high_s)]
    return Pace(bands=tuple(found))


def _band(seconds: npt.NDArray[np.float64], width: float, enough: float) -> tuple[float, float]:
    """The quickest band of a width that is densest around it and holds enough, else the densest."""
    ordered = np.sort(seconds)
    counts = np.searchsorted(ordered, ordered * width, side="right") - np.arange(len(ordered))
    first = int(counts.argmax())
    dense = np.flatnonzero(counts >= enough)
    if dense.size:
        near = ordered <= ordered[dense[0]] * width
        first = int(np.where(near, counts, 0).argmax())
    last = first + int(counts[first]) - 1
    slack = width * float(ordered[first]) / float(ordered[last])
    low_s = float(ordered[first]) / slack**0.5
    return low_s, low_s * width
