"""What this machine can do at best: the rates and costs that bound a cell's time."""

from __future__ import annotations

import gc
import itertools
from functools import partial
from typing import Any

import torch

from bench.machine.os_counters import read_usage
from bench.timing.stopwatch import Stopwatch, quickest_s

SMALLEST_SIZE = 256
LARGEST_SIZE = 2048
LARGEST_SIZE_CUDA = 8192
LONGEST_CALL_S = 0.25
COPY_BYTES = 2**28
# exp of one head's scores stays in the caches, as a softmax's does.
EXP_ELEMENTS = 2**18
FAULTING_BYTES = 2**26
PAGE_BYTES = 4096
SETTLING_BLOCKS = 8
READINGS_S = 0.3  # of each of them
TRIAL_S = 0.02


def measure_ceilings(dtype: str, device: str, watch: Stopwatch) -> dict[str, float | None]:
    """Products and exponentials a second, bytes copied a second, seconds a launch and a fault.

    `matmul_flops_per_s` is the best rate of square products (2·n³ operations), half precision by
    way of float32 where a processor is quicker so; `core_flops_per_s` is that of small products by
    one thread, which other programs disturb least. `copy_bytes_per_s` counts reading and writing;
    `exp_per_s` elements of an exp into existing memory; `launch_s` is an operator on one element;
    `fault_s` a minor page fault, which includes clearing the page. On a GPU an operator's exp waits
    for memory, that of a fused kernel does not: there is no ceiling.
    """
    kind: torch.dtype = getattr(torch, dtype)
    # A processor without instructions for half precision computes it in float32.
    on_cpu = device == "cpu"
    products = {kind, torch.float32} if on_cpu and kind.itemsize == 2 else {kind}
    source = torch.ones(COPY_BYTES, dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    copy_s = quickest_s(partial(target.copy_, source), watch, for_s=READINGS_S)
    del source, target
    one = torch.ones(1, device=device, dtype=kind)
    launch_s = quickest_s(partial(torch.add, one, one, out=one.clone()), watch, for_s=READINGS_S)
    return {
        "matmul_flops_per_s": max(_matmul_rate(one, device, watch) for one in products),
        "core_flops_per_s": max(_core_rate(one, watch) for one in products) if on_cpu else None,
        "copy_bytes_per_s": 2 * COPY_BYTES / copy_s,
        "exp_per_s": _exp_rate(kind, watch) if on_cpu else None,
        "launch_s": launch_s,
        "fault_s": _fault_s() if on_cpu else None,
    }


def large_block_faults() -> float | None:
    """Fewest minor faults of taking and touching a large block again after it was given back.

    A heap may take a few calls to settle; an allocator that gives memory back faults every time.
    """
    found = []
    for _ in range(SETTLING_BLOCKS):
        before = read_usage()
        torch.ones(FAULTING_BYTES, dtype=torch.int8)
        found.append(read_usage().since(before).minor_faults)
    return min((faults for faults in found if faults is not None), default=None)


def _matmul_rate(dtype: torch.dtype, device: str, watch: Stopwatch) -> float:
    """The best rate over growing sizes.

    Some products have no fast kernel (float16 on a CPU can take minutes); the sizes end where a
    call grows long.
    """
    rate = 0.0
    largest = LARGEST_SIZE_CUDA if device.startswith("cuda") else LARGEST_SIZE
    size = min(SMALLEST_SIZE, largest)
    while True:
        drawn = (torch.randn(size, size, device=device) for _ in range(3))
        left, right, product = (one.to(dtype) for one in drawn)
        multiply = partial(torch.mm, left, right, out=product)
        once_s = quickest_s(multiply, watch, for_s=TRIAL_S)
        rate = max(rate, 2 * size**3 / once_s)
        if once_s > LONGEST_CALL_S:
            return rate
        if size >= largest:
            return max(rate, 2 * size**3 / quickest_s(multiply, watch, for_s=READINGS_S))
        size *= 2


def _core_rate(dtype: torch.dtype, watch: Stopwatch) -> float:
    """The rate of one thread, whose product is over before another program gets its core.

    Threads wait for one another: with other programs on the cores, all of them together may be
    slower than one.
    """
    left, right, product = (torch.randn(3, SMALLEST_SIZE, SMALLEST_SIZE).to(dtype)).unbind()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        once_s = quickest_s(partial(torch.mm, left, right, out=product), watch, for_s=READINGS_S)
    finally:
        torch.set_num_threads(threads)
    return 2 * SMALLEST_SIZE**3 / once_s


def _exp_rate(dtype: torch.dtype, watch: Stopwatch) -> float:
    numbers = torch.rand(EXP_ELEMENTS).to(dtype)
    exp = partial(torch.exp, numbers, out=numbers.clone())
    return EXP_ELEMENTS / quickest_s(exp, watch, for_s=READINGS_S)


def _fault_s() -> float | None:
    """Seconds of touching a page for the first time: fresh memory against the same memory again."""
    import mmap

    gc.collect()
    costs: list[float] = []
    for _ in range(3):
        with mmap.mmap(-1, FAULTING_BYTES) as block:
            pages = torch.frombuffer(block, dtype=torch.int8)[::PAGE_BYTES]
            usages: list[Any] = [read_usage()]
            for _ in range(2):
                pages.fill_(1)
                usages.append(read_usage())
            del pages
            first, again = (b.since(a) for a, b in itertools.pairwise(usages))
        faults = (first.minor_faults or 0) - (again.minor_faults or 0)
        if faults > 0:
            costs.append(max(0.0, first.wall_s - again.wall_s) / faults)
    return min(costs, default=None)
