"""The chunked cores against SDPA, timed in turn: 8 heads, n 4096, head_dim 64, forward.

`extra_info` holds the speed relative to SDPA as median and quartiles over the turns. The times of
the benchmark's own table are whole turns; only the ratios mean something on a shared machine.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, partial

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.alternate import speedups
from bench.gate import Gate, cases_for
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import prepare
from bench.timing.sampling import quickest_s
from bench.timing.stopwatch import CpuStopwatch
from bench.verify import verify
from implementations.case import Case
from implementations.catalogue import load

CHUNKED = ("query_chunked", "online_softmax")
TURNS = 15
PRODUCT = 256
MUCH_SLOWER = 4.0


@cache
def product_s(dtype: str) -> float:
    """Seconds of a small product."""
    drawn = torch.ones(PRODUCT, PRODUCT, dtype=getattr(torch, dtype))
    return quickest_s(partial(torch.mm, drawn, drawn), CpuStopwatch(), for_s=0.02)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_chunked_speed_relative_to_sdpa(benchmark: BenchmarkFixture, dtype: str) -> None:
    """Record how much faster than SDPA the chunked cores are."""
    if product_s(dtype) > MUCH_SLOWER * product_s("float32"):
        pytest.skip(f"this processor has no fast products in {dtype}: the turns would take minutes")
    case = Case(num_heads=8, seq_len=4096, head_dim=64, dtype=dtype)
    for name in ("sdpa", *CHUNKED):
        gate = Gate(verify(load(name), cases_for([case])))
        assert gate.admits(name, case).status == "pass"
    benchmark.extra_info.update(threads=torch.get_num_threads(), allocator="default")
    ready = {name: prepare(load(name), make_inputs(case), case) for name in ("sdpa", *CHUNKED)}
    baseline = ready.pop("sdpa")
    calls = {name: one.call for name, one in ready.items()}
    benchmark.group = f"turns of sdpa, {' and '.join(CHUNKED)}: {case}"
    with baseline.conditions():  # of all of them: forward only
        found = benchmark.pedantic(  # type: ignore[no-untyped-call]  # pytest-benchmark does not type it
            speedups, (baseline.call, calls, CpuStopwatch()), {"turns": TURNS}, rounds=1
        )
    for name, speedup in found.items():
        benchmark.extra_info[f"{name}_speed_relative_to_sdpa"] = asdict(speedup)
        print(
            f"{name} in {dtype}: {speedup.median:.2f} times the speed of sdpa "
            f"[{speedup.lower_quartile:.2f}, {speedup.upper_quartile:.2f}]"
        )
    assert set(found) == set(CHUNKED)
