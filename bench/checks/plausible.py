"""What no honest reading can be, whatever the outputs are: it did not do the work, or not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records import Record

# A ceiling that was disturbed each time it was measured reads too low, by less than this.
PEAK_MARGIN = 1.5
# What the harness computes itself, around a reading and between two calls.
CPU_MARGIN = 1.5
READING_SLACK_S = 1e-3
CALL_SLACK_S = 5e-6
# Of the operations that the formula needs, what is counted of the program that computes it.
LEAST_EXECUTED = 0.9


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a cell can be held to: `exact`, it computes softmax attention, every pair of it.

    `peak_flops_per_s` is the best rate of products that was seen on the device; None: not measured.
    """

    exact: bool
    peak_flops_per_s: float | None = None


def implausible(record: Record, answers: Sequence[Mapping[str, Any]], limits: Limits) -> str | None:
    """Why the readings of a round cannot be the cost of the call; None if they can.

    `answers` are those that the record was made of (see `bench.timing.visit`).
    """
    if not record.time_s or record.time_s < 0:
        return "its calls take no time by the clock"
    needed = record.flops or 0
    executed = record.flops_executed
    if limits.exact and executed is not None and executed < LEAST_EXECUTED * needed:
        return (
            f"its operators execute {executed:.3g} operations, the formula needs {needed:.3g}: "
            "it does not do the work"
        )
    peak = limits.peak_flops_per_s
    if limits.exact and peak and needed > PEAK_MARGIN * peak * record.time_s:
        rates = (needed / record.time_s / 1e9, peak / 1e9)
        return (
            "{:.3g} GFLOP/s, this machine's products reach {:.3g}: ".format(*rates)
            + "the work is not done in the call"
        )
    threads = record.threads or 1
    if record.device == "cpu" and all(_works_elsewhere(one, threads) for one in answers):
        return (
            f"a call computes {record.cpu_time_s:.3g} s in the {record.time_s:.3g} s that it "
            f"takes, more than {threads} thread{'s' if threads > 1 else ''} can: it works "
            "elsewhere as well"
        )
    return None


def _works_elsewhere(answer: Mapping[str, Any], threads: int) -> bool:
    able_s: float = threads * CPU_MARGIN * answer["time_s"] + CALL_SLACK_S
    computed_s: float = answer.get("cpu_time_s") or 0.0
    slack_s: float = READING_SLACK_S / answer["calls"]
    return computed_s > able_s + slack_s
