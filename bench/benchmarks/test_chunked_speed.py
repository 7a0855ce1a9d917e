"""The chunked cores against SDPA, timed in turn in one process; heads of 64.

`extra_info` holds the speed relative to SDPA: of the quickest readings, and as median and quartiles
over the turns. The times of the benchmark's own table are whole comparisons; only the ratios mean
something on a shared machine. The table of docs/chunked_cores.md is made of such a record.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from itertools import product

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.benchmarks.alternate import speedups
from bench.checks.gate import Gate, cases_for
from bench.checks.run_situation import verify
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import prepare
from bench.timing.stopwatch import CpuStopwatch
from implementations.blocks import HALF, working_dtype
from implementations.case import Case, Pass
from implementations.catalogue import load

CORES = ("query_chunked", "online_softmax")
SECONDS_EACH = 0.6
SHAPES = ((1, 128), (1, 256), (8, 128), (1, 1024), (8, 1024), (1, 4096))
SERIES: tuple[tuple[str, Pass, int], ...] = (
    ("float32", "forward", 1),
    ("float32", "forward", 2),
    ("bfloat16", "forward", 1),
    ("float16", "forward", 1),
    ("float32", "forward_backward", 1),
)
CELLS = list(product(SERIES, SHAPES))


@cache
def is_right(name: str, dtype: str) -> bool:
    """The gate's answer, asked once a core and dtype, of both passes."""
    kind = Case(seq_len=0, head_dim=0, dtype=dtype, pass_="forward_backward")
    return Gate(verify(load(name), cases_for([kind]))).admits(name, kind).status == "pass"


def instructions() -> str:
    """What this processor computes with, as torch tells it."""
    half = [
        str(dtype).removeprefix("torch.")
        for dtype in HALF
        if working_dtype(torch.empty(0, dtype=dtype)) == dtype
    ]
    products = f"products in {' and '.join(half)}" if half else "no products in half precision"
    return f"{torch.backends.cpu.get_cpu_capability()}, {products}"


@pytest.mark.parametrize(
    ("series", "shape"),
    CELLS,
    ids=["-".join(map(str, (*series, *shape))) for series, shape in CELLS],
)
def test_chunked_speed_relative_to_sdpa(
    benchmark: BenchmarkFixture, series: tuple[str, Pass, int], shape: tuple[int, int]
) -> None:
    """Record how much faster than SDPA the chunked cores are."""
    (dtype, pass_, threads), (num_heads, seq_len) = series, shape
    case = Case(num_heads=num_heads, seq_len=seq_len, head_dim=64, dtype=dtype, pass_=pass_)
    for name in ("sdpa", *CORES):
        assert is_right(name, dtype)
    torch.set_num_threads(threads)
    ready = {name: prepare(load(name), make_inputs(case), case) for name in ("sdpa", *CORES)}
    baseline = ready.pop("sdpa")
    calls = {name: one.call for name, one in ready.items()}
    benchmark.group = f"turns of sdpa, {' and '.join(CORES)}: {case}, threads: {threads}"
    with baseline.conditions():  # of all of them: the same case
        found = benchmark.pedantic(  # type: ignore[no-untyped-call]  # pytest-benchmark does not type it
            speedups, (baseline.call, calls, CpuStopwatch()), {"for_s": SECONDS_EACH}, rounds=1
        )
    benchmark.extra_info.update(
        dtype=dtype,
        num_heads=num_heads,
        seq_len=seq_len,
        head_dim=case.head_dim,
        threads=threads,
        allocator="default",
        instructions=instructions(),
        speed_relative_to_sdpa={name: asdict(one) for name, one in found.items()},
    )
    benchmark.extra_info["pass"] = pass_
    assert set(found) == set(CORES)
