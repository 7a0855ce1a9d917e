"""When a sweep may stop: by the widths of the exponents' intervals, whatever the verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.judge.precision import is_known
from tests.daily import daily

SEQ_LENS = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)


@pytest.fixture
def run(tmp_path: Path, record: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """A run of one implementation whose cost grows as n to a power.

    Six rounds, of which the first half scatter by `early`, the others by `scatter`.
    """

    def make(*, power: float = 2.0, early: float = 0.0, scatter: float = 0.0) -> Path:
        rng = np.random.default_rng(3)
        rows = []
        for n in SEQ_LENS:
            for number in range(6):
                noise = early if number < 3 else scatter
                time_s = float(1e-9 * n**power * np.exp(rng.normal(0, noise)))
                own = {"samples_s": [time_s] * 7, "time_s": time_s, "time_min_s": time_s}
                sizes = {"seq_len": n, "key_len": n}
                rows.append(record(schema=2, round=number, worker=number % 3, **own, **sizes))
        lines = [json.dumps(row) for row in rows]
        (tmp_path / "records.jsonl").write_text("\n".join(lines) + "\n")
        (tmp_path / "run.json").write_text("{}")
        return tmp_path

    return make


def test_exponents_as_narrow_as_asked_are_known(run) -> None:
    folder = run(early=0.02, scatter=0.005)

    assert is_known(folder, 0.05)
    assert not is_known(folder, 0.002)


def test_an_interval_that_still_narrows_is_waited_for(run) -> None:
    assert not is_known(run(early=0.02, scatter=0.005), 0.003)


def test_an_interval_that_twice_the_readings_did_not_narrow_is_not_waited_for(run) -> None:
    assert is_known(run(early=0.06, scatter=0.06), 0.003)


def test_an_interval_too_wide_for_any_verdict_is_always_waited_for(run) -> None:
    assert not is_known(run(early=0.3, scatter=0.6), 0.003)


@pytest.mark.parametrize("power", daily([1.5, 2.5, 2.0]))
def test_verdicts_do_not_matter(run, power) -> None:
    """Claimed is n^2: one is confirmed, two are refuted, all are known as well."""
    folder = run(power=power, early=0.02, scatter=0.003)

    assert is_known(folder, 0.05)
    assert not is_known(folder, 0.001)
