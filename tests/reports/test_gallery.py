"""The committed reference runs: judged by today's rules, they say what is right."""

import re
from pathlib import Path
from typing import Any

import pytest

from reports.judge.every_cost import fit_beside
from reports.judge.fit import WORKSPACE
from reports.judge.fit_groups import fit_groups
from reports.judge.judge import judge
from reports.judge.result import Verdict
from reports.tables.read import read_table, read_tables
from tests.daily import daily

GALLERY = Path(__file__).resolve().parents[2] / "reports" / "gallery"
RUNS = sorted(file.parent for file in GALLERY.glob("*/run.json"))
GROUPS = {"cuda": 10, "quick": 6, "table1": 6, "window": 2}  # implementations, each pass by itself
SHARED = Path(__file__).with_name("shared_machine.csv")
"""A run of schema 1, by visits, on a machine that others used for half of its time."""


@pytest.mark.parametrize("run", daily([SHARED, *RUNS]), ids=lambda run: run.name)
def test_no_claim_of_ours_is_refuted_however_noisy_the_machine_was(run):
    """Every implementation here costs what it declares.

    The medians of `shared_machine` alone refute query_chunked with n^2.32 unless ramps and minima
    are asked.
    """
    table = read_table(run)
    fits = fit_groups(table.frame, info=table.shared_info)

    assert len(fits) == GROUPS.get(run.name, 6)
    assert [one.group["implementation"] for one in fits if one.verdict is Verdict.REFUTED] == []


def test_runs_on_one_page_are_judged_as_each_by_itself():
    runs = [GALLERY / name for name in ("quick", "window")]
    verdicts = [
        [
            (fit.group["implementation"], fit.verdict, fit.counted)
            for fit in fit_beside(table, WORKSPACE)
        ]
        for table in (read_tables(runs), *map(read_table, runs))
    ]

    assert verdicts[0] == verdicts[1] + verdicts[2]


def test_a_band_follows_its_window_and_a_mask_over_all_pairs_does_not():
    table = read_table(GALLERY / "window")

    fits = fit_groups(table.frame, claim="n*w*d", info=table.shared_info)

    assert {fit.group["implementation"]: fit.verdict for fit in fits} == {
        "sliding_window": Verdict.CONFIRMED,
        "sdpa": Verdict.REFUTED,
    }


def test_of_the_gpu_alone_and_of_its_workspace_the_verdicts_are_those_of_the_documents():
    table = read_table(GALLERY / "cuda")

    def found(value: str, *verdicts: Verdict) -> list[set[tuple[object, object]]]:
        fits = fit_groups(table.frame, value=value, info=table.shared_info)
        return [
            {(f.group["implementation"], f.group["pass"]) for f in fits if f.verdict is verdict}
            for verdict in verdicts
        ]

    assert found("graph_time_s", Verdict.REFUTED, Verdict.CONFIRMED) == [
        set(),
        {("sdpa", "forward"), ("sdpa_flash", "forward")},
    ]
    assert found("workspace_bytes", Verdict.REFUTED) == [
        {("sdpa", "forward"), ("query_chunked", "forward_backward")}
    ]


def test_medians_refute_nothing_that_rests_on_a_cache_left_by_degrees(monkeypatch):
    """`query_chunked` there: n^2.32 beside a ramp, n^2.1 without, of cells that are 9 % off."""
    table = read_table(SHARED)
    rows = table.frame[table.frame["implementation"] == "query_chunked"]
    verdicts = []

    def noting(*cells: Any, **options: Any) -> Any:
        found = judge(*cells, **options)
        verdicts.append(found.verdict)
        return found

    monkeypatch.setattr("reports.judge.fit.judge", noting)
    fit_groups(rows, info=table.shared_info)

    assert verdicts[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_what_a_summary_points_to_is_there(run):
    summary = (run / "summary.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(((?:figures|tables)/[^)]+)\)", summary)

    assert len(links) > 5
    assert [link for link in links if not (run / link).is_file()] == []
