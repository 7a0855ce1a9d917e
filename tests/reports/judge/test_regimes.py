import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.judge.result import Verdict
from tests.daily import daily
from tests.reports.judge.once import fit

Sweep = Callable[..., pd.DataFrame]

LAW = [(1.0, "n^2*d"), (20.0, "n*d")]
MIB = 2**20
SEE = "(docs/measuring.md)"


def scores_bytes(table: pd.DataFrame) -> pd.Series:
    return 8 * table["seq_len"] ** 2 * table["d_model"] // 64


def names(found: Any) -> list[str]:
    return [regime.name for regime in found.regimes if regime.name != "overhead"]


def evidence(found: Any) -> str:
    return str(found.regimes[-1].evidence)


def faulting(sweep: Sweep, times: Callable[[Any], Any]) -> pd.DataFrame:
    """A sweep whose cost jumps at n²·d above 2^28, where faults are so many times the workspace.

    The workspace of some cells is unknown, so that no threshold in it or in the faults a byte can
    be tried: as in a run that read it in one visit, which was set aside.
    """
    table = sweep(LAW, factor=lambda n, d: np.where(n * n * d > 2**28, 2.6, 1))
    size = table["seq_len"] ** 2 * table["d_model"]
    table["workspace_bytes"] = scores_bytes(table).where(size != 2**26)
    table["minor_faults"] = times(size) * scores_bytes(table) / 4096
    return table


def in_transition(size: Any) -> Any:
    """No faults up to 2^24, 1.5 times the workspace above 2^28, ever more between."""
    rising = np.select([size == 2**k for k in range(25, 29)], [0.005, 0.02, 0.1, 0.4])
    return np.where(size > 2**28, 1.5, rising)


def test_a_jump_in_sizes_is_put_down_to_the_faults_that_begin_there(sweep: Sweep) -> None:
    found = fit(faulting(sweep, in_transition), info={"allocator": "default"})
    assert found.verdict is Verdict.CONFIRMED
    assert names(found) == ["regime 1", "page-fault"]
    assert evidence(found).startswith(
        "n²·d at least 536,870,912, where page faults of 1.5 times the workspace a call begin (0 "
    )
    assert evidence(found).endswith("; --allocator pinned keeps the memory " + SEE)
    pinned = fit(faulting(sweep, in_transition), info={"allocator": "pinned"})
    assert "--allocator" not in evidence(pinned)


@pytest.mark.parametrize(
    "times",
    [
        lambda size: np.where(size > 2**28, 0.4, 0.0),
        lambda size: np.full(len(size), 1.5),
        lambda size: np.where(size > 2**30, 1.5, in_transition(size / 4)),
        lambda size: np.full(len(size), np.nan),
    ],
    ids=["too few", "everywhere", "elsewhere", "unknown"],
)
def test_faults_that_do_not_begin_at_the_jump_are_not_its_cause(
    sweep: Sweep, times: Callable[[Any], Any]
) -> None:
    found = fit(faulting(sweep, times))
    assert "regime_change" in found.reasons
    assert "page faults" not in evidence(found)


def test_a_cost_that_falls_where_faults_begin_is_not_put_down_to_them(sweep: Sweep) -> None:
    table = faulting(sweep, in_transition)
    beyond = table["seq_len"] ** 2 * table["d_model"] > 2**28
    table["time_s"] = np.where(beyond, table["time_s"] / 2.6**2, table["time_s"])
    found = fit(table)
    assert "regime_change" in found.reasons
    assert names(found) == ["regime 1", "regime 2"]


def test_a_jump_in_sizes_where_the_workspace_leaves_a_cache_is_put_down_to_it(
    sweep: Sweep,
) -> None:
    table = sweep(LAW, factor=lambda n, d: np.where(8 * n * n * d / 64 > 32 * MIB, 1.8, 1))
    # Unknown in one cell, so that only sizes can be tried for a threshold.
    table["workspace_bytes"] = scores_bytes(table).where(table["d_model"] * table["seq_len"] > 8192)
    info = {"machine": {"caches_bytes": {"L1d": 49152, "L2": MIB, "L3": 32 * MIB}}}
    found = fit(table, info=info)
    assert names(found) == ["in-cache", "memory-bound"]
    assert "where the working set outgrows the L3 cache of 32 MiB; the cost is" in evidence(found)


def test_a_jump_where_faults_begin_is_called_page_fault(sweep: Sweep) -> None:
    table = sweep(LAW, factor=lambda n, d: np.where(n * n * d > 2**28, 2.6, 1))
    faulting = table["seq_len"] ** 2 * table["d_model"] > 2**28
    table["workspace_bytes"] = scores_bytes(table)
    table["minor_faults"] = np.where(faulting, 3 * table["workspace_bytes"] / 8192, 2.0)
    found = fit(table)
    assert found.verdict is Verdict.CONFIRMED
    assert "regime_change" in found.reasons
    assert names(found) == ["regime 1", "page-fault"]
    assert "where page faults of 1.5 times the workspace a call begin (0" in evidence(found)
    times = re.search("the cost is ([0-9.]+) times", evidence(found))
    assert times is not None
    assert float(times.group(1)) == pytest.approx(2.6, rel=0.1)


def test_a_jump_where_the_workspace_leaves_a_cache_is_called_memory_bound(sweep: Sweep) -> None:
    table = sweep(LAW, factor=lambda n, d: np.where(8 * n * n * d / 64 > 32 * MIB, 1.8, 1))
    table["workspace_bytes"] = scores_bytes(table)
    info = {"machine": {"caches_bytes": {"L1d": 49152, "L2": MIB, "L3": 32 * MIB}}}
    found = fit(table, info=info)
    assert found.verdict is Verdict.CONFIRMED
    assert names(found) == ["in-cache", "memory-bound"]


def test_a_workspace_of_twice_a_cache_and_some_bytes_outgrows_that_cache(sweep: Sweep) -> None:
    table = sweep(LAW, factor=lambda n, d: np.where(8 * n * n * d / 64 > 2 * MIB, 1.8, 1))
    table["workspace_bytes"] = scores_bytes(table) + 16
    info = {"machine": {"caches_bytes": {"L1d": 49152, "L2": MIB, "L3": 32 * MIB}}}
    found = fit(table, info=info)
    assert "where the working set outgrows the L2 cache of 1 MiB" in evidence(found)


def test_a_jump_without_recorded_cause_is_only_numbered(sweep: Sweep) -> None:
    found = fit(sweep(LAW, factor=lambda n, d: np.where(n > 1024, 2.0, 1)))
    assert names(found) == ["regime 1", "regime 2"]
    first, second = found.regimes[-2:]
    assert first.end == 1024
    assert second.start == 2048


def test_a_cache_far_from_the_jump_lends_it_no_name(sweep: Sweep) -> None:
    table = sweep(LAW, factor=lambda n, d: np.where(8 * n * n * d / 64 > 32 * MIB, 1.8, 1))
    table["workspace_bytes"] = scores_bytes(table)
    found = fit(table, info={"machine": {"caches_bytes": {"L1d": 49152, "L3": None}}})
    assert names(found) == ["regime 1", "regime 2"]


@pytest.mark.parametrize("seed", daily(range(5)))
def test_a_smooth_law_has_no_break(sweep: Sweep, seed: int) -> None:
    found = fit(sweep(LAW, seed=seed, overhead=0.0))
    assert names(found) == ["regime 1"]
    assert "regime_change" not in found.reasons


def test_sizes_that_are_mostly_overhead_are_marked(sweep: Sweep) -> None:
    found = fit(sweep([(1.0, "n^2*d")], overhead=1.0))
    light = found.regimes[0]
    assert (light.name, light.start) == ("overhead", 128)
    assert light.end < 2048


def test_running_near_the_matmul_peak_is_called_compute_bound(sweep: Sweep) -> None:
    table = sweep(LAW, overhead=0.0)
    table["flops"] = 4 * table["seq_len"] ** 2 * table["d_model"]
    fast = {"ceilings": {"cpu/float32": {"matmul_flops_per_s": 5e9}}}
    slow = {"ceilings": {"cpu/float32": {"matmul_flops_per_s": 5e10}}}
    disturbed = {"ceilings": {"cpu/float32": {"matmul_flops_per_s": 1e9}}}
    assert names(fit(table, info=fast)) == ["compute-bound"]
    assert names(fit(table, info=slow)) == ["regime 1"]
    assert names(fit(table, info=disturbed)) == ["regime 1"]


def test_run_information_that_is_null_or_odd_does_no_harm(sweep: Sweep) -> None:
    table = sweep(LAW)
    table["flops"] = 1.0
    table["workspace_bytes"] = 4096
    table["minor_faults"] = None
    odd: list[dict[str, Any]] = [
        {"machine": None, "ceilings": None},
        {"machine": {"caches_bytes": [1]}, "ceilings": {"cpu/float32": None}},
        {"machine": {"caches_bytes": {"L1d": "48K"}}, "ceilings": {"a": {}, "b": {}}},
    ]
    for info in odd:
        assert fit(table, info=info).verdict is Verdict.CONFIRMED
