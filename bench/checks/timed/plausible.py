"""What no honest reading can be, whatever the outputs are: it did not do the work, or not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records import Record

# A ceiling that was disturbed each time it was measured reads too low, by less than this.
PEAK_MARGIN = 1.5
# What the harness computes itself, around a reading and between two calls; and what a process may
# compute once beside a round, such as the profiler's end after a first visit.
CPU_MARGIN = 1.5
ROUND_SLACK_S = 2e-2
READING_SLACK_S = 5e-4
CALL_SLACK_S = 5e-6
# Of the operations that the formula needs, what is counted of the program that computes it.
LEAST_EXECUTED = 0.9


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a cell can be held to: `exact`, no less than its record's `flops` gives its answer.

    So it is for softmax attention, which is computed of every pair, and for a layer, whose `flops`
    are the matrix products that were counted in it.

    `peak_flops_per_s` is the best rate of products that was seen on the device; 0: not measured.
    """

    exact: bool
    peak_flops_per_s: float = 0.0


def implausible(record: Record, answers: Sequence[Mapping[str, Any]], limits: Limits) -> str | None:
    """Why the readings of a round cannot be the cost of the call; None if they can.

    `answers` are those that the record was made of (see `bench.worker.visit`).
    """
    assert record.time_s is not None
    needed = record.flops or 0
    executed = record.flops_executed
    if limits.exact and executed is not None and executed < LEAST_EXECUTED * needed:
        return (
            f"its operators execute {executed:.3g} operations, the formula needs {needed:.3g}: "
            "it does not do the work"
        )
    peak, quickest_s = limits.peak_flops_per_s, record.time_min_s or record.time_s
    if limits.exact and peak and needed > PEAK_MARGIN * peak * quickest_s:
        return (
            f"{needed / quickest_s / 1e9:.3g} GFLOP/s, this machine's products reach "
            f"{peak / 1e9:.3g}: the work is not done in the call"
        )
    threads = record.threads or 1
    if record.device == "cpu" and _works_elsewhere(answers, threads):
        return (
            f"a call computes {record.cpu_time_s:.3g} s in the {record.time_s:.3g} s that it "
            f"takes, more than its threads ({threads}) can: it works elsewhere as well"
        )
    return None


def _works_elsewhere(answers: Sequence[Mapping[str, Any]], threads: int) -> bool:
    """Whether all readings but the one that is most to blame computed longer than they may."""
    beyond_s = sorted(_beyond_s(one, threads) for one in answers)
    return sum(beyond_s[:-1] or beyond_s) > ROUND_SLACK_S


def _beyond_s(answer: Mapping[str, Any], threads: int) -> float:
    """Seconds of computing beyond what the calls of a reading had time for, below 0 if fewer."""
    calls: int = answer["calls"]
    able_s = calls * (threads * CPU_MARGIN * answer["time_s"] + CALL_SLACK_S) + READING_SLACK_S
    return calls * float(answer.get("cpu_time_s") or 0.0) - float(able_s)
