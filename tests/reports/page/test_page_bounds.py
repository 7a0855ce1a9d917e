"""The page and the summary show what bounds each implementation, energy, and caveats once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.page.page import Report, write_report
from reports.page.restated import Restated
from reports.tables.read import Table

Make = Callable[..., dict[str, Any]]

HOSTILE = "<script>|`a`*b*"
INFO: dict[str, Any] = {
    "schema": 1,
    "ceilings": {
        "cpu/float32": {
            "matmul_flops_per_s": 1e11,
            "copy_bytes_per_s": 1e10,
            "exp_per_s": 1e9,
            "launch_s": 1e-5,
            "fault_s": 1e-6,
        }
    },
    "harness": {"clock_resolution_s": 1e-9, "clock_cost_s": 4e-8, "loop_cost_s": 3e-8},
    "instruments": {"energy_j": "there is no counter"},
}


def rows(
    record: Make, name: str, lengths: Sequence[int] = (503, 2003), **changes: Any
) -> list[dict[str, Any]]:
    """Of two lengths, which are too few for a figure."""
    return [
        record(
            implementation=name,
            seq_len=n,
            key_len=n,
            time_s=2e-8 * n * n,
            flops=1000 * n * n,
            flops_executed=1200 * n * n,
            bytes_moved=10 * n * n,
            transcendentals=n * n,
            operator_launches=3,
            minor_faults=0.0,
            **changes,
        )
        for n in lengths
    ]


def written(folder: Path, made: list[dict[str, Any]], **info: Any) -> tuple[Report, str, str]:
    known = INFO | info
    table = Table(frame=pd.DataFrame(made), info=known, path=folder, runs={"night": known})
    found = write_report(Restated(table=table), [], folder)
    html = found.index.read_text(encoding="utf-8")
    section = re.search('<div id="bounds">.*?</details>', html, flags=re.DOTALL)
    assert section is not None
    summary = found.summary.read_text(encoding="utf-8")
    return found, section[0], summary.partition("## What bounds it")[2].partition("\n## ")[0]


def test_bounds_have_a_table_and_a_sentence_for_each(tmp_path: Path, record: Make) -> None:
    lengths = (503, 1009, 2003)
    hostile = rows(record, HOSTILE, lengths)
    replayed = [row | {"graph_time_s": 0.9 * row["time_s"]} for row in hostile]
    made = [*rows(record, "alpha", lengths), *replayed]
    _, section, summary = written(tmp_path, made)
    assert (
        section.count('<th scope="row">') == summary.count(", d\\_model 192 | products, 60 %") == 4
    )
    assert "<td>n 2003, d_model 192</td><td>products, 60 %</td>" in section
    assert "<li>alpha: its arithmetic, at the rate of a large matrix product, takes 60 %" in section
    assert "launch cost" in section
    assert "launch cost" in summary
    assert HOSTILE not in section + summary
    headings, ruler = re.findall(r"^\|.*\|$", summary, flags=re.MULTILINE)[:2]
    assert headings.count("|") == ruler.count("|") == 9


def test_the_table_of_bounds_has_every_cell(tmp_path: Path, record: Make) -> None:
    found, section, _ = written(tmp_path, rows(record, "alpha"))
    assert "launch cost" not in section
    path = tmp_path / "tables" / "bounds.csv"
    assert path in found.tables
    table = pd.read_csv(path)
    assert table["seq_len"].tolist() == [503, 2003]
    assert table["explained"].tolist() == pytest.approx([0.6] * 2)


def test_energy_has_a_table_only_where_it_was_measured(tmp_path: Path, record: Make) -> None:
    _, without, summary = written(tmp_path / "a", rows(record, "alpha"))
    assert "energy" not in without.lower() + summary.lower()
    _, section, summary = written(
        tmp_path / "b", rows(record, "alpha", energy_j=8.0, energy_resolution_j=0.4)
    )
    assert "<h3>Energy</h3>" in section
    assert '<td class="number">8 J</td><td class="number">5.0 %</td>' in section
    assert "| 8 J | 5.0 % | 99.7 W | 1.99 J |" in summary


def test_records_without_counts_say_that_nothing_can_be_told(tmp_path: Path, record: Make) -> None:
    _, section, summary = written(tmp_path, [record(), record(seq_len=257)])
    for text in (section, summary):
        assert "cannot be told: their operations were not counted" in text
        assert "<table" not in text
        assert "| implementation" not in text


def test_caveats_that_runs_share_are_told_once_with_all_their_names(
    tmp_path: Path, record: Make
) -> None:
    made = [{**row, "run": run} for run in ("day", "night") for row in rows(record, "alpha")]
    runs = {"day": INFO, "night": INFO | {"allocator": "default"}}
    table = Table(frame=pd.DataFrame(made), info=INFO, path=tmp_path, runs=runs)
    text = write_report(Restated(table=table), [], tmp_path).summary.read_text(encoding="utf-8")
    assert text.count("- day and night: No reading of energy: there is no counter.") == 1
    assert text.count("- night: Measured with the default allocator") == 1
    assert "- day: Measured" not in text


def test_the_environment_has_the_ceilings_and_what_the_harness_costs(
    tmp_path: Path, record: Make
) -> None:
    found, _, _ = written(tmp_path, rows(record, "alpha"))
    text = found.summary.read_text(encoding="utf-8")
    assert (
        "- Ceilings: cpu/float32: matrix products 100 GFLOP/s, copy 10 GB/s, exponentials 1 G/s, "
        "an operator launch 10 µs, a page fault 1 µs\n"
    ) in text
    assert "resolution 1 ns, a look at the clock 40 ns, a turn of the loop 30 ns\n" in text
