import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.fit import fit
from reports.judgement import Verdict

Sweep = Callable[..., pd.DataFrame]

LAW = [(1.0, "n^2*d"), (20.0, "n*d")]
MIB = 2**20


def scores_bytes(table: pd.DataFrame) -> pd.Series:
    return 8 * table["seq_len"] ** 2 * table["d_model"] // 64


def names(found: Any) -> list[str]:
    return [regime.name for regime in found.regimes if regime.name != "overhead"]


def test_a_jump_where_faults_begin_is_called_page_fault(sweep: Sweep) -> None:
    table = sweep(LAW, factor=lambda n, d: np.where(n * n * d > 2**28, 2.6, 1))
    faulting = table["seq_len"] ** 2 * table["d_model"] > 2**28
    table["workspace_bytes"] = scores_bytes(table)
    table["minor_faults"] = np.where(faulting, 3 * table["workspace_bytes"] / 8192, 2.0)
    found = fit(table)
    assert found.verdict is Verdict.CONFIRMED
    assert "regime_change" in found.reasons
    assert names(found) == ["regime 1", "page-fault"]
    assert "minor faults a call" in found.regimes[-1].evidence
    times = re.search("the cost is ([0-9.]+) times", found.regimes[-1].evidence)
    assert times is not None
    assert float(times.group(1)) == pytest.approx(2.6, rel=0.1)


def test_a_jump_where_the_workspace_leaves_a_cache_is_called_memory_bound(sweep: Sweep) -> None:
    table = sweep(LAW, factor=lambda n, d: np.where(8 * n * n * d / 64 > 32 * MIB, 1.8, 1))
    table["workspace_bytes"] = scores_bytes(table)
    info = {"machine": {"caches_bytes": {"L1d": 49152, "L2": MIB, "L3": 32 * MIB}}}
    found = fit(table, info=info)
    assert found.verdict is Verdict.CONFIRMED
    assert names(found) == ["in-cache", "memory-bound"]


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


def test_a_smooth_law_has_no_break(sweep: Sweep) -> None:
    for seed in range(5):
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
