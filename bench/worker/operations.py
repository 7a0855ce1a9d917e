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
from bench.counting.document import document
from bench.counting.result import Counts
from bench.counting.sizes import sizes_of
from bench.machine.environment import missing_instruments
from bench.machine.os_counters import read_usage
from bench.process.described import describe as described
from bench.process.global_state import RANDOM, restored_state
from bench.timing.ceilings import large_block_faults, measure_ceilings
from bench.timing.cuda import gpu_caches, gpu_harness_costs
from bench.timing.prepared_call import stopwatch
from bench.timing.stopwatch import harness_costs
from bench.worker.revision_imports import refuse_outside
from bench.worker.visit import first_visit
from bench.worker.visit import visit as visit_cell
from implementations.case import Case, Pass
from implementations.catalogue import load as load_implementation
from implementations.interface import Implementation

Answer = dict[str, Any]

_imported: dict[str, tuple[Implementation, Sequence[str]]] = {}


def is_imported(spec: str) -> bool:
    """Whether asking for the implementation runs none of the user's code any more."""
    return ":" not in spec or spec in _imported


def imported(spec: str) -> tuple[Implementation, Sequence[str]]:
    """The implementation that a spec means, and what its import changed, which is put back.

    Raises:
        CatalogueError: it cannot be loaded.

    """
    if spec not in _imported:
        with restored_state() as changes:
            implementation = load_implementation(spec)
        refuse_outside(spec)
        # A seed that is set at import is everybody's habit, and harms nobody.
        _imported[spec] = implementation, [change for change in changes if change != RANDOM]
    return _imported[spec]


def _implementation(spec: str) -> Implementation:
    return imported(spec)[0]


def load(spec: str) -> Answer:
    """What is known of an implementation without calling it."""
    return {"kernel": described(*imported(spec))}


def declined(spec: str, case: dict[str, Any]) -> Answer:
    """Why an implementation declines a case itself; null where it does not."""
    declines = _implementation(spec).declines
    return {"declined": declines(Case(**case)) if declines else None}


def describe() -> Answer:
    """What only torch, or this process, knows of the machine and of the harness."""
    cuda = torch.cuda.is_available()
    unknown = {"gpu_empty_call_s": None, "gpu_empty_replay_s": None}
    gpu_costs = (_of_gpu(gpu_harness_costs) or unknown) if cuda else {}
    return {
        "gpu": _of_gpu(torch.cuda.get_device_name) if cuda else None,
        "gpu_free_bytes": _of_gpu(lambda: torch.cuda.mem_get_info()[0]) if cuda else None,
        "gpu_caches_bytes": _of_gpu(gpu_caches) if cuda else None,
        "threads": torch.get_num_threads(),
        "large_block_faults": large_block_faults(),
        "harness": {**asdict(harness_costs()), **gpu_costs},
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


@_one_thread()
def check(spec: str, case: dict[str, Any], seed: int) -> Answer:
    """Verify one implementation in one situation; the answer holds a result for every check."""
    results = verify_case(_implementation(spec), CheckCase.from_plain(case), seed=seed)
    return {"results": [asdict(result) for result in results]}


@_one_thread()
def compare(specs: Sequence[str], case: dict[str, Any], seed: int) -> Answer:
    """Compare implementations with each other in one situation, two by two."""
    chosen = [_implementation(spec) for spec in specs]
    results = agreement(chosen, CheckCase.from_plain(case), seed=seed)
    return {"results": [asdict(result) for result in results]}


@_one_thread()
def reduce(spec: str, case: dict[str, Any], check: str, seed: int) -> Answer:
    """The smallest situation found in which a check still fails, and what it says there."""
    result = shrink(_implementation(spec), CheckCase.from_plain(case), check, seed=seed)
    return {"result": None if result is None else asdict(result)}


def trial(spec: str, case: dict[str, Any], **more: Any) -> Answer:
    """A cell's first call in a run."""
    return first_visit(_implementation(spec), Case(**case), **more)


def visit(spec: str, case: dict[str, Any], **more: Any) -> Answer:
    """One reading of a cell."""
    return visit_cell(_implementation(spec), Case(**case), **more)


def rest(device: str) -> Answer:
    """Before other processes have their turn: give unused memory of a GPU back."""
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return {}


def usage() -> Answer:
    """What the operating system has counted of this process and of the machine until now."""
    return asdict(read_usage())


def count(spec: str, cases: Sequence[dict[str, Any]]) -> Answer:
    """What the operators of a call do, for each case: the counted fields of a record.

    `needs_workspace_bytes` is for the forecast: what a record has is measured.
    """
    counter = Counter(_implementation(spec))
    counted = []
    for case in cases:
        try:
            counts = counter.at(Case(**case))
            # What a layer has to compute at least is not declared: its products stand for it.
            own = {"flops": counts.matmul_flops} if counter.implementation.kind == "layer" else {}
            counted.append({**_fields(counts), **own})
        except Exception:  # a kernel that fails at one size is counted at the others
            counted.append({})
    return {"counts": counted}


def _fields(counts: Counts) -> dict[str, int | str | None]:
    moved = None
    if counts.bytes_read is not None and counts.bytes_written is not None:
        moved = counts.bytes_read + counts.bytes_written
    reason = counts.reasons.get("workspace_bytes", "")
    is_bound = "executed_flops" in counts.lower_bounds
    return {
        **({"workspace_reason": reason} if reason.startswith(OUTSIDE) else {}),
        "needs_workspace_bytes": counts.workspace_bytes,
        "flops_executed": None if is_bound else counts.executed_flops,
        "transcendentals": counts.transcendentals,
        "bytes_moved": moved,
        "operator_launches": counts.launches,
    }


def workspace_law(spec: str, case: dict[str, Any]) -> Answer:
    """The workspace as a polynomial, under the conditions of a case; None where none was found."""
    fitted = Counter(_implementation(spec)).search(Case(**case)).formula("workspace_bytes").fitted
    if fitted is None:
        return {"law": None}
    polynomial = {"text": str(fitted.polynomial), "terms": fitted.polynomial.to_plain()}
    return {"law": {**polynomial, "valid": fitted.lattice.to_plain()}}


def counts(
    spec: str,
    dtype: str,
    pass_: Pass,
    is_causal: bool,
    at: dict[str, int],
    budget_bytes: float | None,
) -> Answer:
    """The document of `attnscale counts` for one implementation."""
    counted = document(
        [_implementation(spec)],
        dtype=dtype,
        pass_=pass_,
        is_causal=is_causal,
        sizes=sizes_of(at),
        budget_bytes=budget_bytes,
    )
    return {"document": counted}


def ceiling(dtype: str, device: str) -> Answer:
    """The machine's own rates; see `bench.timing.ceilings`."""
    return dict(measure_ceilings(dtype, device, stopwatch(device)))


OPERATIONS: dict[str, Callable[..., Answer]] = {
    operation.__name__: operation
    for operation in (
        *(load, declined, describe, check, compare, reduce, trial, visit),
        *(rest, usage, count, workspace_law, counts, ceiling),
    )
}
