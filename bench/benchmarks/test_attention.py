"""Implementations over n and d, compared at equal sizes: `pytest --benchmark-only`.

Every cell is checked against the oracle before it is timed; `extra_info` carries the case, so that
`attnscale fit` and `attnscale report` read the JSON of `--benchmark-json`.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.checks.gate import Admission, Gate, cases_for
from bench.checks.run_situation import verify
from bench.plan.cells import Cell, cells_of, unmeasured_record
from bench.plan.plan import load_preset
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import prepare
from implementations.case import Case
from implementations.catalogue import load

CELLS = {
    f"{cell.implementation.name}-n{cell.case.seq_len}-d{cell.case.d_model}": cell
    for cell in cells_of(load_preset("benchmark"))
}
# Together with some 130 cells this keeps the whole session under three minutes.
SECONDS_PER_CELL = 0.25


@cache
def admission(name: str, case: Case) -> Admission:
    """The gate's answer for cells of this kind; asked once an implementation."""
    results = verify(load(name), cases_for([case]))
    return Gate(results).admits(name, case)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
@pytest.mark.benchmark(max_time=SECONDS_PER_CELL, min_rounds=3, warmup=True, warmup_iterations=1)
def test_attention(benchmark: BenchmarkFixture, cell: Cell) -> None:
    """Time one cell, if its implementation is right."""
    # As `quick` measures: on a busy machine two threads wait for each other in every region.
    torch.set_num_threads(1)
    case, implementation = cell.case, cell.implementation
    kind = Case(seq_len=0, head_dim=0, dtype=case.dtype, device=case.device, pass_=case.pass_)
    answer = admission(implementation.name, kind)
    assert answer.status == "pass", answer.reason

    benchmark.group = f"n={case.seq_len} d={case.d_model}"
    known = unmeasured_record(cell).to_dict()
    known.update(
        status="measured",
        threads=torch.get_num_threads(),
        max_error=answer.max_error,
        allowed_error=answer.allowed_error,
    )
    benchmark.extra_info.update({k: v for k, v in known.items() if v is not None})
    ready = prepare(implementation, make_inputs(case), case)
    with ready.conditions():
        benchmark(ready.call)
