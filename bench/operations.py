"""What a measuring process does when it is asked: one function a request, answers as plain data.

Each raises what a kernel or torch raises; `bench.worker` turns that into an answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from bench.ceilings import large_block_faults, measure_ceilings
from bench.check_case import CheckCase
from bench.counting.counter import Counter
from bench.counting.document import document, sizes_of
from bench.counting.result import Counts
from bench.cuda_timing import gpu_caches, gpu_harness_costs
from bench.inputs import Inputs, make_inputs
from bench.instruments import missing_instruments
from bench.measuring import (
    Prepared,
    canary,
    is_parallel,
    own_cache_bytes,
    prepare,
    stopwatch,
    unsound,
)
from bench.memory import workspace_bytes
from bench.pace import Bands, Pace, kind_of_work
from bench.probes.agreement import agreement
from bench.resident import resident_peak
from bench.sampling import Budget, sample
from bench.sensors import energy, gpu_state, replayed, watch_idle
from bench.shrink import shrink
from bench.timing import harness_costs
from bench.verify import verify_case
from bench.warming import warm_up
from implementations.case import Case, Pass
from implementations.catalogue import load
from implementations.interface import Implementation

# One call of it loads the libraries and starts the threads before the resident set is read.
SMALL_SEQ_LEN = 64
NO_PACES: Mapping[str, Bands] = {}


def describe() -> dict[str, Any]:
    """What only torch, or this process, knows of the machine and of the harness."""
    cuda = torch.cuda.is_available()
    return {
        "status": "done",
        "gpu": _of_gpu(torch.cuda.get_device_name) if cuda else None,
        "gpu_free_bytes": _of_gpu(lambda: torch.cuda.mem_get_info()[0]) if cuda else None,
        "gpu_caches_bytes": _of_gpu(gpu_caches) if cuda else None,
        "threads": torch.get_num_threads(),
        "large_block_faults": large_block_faults(),
        "harness": {**asdict(harness_costs()), **(_gpu_costs() if cuda else {})},
        "instruments": missing_instruments("cuda" if cuda else "cpu"),
    }


def _of_gpu(ask: Callable[[], Any]) -> Any:
    """The answer; None of a GPU that others hold, or that is none for this torch.

    A sweep on the processor must not fail for it, and one on the GPU says it soon enough.
    """
    try:
        return ask()
    except RuntimeError:  # torch.OutOfMemoryError is one
        return None


def _gpu_costs() -> dict[str, float | None]:
    return _of_gpu(gpu_harness_costs) or {"gpu_empty_call_s": None, "gpu_empty_replay_s": None}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Checks share nothing between threads.

    On a busy machine each of many short parallel regions would wait for a second core, and a check
    of a second take a minute.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check(spec: str, case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Verify one implementation in one situation; the answer holds a result for every check."""
    with _one_thread():
        results = verify_case(_implementation(spec), CheckCase.from_plain(case), seed=seed)
    return {"status": "done", "results": [asdict(result) for result in results]}


def compare(specs: Sequence[str], case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Compare implementations with each other in one situation, two by two."""
    chosen = [_implementation(spec) for spec in specs]
    with _one_thread():
        results = agreement(chosen, CheckCase.from_plain(case), seed=seed)
    return {"status": "done", "results": [asdict(result) for result in results]}


def reduce(spec: str, case: dict[str, Any], check: str, seed: int) -> dict[str, Any]:
    """The smallest situation found in which a check still fails, and what it says there."""
    with _one_thread():
        result = shrink(_implementation(spec), CheckCase.from_plain(case), check, seed=seed)
    return {"status": "done", "result": None if result is None else asdict(result)}


def measure(
    spec: str,
    case: dict[str, Any],
    budget: dict[str, Any],
    seed: int,
    with_workspace: bool,
    with_energy: bool = False,
    parallel: bool | None = None,
    beyond_cache: bool | None = None,
    paces: Mapping[str, Bands] = NO_PACES,
) -> dict[str, Any]:
    """Time one cell at the machine's usual pace; measure workspace and energy if asked.

    `parallel` says whether its calls have several threads work, `beyond_cache` whether their
    workspace outgrows the core's own cache, None if that is to be found out; `paces` are the usual
    ones of kinds of work, as far as they are known.
    """
    implementation, point = _implementation(spec), Case(**case)
    if with_energy:
        watch_idle(point.device)
    ready = prepare(implementation, _inputs(implementation, point, seed), point)
    workspace = None
    if with_workspace:
        workspace, outputs = _workspace(implementation, ready, point)
        objection = unsound(outputs, point)
        del outputs
        if objection is not None:
            return {"status": "incorrect", "reason": objection}
    if beyond_cache is None:
        on_cpu = point.device_type == "cpu"
        beyond_cache = on_cpu and workspace is not None and workspace > own_cache_bytes()
    with ready.conditions():
        if parallel is None:
            parallel = _has_threads(point) and is_parallel(ready.call)
        usual = paces.get(kind_of_work(is_parallel=parallel, beyond_cache=beyond_cache))
        reading = sample(
            ready.call,
            stopwatch(point.device),
            Budget(**budget),
            canary=partial(canary, point.device, parallel=parallel, beyond_cache=beyond_cache),
            usual=None if usual is None else Pace(bands=usual),
        )
        # At once: an idle GPU soon tells nothing of what slowed it.
        state = gpu_state(point.device) if point.device_type == "cuda" else None
    return {
        "status": "measured",
        "samples_s": reading.samples_s,
        "calls_per_sample": reading.calls,
        "time_s": reading.time_s,
        "cpu_time_s": reading.cpu_time_s,
        "minor_faults": reading.minor_faults,
        "usage": asdict(reading.usage),
        "is_parallel": parallel,
        "beyond_cache": beyond_cache,
        "canaries": reading.canaries,
        "undisturbed_s": reading.undisturbed_s,
        "gpu_state": state,
        "workspace_bytes": workspace,
        **(_besides(energy, "energy_reason", ready, point.device) if with_energy else {}),
        # Last, since a capture that fails may keep its memory; once a cell, as the workspace.
        **(_besides(replayed, "graph_reason", ready, point.device) if with_workspace else {}),
    }


def _besides(
    read: Callable[[Prepared, str], dict[str, Any]], reason: str, ready: Prepared, device: str
) -> dict[str, Any]:
    """What an instrument reads after the samples; if it fails, why: they must not be lost for it.

    A GPU that does not recover is replaced with this process, as after any error of that kind.
    """
    try:
        return read(ready, device)
    except (Exception, SystemExit, KeyboardInterrupt) as problem:  # a kernel may raise anything
        return {reason: f"{type(problem).__name__}: {one_line(problem)}"}


def _has_threads(case: Case) -> bool:
    return case.device_type == "cpu" and torch.get_num_threads() > 1


def _inputs(implementation: Implementation, case: Case, seed: int) -> Inputs:
    return make_inputs(case, seed=seed, layout=implementation.layout)


def _workspace(
    implementation: Implementation, ready: Prepared, case: Case
) -> tuple[int | None, Sequence[Tensor]]:
    """The workspace of one call, and its outputs."""
    if implementation.unmeasured_workspace is not None:
        return None, ready.run()
    made: list[Sequence[Tensor]] = []

    def run() -> Sequence[Tensor]:
        made.clear()  # what an earlier call left is no workspace of this one
        made.append(ready.run())
        return made[-1]

    peak = workspace_bytes(run, case.device)
    return peak, made[-1]


def pilot(spec: str, case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Warm one cell up, to predict larger ones by its seconds and workspace."""
    implementation, point = _implementation(spec), Case(**case)
    ready = prepare(implementation, _inputs(implementation, point, seed), point)
    with ready.conditions():
        seconds = warm_up(ready.call, stopwatch(point.device))
    return {
        "status": "measured",
        "time_s": seconds,
        "workspace_bytes": _workspace(implementation, ready, point)[0],
    }


def count(spec: str, cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the operators of a call do, for each case: the counted fields of a record."""
    counter = Counter(_implementation(spec))
    found = []
    for case in cases:
        try:
            found.append(_counts(counter.at(Case(**case))))
        except Exception:  # a kernel that fails at one size is counted at the others
            found.append({})
    return {"status": "done", "counts": found}


def counts(
    spec: str, dtype: str, pass_: Pass, is_causal: bool, at: dict[str, int]
) -> dict[str, Any]:
    """The document of `attnscale counts` for one implementation."""
    found = document(
        [_implementation(spec)],
        dtype=dtype,
        pass_=pass_,
        is_causal=is_causal,
        sizes=sizes_of(at),
    )
    return {"status": "done", "document": found}


def _counts(found: Counts) -> dict[str, int | None]:
    moved = None
    if found.bytes_read is not None and found.bytes_written is not None:
        moved = found.bytes_read + found.bytes_written
    return {
        "flops_executed": found.executed_flops,
        "transcendentals": found.transcendentals,
        "bytes_moved": moved,
        "operator_launches": found.launches,
    }


def resident(spec: str, case: dict[str, Any], seed: int) -> dict[str, Any]:
    """By how much one call raises the resident set; to be asked of a fresh process."""
    implementation, point = _implementation(spec), Case(**case)
    small = replace(point, seq_len=SMALL_SEQ_LEN, key_len=SMALL_SEQ_LEN)
    prepare(implementation, _inputs(implementation, small, seed), small).run()
    ready = prepare(implementation, _inputs(implementation, point, seed), point)
    return {"status": "done", **asdict(resident_peak(ready.run))}


def ceiling(dtype: str, device: str) -> dict[str, Any]:
    """The machine's own rates; see `bench.ceilings`."""
    return {"status": "done", **measure_ceilings(dtype, device, stopwatch(device))}


def one_line(problem: BaseException) -> str:
    """What is said first, of reasonable length."""
    return str(problem).partition("\n")[0][:300] or "without a word"


@cache
def _implementation(spec: str) -> Implementation:
    return load(spec)


OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "describe": describe,
    "check": check,
    "compare": compare,
    "reduce": reduce,
    "load": lambda spec: {"status": "done", "name": _implementation(spec).name},
    "measure": measure,
    "pilot": pilot,
    "count": count,
    "counts": counts,
    "resident": resident,
    "ceiling": ceiling,
}
