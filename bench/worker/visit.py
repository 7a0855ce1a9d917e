"""A visit to a cell: one reading of it, of contents that no call has seen, and whether it is right.

Answers are plain data, and values are per call. Each function raises what the kernel raises.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from random import Random
from typing import Any

from torch import Tensor

from bench.checks.timed.sampled_rows import draw_sample, thin_upstream
from bench.checks.timed.timed_call import objection
from bench.machine.nvml import Unavailable
from bench.machine.workspace import ResidentGrowth, profile_call, unexplained
from bench.process.answers import named
from bench.timing.gpu_and_energy import energy, gpu_state, watch_idle
from bench.timing.prepared_call import (
    Prepared,
    ReadyCell,
    ReadyCells,
    held_limit_bytes,
    replay_stopwatch,
    stopwatch,
)
from bench.timing.stopwatch import Reading, drop, read
from implementations.case import Case
from implementations.interface import Implementation

# Bound before any kernel is loaded, which may put another in its place.
_clock = time.perf_counter


@cache
def ready_cells(device: str) -> ReadyCells:
    """The cells that this process holds on a device."""
    return ReadyCells(held_limit_bytes(device))


def first_visit(
    implementation: Implementation, case: Case, seed: int, with_energy: bool = False
) -> dict[str, Any]:
    """The first visit to a cell in a run: what the profiler sees, energy if asked, and a visit."""
    if with_energy:
        watch_idle(case.device)
    cell = ready_cells(case.device).get(implementation, case, seed)
    compiling = _compile(implementation, cell)
    profiled, outputs = _profiled(implementation, cell.prepared, case)
    workspace_bytes = profiled["workspace_bytes"] or 0
    answer = visit(implementation, case, seed, workspace_bytes, check=True, earlier=outputs)
    if answer["status"] != "measured":
        return answer
    return {
        **answer,
        **profiled,
        **compiling,
        **(_energy(cell.prepared, case.device) if with_energy else {}),
    }


def visit(
    implementation: Implementation,
    case: Case,
    seed: int,
    workspace_bytes: int = 0,
    check: bool = False,
    earlier: Sequence[Tensor] = (),
) -> dict[str, Any]:
    """One reading of a cell, and on a GPU one of its replay.

    With `check`, what the last timed call gave is compared with the reference (see
    `bench.checks.timed`): if it is wrong the answer says so, and tells no time; so it does if it
    lies in the memory of `earlier` outputs. `checking_s` is what contents and check took.
    """
    cells = ready_cells(case.device)
    cell = cells.get(implementation, case, seed)
    compiling = _compile(implementation, cell)
    began = _clock()
    sample = draw_sample(case, Random())
    cell.changing.rewrite()
    # In all visits: nothing tells a kernel which of them will be checked.
    if case.is_backward and implementation.kind == "core":
        thin_upstream(cell.changing.grad_output, sample)
    besides_s = _clock() - began
    results: list[object] = []
    compilations = _compilations(implementation)
    reading = _read(cell, case, results.append if check else drop)
    if _compilations(implementation) != compilations:
        raise RuntimeError(f"{implementation.name} compiled in a timed call")
    on_gpu = {}
    if case.device_type == "cuda":  # at once: an idle GPU soon tells nothing of what slowed it
        on_gpu = {"gpu_state": gpu_state(case.device)}
    began = _clock()
    if check:
        wrong = objection(
            cell.prepared.outputs(results.pop()),
            implementation,
            cell.changing.inputs,
            sample,
            case,
            cell.prepared.parameters,
            earlier,
        )
        if wrong is not None:
            return wrong
    besides_s += _clock() - began
    if on_gpu:
        on_gpu |= _replayed(cells, cell, case, workspace_bytes)
    measured = {"status": "measured", **asdict(reading), "checking_s": besides_s}
    return {**measured, **on_gpu, **compiling}


def _compile(implementation: Implementation, cell: ReadyCell) -> dict[str, float]:
    """Make the first call of what compiles; `compile_s` is what it took, if it did compile."""
    if not implementation.compiles or cell.is_compiled:
        return {}
    before, began = _compilations(implementation), _clock()
    cell.prepared.run()
    took_s = _clock() - began
    cell.is_compiled = True
    return {"compile_s": took_s} if _compilations(implementation) != before else {}


def _compilations(implementation: Implementation) -> int:
    return implementation.compilations() if implementation.compilations else 0


def _read(cell: ReadyCell, case: Case, keep: Callable[[object], object]) -> Reading:
    watch, touch = stopwatch(case.device), cell.changing.touch
    with cell.prepared.conditions():
        if cell.once_s == math.inf:
            # The first call may compile, and takes new memory: its reading is a rough one.
            cell.once_s = watch.measure(cell.prepared.call, 1, between=touch)
        reading = read(
            cell.prepared.call,
            watch,
            cell.once_s,
            less_waiting=case.device_type == "cpu",
            between=touch,
            keep=keep,
        )
    cell.once_s = min(cell.once_s, reading.time_s)
    return reading


def _replayed(
    cells: ReadyCells, cell: ReadyCell, case: Case, workspace_bytes: int
) -> dict[str, Any]:
    """`graph_time_s`: a call replayed from a graph; or `graph_reason`, why there is none.

    A GPU that does not recover is replaced with this process, as after any error of that kind.
    """
    try:
        graph = cells.captured(cell, case, workspace_bytes)
        if graph is None:
            told = cell.replay
            return {"graph_reason": told.reason} if isinstance(told, Unavailable) else {}
        watch = replay_stopwatch(case.device)
        try:
            if cell.replay_s == math.inf:
                cell.replay_s = watch.measure(graph.replay, 1)
            found = read(graph.replay, watch, cell.replay_s, between=cell.changing.touch)
        finally:
            if graph is not cell.replay:  # too large to be kept
                graph.close()
    except (Exception, SystemExit, KeyboardInterrupt) as problem:  # a kernel may raise anything
        return {"graph_reason": named(problem)}
    cell.replay_s = min(cell.replay_s, found.time_s)
    return {"graph_time_s": found.time_s}


def _energy(ready: Prepared, device: str) -> dict[str, Any]:
    """What the energy meter reads; if it fails, why: the time must not be lost."""
    try:
        return energy(ready, device)
    except (Exception, SystemExit, KeyboardInterrupt) as problem:  # a kernel may raise anything
        return {"energy_reason": named(problem)}


def _profiled(
    implementation: Implementation, ready: Prepared, case: Case
) -> tuple[dict[str, Any], Sequence[Tensor]]:
    """`workspace_bytes` and `attention_kernel` of one call, and its outputs.

    A workspace that cannot be seen is None, with `workspace_reason`.
    """
    if implementation.unmeasured_workspace is not None:
        return {"workspace_bytes": None}, ready.run()
    made: list[Sequence[Tensor]] = []

    def run() -> Sequence[Tensor]:
        made.clear()  # what an earlier call left is no workspace of this one
        made.append(ready.run())
        return made[-1]

    growth = ResidentGrowth() if case.device_type == "cpu" else None
    profile = profile_call(run, case.device)
    reason = None
    if growth is not None:
        kept = sum(output.untyped_storage().nbytes() for output in made[-1])
        explained = profile.workspace_bytes + kept
        reason = unexplained(explained, growth.bytes())
        if reason is not None:  # or it was what a library, or the profiler, takes once for good
            growth = ResidentGrowth()
            run()
            reason = unexplained(explained, growth.bytes())
    if reason is None:
        return asdict(profile), made[-1]
    unseen = {"workspace_bytes": None, "workspace_reason": f"{implementation.name} {reason}"}
    return asdict(profile) | unseen, made[-1]
