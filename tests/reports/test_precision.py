"""When a sweep may stop: by the widths of the exponents' intervals, whatever the verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.precision import is_known

SEQ_LENS = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)


@pytest.fixture
def run(tmp_path: Path, record: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """A run of one implementation whose cost grows as n to a power.

    `scatter` is how processes differ, `misfit` how cells lie off the law, both relative.
    """

    def make(*, power: float = 2.0, scatter: float = 0.0, misfit: float = 0.0) -> Path:
        rng = np.random.default_rng(3)
        rows = []
        for n in SEQ_LENS:
            cost_s = 1e-9 * n**power * np.exp(rng.normal(0, misfit))
            for worker in range(3):
                time_s = float(cost_s * np.exp(rng.normal(0, scatter)))
                own = {"samples_s": [time_s, 1.3 * time_s], "time_s": time_s, "time_min_s": time_s}
                sizes = {"seq_len": n, "key_len": n}
                rows.append(record(schema=2, round=worker, worker=worker, **own, **sizes))
        lines = [json.dumps(row) for row in rows]
        (tmp_path / "records.jsonl").write_text("\n".join(lines) + "\n")
        (tmp_path / "run.json").write_text("{}")
        return tmp_path

    return make


def test_exponents_as_narrow_as_asked_are_known(run) -> None:
    folder = run(scatter=0.005)

    assert is_known(folder, 0.05)
    assert not is_known(folder, 0.002)


def test_scatter_that_more_readings_would_narrow_is_waited_for(run) -> None:
    assert not is_known(run(scatter=0.08), 0.02)


def test_where_cells_lie_off_their_law_more_readings_would_not_help(run) -> None:
    assert is_known(run(scatter=0.002, misfit=0.06), 0.02)


@pytest.mark.parametrize("power", [1.5, 2.0, 2.5])
def test_verdicts_do_not_matter(run, power) -> None:
    """Claimed is n^2: one is confirmed, two are refuted, all are known as well."""
    folder = run(power=power, scatter=0.003)

    assert is_known(folder, 0.05)
    assert not is_known(folder, 0.001)
