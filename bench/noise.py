"""Judges what disturbed a visit: samples that spread or drift, other processes, the pace."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.counters import Usage
from bench.records import CLOCK_LOWERED

LARGEST_SPREAD = 0.10
LARGEST_RANGE = 0.25
LARGEST_SAMPLE_DRIFT = 0.08
FEW_SAMPLES = 4
SAMPLES_FOR_DRIFT = 9
SWITCHES_PER_SECOND = 200.0
SHORTEST_JUDGED_S = 0.01
WAITING_SHARE = 0.05
OTHER_CORES = 0.25
STOLEN_CORES = 0.05
# The machine's counters advance by ticks of 10 ms on every core.
TICKS_S = 0.06
# So large a part of the samples has to be undisturbed: one of many may be so by luck.
UNDISTURBED_PART = 1 / 3


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of one visit besides its time.

    `samples_s` are those that count, of so many `taken`; so many of these were `undisturbed`, all
    if it is None. `off_pace` says by how much the canary was slower than usual (below 0: quicker),
    None if it was at the usual pace; `throttling` are reasons, in words, for which a GPU lowered
    its clock; `spare_cores` may be busy with other work without taking any from this.
    """

    samples_s: Sequence[float]
    usage: Usage
    undisturbed: int | None = None
    taken: int = 0
    off_pace: float | None = None
    throttling: Sequence[str] = ()
    spare_cores: float = 0.0


def reasons(evidence: Evidence) -> tuple[str, ...]:
    """Why a visit is noisy, in words; nothing if it is not."""
    found = [*_of_samples(evidence.samples_s), *_of_usage(evidence.usage, evidence.spare_cores)]
    if evidence.undisturbed == 0:
        found.append(f"no undisturbed sample{_pace(evidence.off_pace)}")
    elif evidence.undisturbed is not None and too_few(evidence.undisturbed, evidence.taken):
        found.append("few samples undisturbed")
    found += [f"{CLOCK_LOWERED}: {one}" for one in evidence.throttling]
    return tuple(found)


def too_few(undisturbed: int, taken: int) -> bool:
    """Whether so few of the samples were undisturbed that it may be luck."""
    return undisturbed < UNDISTURBED_PART * taken


def _pace(off: float | None) -> str:
    return (
        "" if off is None else f", the canary {abs(off):.0%} {'slower' if off >= 0 else 'quicker'}"
    )


def _of_samples(samples_s: Sequence[float]) -> list[str]:
    found = []
    spread = _spread(samples_s)
    if spread > (LARGEST_SPREAD if len(samples_s) >= FEW_SAMPLES else LARGEST_RANGE):
        found.append(f"samples spread by {spread:.0%}")
    drift = _drift(samples_s)
    if abs(drift) > LARGEST_SAMPLE_DRIFT:
        found.append(f"samples drift by {drift:+.0%}")
    return found


def _of_usage(usage: Usage, spare_cores: float) -> list[str]:
    if usage.wall_s <= SHORTEST_JUDGED_S:
        return []
    found = []
    if usage.involuntary_switches is not None:
        rate = usage.involuntary_switches / usage.wall_s
        if rate > SWITCHES_PER_SECOND:
            found.append(f"preempted {rate:.0f} times a second")
    waiting = usage.waiting_share
    if waiting is not None and waiting > WAITING_SHARE:
        found.append(f"waited {waiting:.0%} of the time for a core")
    for cores, limit, words in (
        (usage.other_load, OTHER_CORES + spare_cores, "other processes used {:.1f} cores"),
        (usage.stolen_cores, STOLEN_CORES, "the host took {:.1f} cores away"),
    ):
        if cores is not None and (cores - limit) * usage.wall_s > TICKS_S:
            found.append(words.format(cores))
    return found


def _spread(samples_s: Sequence[float]) -> float:
    """Interquartile range over median; of few samples, whose quartiles say little, the range."""
    if len(samples_s) < 2:
        return 0.0
    middle = statistics.median(samples_s)
    if middle <= 0:
        return 0.0
    if len(samples_s) < FEW_SAMPLES:
        return (max(samples_s) - min(samples_s)) / middle
    quartiles = statistics.quantiles(samples_s, n=4)
    return (quartiles[2] - quartiles[0]) / middle


def _drift(samples_s: Sequence[float]) -> float:
    """By how much the last third of the samples takes longer than the first; 0 for few."""
    if len(samples_s) < SAMPLES_FOR_DRIFT:
        return 0.0
    third = len(samples_s) // 3
    first = statistics.median(samples_s[:third])
    return statistics.median(samples_s[-third:]) / first - 1.0 if first > 0 else 0.0
