"""The record of one visit, from what the measuring process answered."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench import noise
from bench.counters import Usage
from bench.pace import ALL_THREADS, KINDS, MEMORY, ONE_THREAD, Canary, Pace, kind_of_work
from bench.records import Record

# Shorter spans say little: the machine's counters advance by ticks of 10 ms.
SHORTEST_LOAD_S = 0.1


LOST_RETAKE = "measuring it again ended with"


def lost_a_retake(record: Record) -> bool:
    """Whether a process was lost while the cell was measured again: its time says nothing."""
    return any(one.startswith(LOST_RETAKE) for one in record.noise_reasons or ())


def measured_record(
    blank: Record,
    answer: Mapping[str, Any],
    *,
    paces: Mapping[str, Pace],
    spare_cores: float,
    reason: str | None,
) -> Record:
    """The blank record of a cell with what was measured, and what was noisy about it.

    `paces` are the machine's usual ones, at which samples were wanted.
    """
    kind = kind_of_work(is_parallel=answer["is_parallel"], beyond_cache=answer["beyond_cache"])
    usual = paces.get(kind)
    samples, undisturbed = answer["samples_s"], answer["undisturbed_s"]
    columns = [tuple(column) for column in zip(*answer["canaries"], strict=True)]
    middle = tuple(statistics.median(column) for column in columns)
    canaries = dict(zip(KINDS[kind], columns, strict=True))
    usage = Usage(**answer["usage"])
    gpu = answer.get("gpu_state") or {}
    reasons = noise.reasons(
        noise.Evidence(
            samples_s=undisturbed or samples,
            usage=usage,
            undisturbed=len(undisturbed),
            taken=len(samples),
            off_pace=None if usual is None else usual.drift(middle),
            spare_cores=spare_cores,
            throttling=gpu.get("slowing") or (),
        )
    )
    seen_long = usage.wall_s >= SHORTEST_LOAD_S
    throttling = gpu.get("throttle_reasons")
    return replace(
        blank,
        status="measured",
        time_s=answer["time_s"],
        time_min_s=min(undisturbed or samples),
        samples_s=tuple(samples),
        samples_set_aside=len(samples) - len(undisturbed) if undisturbed else 0,
        calls_per_sample=answer["calls_per_sample"],
        cpu_time_s=answer["cpu_time_s"],
        workspace_bytes=answer["workspace_bytes"],
        minor_faults=answer["minor_faults"],
        is_parallel=answer["is_parallel"],
        canary_s=statistics.median(canaries.get(ALL_THREADS, canaries[ONE_THREAD])),
        canaries_s=canaries[ONE_THREAD],
        parallel_canaries_s=canaries.get(ALL_THREADS),
        memory_canaries_s=canaries.get(MEMORY),
        waiting_share=usage.waiting_share,
        other_load=usage.other_load if seen_long else None,
        steal_share=usage.stolen_cores if seen_long else None,
        frequency_hz=usage.frequency_hz,
        energy_j=answer.get("energy_j"),
        energy_resolution_j=answer.get("energy_resolution_j"),
        graph_time_s=answer.get("graph_time_s"),
        gpu_clock_hz=gpu.get("clock_hz"),
        gpu_temperature_c=gpu.get("temperature_c"),
        gpu_power_w=gpu.get("power_w"),
        throttle_reasons=None if throttling is None else tuple(throttling),
        noisy=bool(reasons),
        noise_reasons=reasons,
        reason=reason,
    )


def canaries_of(record: Record) -> list[Canary]:
    """The canaries beside a visit's samples, in order."""
    columns = (record.canaries_s or (), record.parallel_canaries_s, record.memory_canaries_s)
    return list(zip(*(one for one in columns if one is not None), strict=True))


def kind_of(record: Record) -> str | None:
    """The kind of work that a visit measured; None where it is not known."""
    if record.is_parallel is None:
        return None
    beyond = record.memory_canaries_s is not None
    return kind_of_work(is_parallel=record.is_parallel, beyond_cache=beyond)


def is_quiet(record: Record, pace: Pace | None) -> bool:
    """Whether a visit was not noisy, and would not be at this pace, which may be a later one."""
    heard = canaries_of(record)
    if record.noisy or pace is None or not heard:
        return not record.noisy
    return not noise.too_few(sum(map(pace.holds, heard)), len(heard))


def better_record(first: Record, second: Record) -> Record:
    """The quieter of two measurements of a cell, of equally noisy ones the quicker."""
    if second.status != "measured":
        if first.status != "measured":
            return first
        lost = f"{LOST_RETAKE} {second.status}: {second.reason}"
        return replace(first, noisy=True, noise_reasons=(*(first.noise_reasons or ()), lost))
    chosen, other = first, second
    if (second.noisy, second.time_s or 0.0) < (first.noisy, first.time_s or 0.0):
        chosen, other = second, first
    once = ("workspace_bytes", "energy_j", "energy_resolution_j", "graph_time_s")
    kept = {name: getattr(chosen, name) for name in once}
    return replace(
        chosen,
        **{name: getattr(other, name) if value is None else value for name, value in kept.items()},
    )
