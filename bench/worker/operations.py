"""What a measuring process does when it is asked: one function a request, answers as plain data.

Each raises what a kernel or torch raises; `bench.worker` turns that into an answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch

from bench.checks.probes.agreement import agreement
from bench.checks.run_situation import verify_case
from bench.checks.shrink import shrink
from bench.checks.situation import CheckCase
from bench.counting.counter import Counter
from bench.counting.direct import OUTSIDE
from bench.counting.document import document, sizes_of
from bench.counting.result import Counts
from bench.machine.environment import missing_instruments
from bench.machine.os_counters import read_usage
from bench.process.described import describe as described
from bench.timing.ceilings import large_block_faults, measure_ceilings
from bench.timing.cuda import gpu_caches, gpu_harness_costs
from bench.timing.prepared_call import stopwatch
from bench.timing.stopwatch import harness_costs
from bench.worker.imported import imported
from bench.worker.visit import first_visit
from bench.worker.visit import visit as visit_cell
from implementations.case import Case, Pass
from implementations.interface import Implementation


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


def trial(spec: str, case: dict[str, Any], seed: int, with_energy: bool = False) -> dict[str, Any]:
    """A cell's first call in a run."""
    return first_visit(_implementation(spec), Case(**case), seed, with_energy)


def visit(
    spec: str, case: dict[str, Any], seed: int, workspace_bytes: int = 0, check: bool = False
) -> dict[str, Any]:
    """One reading of a cell."""
    return visit_cell(_implementation(spec), Case(**case), seed, workspace_bytes, check)


def rest(device: str) -> dict[str, Any]:
    """Before other processes have their turn: give unused memory of a GPU back."""
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return {"status": "done"}


def usage() -> dict[str, Any]:
    """What the operating system has counted of this process and of the machine until now."""
    return {"status": "done", **asdict(read_usage())}


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


def workspace_law(spec: str, case: dict[str, Any]) -> dict[str, Any]:
    """The workspace as a polynomial, under the conditions of a case; None where none was found."""
    found = Counter(_implementation(spec)).search(Case(**case)).formula("workspace_bytes").fitted
    if found is None:
        return {"status": "done", "law": None}
    polynomial = {"text": str(found.polynomial), "terms": found.polynomial.to_plain()}
    return {"status": "done", "law": {**polynomial, "valid": found.lattice.to_plain()}}


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


def _counts(found: Counts) -> dict[str, int | str | None]:
    moved = None
    if found.bytes_read is not None and found.bytes_written is not None:
        moved = found.bytes_read + found.bytes_written
    reason = found.reasons.get("workspace_bytes", "")
    return {
        **({"workspace_reason": reason} if reason.startswith(OUTSIDE) else {}),
        "flops_executed": None if "executed_flops" in found.lower_bounds else found.executed_flops,
        "transcendentals": found.transcendentals,
        "bytes_moved": moved,
        "operator_launches": found.launches,
    }


def ceiling(dtype: str, device: str) -> dict[str, Any]:
    """The machine's own rates; see `bench.timing.ceilings`."""
    return {"status": "done", **measure_ceilings(dtype, device, stopwatch(device))}


def _implementation(spec: str) -> Implementation:
    return imported(spec).implementation


def load(spec: str) -> dict[str, Any]:
    """What is known of an implementation without calling it."""
    found = imported(spec)
    return {"status": "done", "kernel": described(found.implementation, found.changed)}


def declined(spec: str, case: dict[str, Any]) -> dict[str, Any]:
    """Why an implementation declines a case itself; null where it does not."""
    declines = _implementation(spec).declines
    return {"status": "done", "declined": declines(Case(**case)) if declines else None}


OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "describe": describe,
    "check": check,
    "compare": compare,
    "reduce": reduce,
    "load": load,
    "declined": declined,
    "trial": trial,
    "visit": visit,
    "rest": rest,
    "usage": usage,
    "count": count,
    "workspace_law": workspace_law,
    "counts": counts,
    "ceiling": ceiling,
}
