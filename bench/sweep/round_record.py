"""The record of a cell in one round, from what the measuring process answered."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from bench.machine.os_counters import Usage
from bench.records import Record

Answer: TypeAlias = Mapping[str, Any]
"""What a measuring process answers to a visit; see `bench.worker.visit`."""

# Shorter spans say little: the machine's counters advance by ticks of 10 ms.
SHORTEST_LOAD_S = 0.1
# Readings are kept to so many digits: no clock tells more of a call.
DIGITS = 5


def round_record(blank: Record, answers: Sequence[Answer], usage: Usage | None) -> Record:
    """The blank record of a cell with its readings in a round; `usage` is that of the whole round.

    What was read once, in the first call of a run, stands in the record of its round.
    """
    samples = [_rounded(answer["time_s"]) for answer in answers]
    states = [answer["gpu_state"] for answer in answers if answer.get("gpu_state")]
    throttling = {reason for state in states for reason in state["throttle_reasons"] or ()}
    unseen = [answer["workspace_reason"] for answer in answers if "workspace_reason" in answer]
    load = usage if usage and usage.wall_s >= SHORTEST_LOAD_S else None
    return replace(
        blank,
        status="measured",
        reason=next(iter(unseen), blank.reason),
        time_s=statistics.median(samples),
        time_min_s=min(samples),
        samples_s=tuple(samples),
        calls_per_sample=round(statistics.median(answer["calls"] for answer in answers)),
        cpu_time_s=_of(answers, "cpu_time_s", statistics.median),
        minor_faults=_of(answers, "minor_faults", statistics.median),
        workspace_bytes=_of(answers, "workspace_bytes", max),
        energy_j=_of(answers, "energy_j", max),
        energy_resolution_j=_of(answers, "energy_resolution_j", max),
        graph_time_s=_of(answers, "graph_time_s", min),
        compile_s=_of(answers, "compile_s", max),
        gpu_clock_hz=_of(states, "clock_hz", statistics.median),
        gpu_temperature_c=_of(states, "temperature_c", max),
        gpu_power_w=_of(states, "power_w", statistics.median),
        throttle_reasons=tuple(sorted(throttling)) if states else None,
        waiting_share=load.waiting_share if load else None,
        other_load=load.other_load if load else None,
        steal_share=load.stolen_cores if load else None,
        frequency_hz=usage.frequency_hz if usage else None,
    )


def _of(answers: Sequence[Answer], name: str, how: Any) -> Any:
    """One value of those that are known, rounded as readings are."""
    known = [answer[name] for answer in answers if answer.get(name) is not None]
    value = how(known) if known else None
    return _rounded(value) if isinstance(value, float) else value


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
