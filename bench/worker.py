"""The measuring process: reads requests, one JSON object a line, and answers each with one.

It may crash, hang or run out of memory; `bench.supervisor` replaces it. The answers have a
descriptor of their own; what a kernel prints to stdout is kept apart and comes with the answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import IO, Any

import torch
from torch import Tensor

from bench.check_case import CheckCase
from bench.inputs import Inputs, differentiate, make_inputs
from bench.memory import workspace_bytes
from bench.noise import read_usage
from bench.probes.agreement import agreement
from bench.shrink import shrink
from bench.timing import Budget, CpuStopwatch, CudaStopwatch, Stopwatch, sample, warm_up
from bench.verify import verify_case
from implementations.case import Case
from implementations.catalogue import load
from implementations.interface import Implementation, UnsupportedCaseError

CANARY_SIZE = 384
SMALLEST_CEILING_SIZE = 256
CEILING_SIZE = 2048
CEILING_SIZE_CUDA = 8192
LONGEST_CEILING_CALL_S = 0.25
COPY_BYTES = 2**28
LARGE_BLOCK_BYTES = 2**26
MOST_PRINTED = 300
SETTLING_BLOCKS = 8


def main() -> None:
    """Serve requests from standard input until it closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        for line in sys.stdin:
            request = json.loads(line)
            answer = _answer(OPERATIONS[request.pop("op")], request)
            text = _taken(printed)
            if text:
                answer["printed"] = text
            answers.write(json.dumps(answer, allow_nan=False) + "\n")
            answers.flush()


def _taken(printed: IO[bytes]) -> str:
    """What was printed since the last time, from its beginning; the file is emptied."""
    sys.stdout.flush()
    if not os.fstat(1).st_size:
        return ""
    printed.seek(0)
    text = printed.read(MOST_PRINTED).decode(errors="replace").strip()
    # The descriptors share their place in the file.
    printed.seek(0)
    printed.truncate()
    return text


def _answer(operation: Callable[..., dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    try:
        return operation(**request)
    except UnsupportedCaseError as problem:
        return {"status": "unsupported", "reason": str(problem)}
    except (MemoryError, torch.OutOfMemoryError) as problem:
        return {"status": "out_of_memory", "reason": _one_line(problem)}
    except Exception as problem:
        if "can't allocate memory" in str(problem):
            return {"status": "out_of_memory", "reason": _one_line(problem)}
        return {"status": "crashed", "reason": f"{type(problem).__name__}: {_one_line(problem)}"}


def describe() -> dict[str, Any]:
    """What only torch knows of the machine."""
    cuda = torch.cuda.is_available()
    return {
        "status": "done",
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "gpu_free_bytes": torch.cuda.mem_get_info()[0] if cuda else None,
        "threads": torch.get_num_threads(),
        "large_block_faults": _large_block_faults(),
    }


def _large_block_faults() -> float | None:
    """Fewest minor faults of taking and touching a large block again after it was given back.

    A heap may take a few calls to settle; an allocator that gives memory back faults every time.
    """
    found = []
    for _ in range(SETTLING_BLOCKS):
        before = read_usage()
        torch.ones(LARGE_BLOCK_BYTES, dtype=torch.int8)
        found.append(read_usage().since(before).minor_faults)
    return min((faults for faults in found if faults is not None), default=None)


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
) -> dict[str, Any]:
    """Time one cell, and measure its workspace if asked."""
    implementation, point = _implementation(spec), Case(**case)
    call = prepare(implementation, _inputs(implementation, point, seed), point)
    canary_s = canary(point.device)
    reading = sample(call, stopwatch(point.device), Budget(**budget))
    workspace = None
    if with_workspace and implementation.unmeasured_workspace is None:
        workspace = workspace_bytes(call, point.device)
    return {
        "status": "measured",
        "samples_s": reading.samples_s,
        "time_s": reading.time_s,
        "cpu_time_s": reading.cpu_time_s,
        "minor_faults": reading.minor_faults,
        "usage": asdict(reading.usage),
        "canary_s": canary_s,
        "workspace_bytes": workspace,
    }


def _inputs(implementation: Implementation, case: Case, seed: int) -> Inputs:
    return make_inputs(case, seed=seed, layout=implementation.layout)


def pilot(spec: str, case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Warm one cell up, to predict larger ones by its seconds and workspace."""
    implementation, point = _implementation(spec), Case(**case)
    call = prepare(implementation, _inputs(implementation, point, seed), point)
    seconds = warm_up(call, stopwatch(point.device))
    workspace = None
    if implementation.unmeasured_workspace is None:
        workspace = workspace_bytes(call, point.device)
    return {"status": "measured", "time_s": seconds, "workspace_bytes": workspace}


def ceiling(dtype: str, device: str) -> dict[str, Any]:
    """The machine's own matmul rate in operations and copy rate in bytes a second."""
    source = torch.ones(COPY_BYTES, dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    watch = stopwatch(device)
    budget = Budget(visit_s=0.5, min_samples=5, max_samples=20)
    copy_s = min(sample(lambda: target.copy_(source), watch, budget).samples_s)
    return {
        "status": "done",
        "matmul_flops_per_s": _matmul_rate(dtype, device, watch, budget),
        "copy_bytes_per_s": 2 * COPY_BYTES / copy_s,
    }


def _matmul_rate(dtype: str, device: str, watch: Stopwatch, budget: Budget) -> float:
    """The best rate over growing sizes.

    Some products have no fast kernel (float16 on a CPU can take minutes); the sizes end where a
    call grows long.
    """
    rate = 0.0
    largest = CEILING_SIZE_CUDA if device.startswith("cuda") else CEILING_SIZE
    size = min(SMALLEST_CEILING_SIZE, largest)
    while True:
        drawn = (torch.randn(size, size, device=device) for _ in range(3))
        left, right, product = (one.to(getattr(torch, dtype)) for one in drawn)
        multiply = partial(torch.mm, left, right, out=product)
        once_s = warm_up(multiply, watch)
        rate = max(rate, 2 * size**3 / once_s)
        if once_s > LONGEST_CEILING_CALL_S:
            return rate
        if size >= largest:
            return max(rate, 2 * size**3 / min(sample(multiply, watch, budget).samples_s))
        size *= 2


def prepare(
    implementation: Implementation, inputs: Inputs, case: Case
) -> Callable[[], Sequence[Tensor]]:
    """The call that is timed: it returns the output and, with a backward pass, the gradients."""
    tensors = (inputs.query, inputs.key, inputs.value)
    if not case.is_backward:

        def forward() -> Sequence[Tensor]:
            with torch.no_grad():
                output = implementation.call(
                    *tensors, attn_mask=inputs.attn_mask, is_causal=case.is_causal
                )
            return (output,)

        return forward
    leaves = tuple(tensor.requires_grad_() for tensor in tensors)

    def forward_backward() -> Sequence[Tensor]:
        output = implementation.call(*leaves, attn_mask=inputs.attn_mask, is_causal=case.is_causal)
        gradients = differentiate(output, leaves, inputs.grad_output)
        return (output.detach(), *(one for one in gradients if one is not None))

    return forward_backward


@cache
def stopwatch(device: str) -> Stopwatch:
    """The stopwatch of a device."""
    return CudaStopwatch.on(device) if device.startswith("cuda") else CpuStopwatch()


@cache
def _canary_operands(device: str) -> tuple[Tensor, Tensor, Tensor]:
    left, right, product = (torch.randn(CANARY_SIZE, CANARY_SIZE, device=device) for _ in range(3))
    return left, right, product


def canary(device: str) -> float:
    """Seconds of a fixed matmul: if it changes, the machine did."""
    left, right, product = _canary_operands(device)
    watch = stopwatch(device)
    return statistics.median(
        watch.measure(lambda: torch.mm(left, right, out=product), 1) for _ in range(5)
    )


@cache
def _implementation(spec: str) -> Implementation:
    return load(spec)


def _one_line(problem: BaseException) -> str:
    return str(problem).partition("\n")[0][:300]


OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "describe": describe,
    "check": check,
    "compare": compare,
    "reduce": reduce,
    "load": lambda spec: {"status": "done", "name": _implementation(spec).name},
    "measure": measure,
    "pilot": pilot,
    "ceiling": ceiling,
}

if __name__ == "__main__":
    main()
