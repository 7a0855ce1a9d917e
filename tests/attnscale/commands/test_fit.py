"""The command `fit` as its users meet it: tables in files, text or one document out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from tests.attnscale.commands.some_fits import Grid, Run, document_of, refused


@pytest.mark.parametrize(
    ("exponent", "code"),
    [(2, DONE), (3, FAILED), (2.1, INCONCLUSIVE)],
)
def test_the_exit_code_is_the_verdict(fit: Run, grid: Grid, exponent: float, code: int) -> None:
    shown = fit(grid(exponent=exponent), "--json")
    verdict = {0: "confirmed", 1: "refuted", 3: "inconclusive"}[code]
    assert (document_of(shown)["verdict"], shown.code, shown.err) == (verdict, code, "")


def test_three_cells_judge_nothing(fit: Run, write) -> None:
    short = write("short.csv", "seq_len,d_model,time_s\n64,32,1e-3\n128,32,4e-3\n64,64,2e-3\n")
    assert fit(short).code == INCONCLUSIVE


def test_predictions_and_budgets_are_lines_below_the_verdicts(fit: Run, grid: Grid) -> None:
    questions = ["--predict", "n=65536,d=1024", "--predict", "d=64,n=512", "--budget", "2s,d=128"]
    shown = fit(grid(), *questions)
    assert (shown.code, shown.err) == (DONE, "")
    far, near, largest = shown.out.splitlines()[-3:]
    assert far.startswith("all rows: n = 65536, d = 1024 would cost about 1.2")
    assert "n is 32 times the largest measured and d is 2 times the largest measured" in far
    assert near.startswith("all rows: n = 512, d = 64 would cost about 17.")
    assert near.endswith("; this lies inside the measured range")
    assert largest.startswith("all rows: n up to about 3,9")
    assert " at d = 128 stays within 2 s " in largest


def test_predictions_and_budgets_are_keys_of_the_document(fit: Run, grid: Grid) -> None:
    plain = document_of(fit(grid(), "--json"))
    questions = ["--predict", "n=65536,d=1024", "--predict", "n=512,d=64", "--budget", "2s,d=128"]
    found = document_of(fit(grid(), *questions, "--json"))
    assert set(found) - set(plain) == {"predictions", "budgets"}
    far, near = found["predictions"]
    assert far["sizes"] == {"n": 65536, "d": 1024}
    assert far["low"] < 1e-9 * 65536**2 * 1024 < far["high"]
    assert far["beyond"] == {"n": 32, "d": 2}
    assert (near["confidence"], near["beyond"]) == (0.95, {})
    (largest,) = found["budgets"]
    assert (largest["name"], largest["budget"], largest["at"]) == ("n", 2, {"d": 128})
    assert largest["low"] < (2e9 / 128) ** 0.5 < largest["high"]
    assert {c["faster"] for c in found["crossovers"] if c["slower"] == "1"} == {"n^2*d"}
    assert (found["value"], found["statistic"], found["readings"]) == ("time_s", "median", 30)


def test_a_budget_of_memory_judges_the_workspace(fit: Run, grid: Grid) -> None:
    shown = fit(grid(), "--claim", "n^2", "--budget", "24GiB", "--json")
    found = document_of(shown)
    assert (found["value"], shown.code) == ("workspace_bytes", DONE)
    (largest,) = found["budgets"]
    assert largest["estimate"] == pytest.approx((24 * 2**30 / 4) ** 0.5, rel=0.001)


def test_predictions_where_nothing_was_fitted_are_a_line_and_no_failure(fit: Run, write) -> None:
    path = write("short.csv", "seq_len,d_model,time_s\n64,32,1e-3\n128,32,4e-3\n64,64,2e-3\n")
    shown = fit(path, "--predict", "n=65536,d=1024", "--budget", "3s")
    assert (shown.code, shown.err) == (INCONCLUSIVE, "")
    said = [line for line in shown.out.splitlines() if "nothing was fitted" in line]
    assert said == ["all rows: nothing was fitted, so nothing can be predicted"]
    found = document_of(fit(path, "--predict", "n=65536,d=1024", "--json"))
    assert found["predictions"] == []
    assert found["unanswered"] == "nothing was fitted, so nothing can be predicted"


@pytest.mark.parametrize(
    ("letters", "claim"),
    [("n=w,d=hw", "n^2*d"), ("w=w,hw=hw", "w^2*hw"), ("n1=w,k_2=hw", "n1^2*k_2")],
)
def test_size_names_are_free(fit: Run, grid: Grid, letters: str, claim: str) -> None:
    first, second = (pair.split("=")[0] for pair in letters.split(","))
    sizes = [argument for pair in letters.split(",") for argument in ("--size", pair)]
    question = ["--predict", f"{first}=65536,{second}=1024"]
    found = document_of(fit(grid(header="w,hw"), *sizes, "--claim", claim, *question, "--json"))
    assert found["verdict"] == "confirmed"
    (far,) = found["predictions"]
    assert far["low"] < 1e-9 * 65536**2 * 1024 < far["high"]


def test_sizes_may_be_called_by_their_columns(fit: Run, grid: Grid) -> None:
    question = ["--predict", "seq_len=65536,d_model=1024"]
    found = document_of(fit(grid(), "--claim", "seq_len^2*d_model", *question, "--json"))
    assert found["verdict"] == "confirmed"
    assert found["predictions"][0]["sizes"] == {"seq_len": 65536, "d_model": 1024}


def test_a_document_can_hold_whatever_tells_groups_apart(
    fit: Run, grid: Grid, tmp_path: Path
) -> None:
    table = pd.read_csv(grid())
    days = [table.assign(day=pd.Timestamp(day)) for day in ("2024-02-03", "2024-02-05")]
    path = tmp_path / "days.parquet"
    pd.concat(days).to_parquet(path)
    found = json.loads(fit(path, "--by", "day", "--json").out)["fits"]
    assert [one["group"]["day"][:10] for one in found] == ["2024-02-03", "2024-02-05"]


def test_the_minimum_of_readings_is_taken_where_it_is_asked_for(fit: Run, write) -> None:
    rows = [
        f"{n},{time}"
        for n in (2**k for k in range(4, 14))
        for time in (n**2 * 1e-9, n**2 * 1.05e-9)
    ]
    path = write("twice.csv", "\n".join(["seq_len,time_s", *rows]))
    quick, usual = (
        document_of(fit(path, "--claim", "n^2", "--statistic", name, "--json"))
        for name in ("min", "median")
    )
    assert (quick["statistic"], usual["statistic"]) == ("min", "median")
    assert quick["terms"][0]["coefficient"] == pytest.approx(1e-9, rel=1e-6)
    assert usual["terms"][0]["coefficient"] == pytest.approx(1.025e-9, rel=1e-6)


def test_rows_are_chosen_and_lost_ones_are_said(fit: Run, write) -> None:
    rows = [
        f"{n},{heads},{cost},{status}"
        for n in (2**k for k in range(5, 14))
        for heads, cost, status in (
            (16, 1e-9 * n**2, "ok"),
            (16, 1e-9, "failed"),
            (4, 1e-9 * n**3, "ok"),
        )
    ]
    path = write("table.csv", "\n".join(["n,heads,time_s,status", *rows, "16384,16,OOM,ok"]))
    chosen = ["--size", "n=n", "--claim", "N^2", "--where", "heads=16", "--where", "status=ok"]
    shown = fit(path, *chosen, "--json")
    assert (document_of(shown)["verdict"], shown.code) == ("confirmed", DONE)
    assert document_of(shown)["reasons"] == ["censored_cells"]
    (line,) = shown.err.splitlines()
    assert line.endswith("1 row has no usable time_s and is left out, such as 'OOM' in row 28")
    failed = fit(path, *chosen[:-2], "--json")
    assert "9 rows have no measurement by their status and are left out" in failed.err
    assert "--where heads=8 leaves no row; heads is 16 in 19 rows, 4 in 9 rows" in refused(
        fit(path, "--where", "heads=8")
    )


def test_every_column_of_a_wide_table_is_judged_in_one_unit(fit: Run, write) -> None:
    rows = [f"{n},{1e-6 * n**2},{1e-6 * n}" for n in (2**k for k in range(5, 14))]
    path = write("wide.csv", "\n".join(["n,time_a_ms,time_b_s", *rows]))
    shown = fit(path, "--size", "n=n", "--value", "time_*", "--claim", "n^2", "--json")
    fits = json.loads(shown.out)["fits"]
    assert [(one["group"]["implementation"], one["verdict"]) for one in fits] == [
        ("time_a_ms", "confirmed"),
        ("time_b_s", "refuted"),
    ]
    assert {one["value"] for one in fits} == {"time (s)"}
    assert shown.code == FAILED


def test_a_budget_is_asked_in_the_unit_of_another_column(fit: Run, write) -> None:
    rows = [f"{n},{1e-3 * n**2},us/op" for n in (2**k for k in range(5, 14))]
    path = write("jmh.csv", "\n".join(["n,Score,Unit", *rows]))
    arguments = ["--size", "n=n", "--value", "score", "--claim", "n^2", "--budget", "4ms"]
    (largest,) = document_of(fit(path, *arguments, "--json"))["budgets"]
    assert largest["estimate"] == pytest.approx(2000, rel=0.01)


def test_readings_of_two_kinds_are_judged_once_the_kind_is_averaged_over(fit: Run, write) -> None:
    rows = [f"{2**k},{h},{0.02 + 4**k * h * 1e-7}" for k in range(8, 16) for h in (4, 16)]
    path = write("mixed.csv", "\n".join(["n,heads,time_s", *rows]))
    arguments = [path, "--size", "n=n", "--claim", "n^2"]

    mixed = fit(*arguments, "--json")
    assert (mixed.code, document_of(mixed)["verdict"]) == (INCONCLUSIVE, "inconclusive")
    assert document_of(mixed)["reasons"] == ["mixed_readings"]
    (setting,) = document_of(mixed)["mixed"]
    assert (setting["column"], setting["values"]) == ("heads", ["4", "16"])
    assert "--average heads" in fit(*arguments).out

    averaged = fit(*arguments, "--average", "heads", "--explain")
    assert averaged.code == DONE
    assert "mean over heads" in averaged.out
    named = ["--size", "h=heads", "--by", "heads", "--claim", "n^2"]
    assert fit(*arguments, "--by", "heads").code == DONE
    assert "heads" in refused(fit(path, "--size", "n=n", *named))


def test_several_columns_are_averaged_over_by_commas_or_by_repeating(fit: Run, write) -> None:
    rows = [
        f"{2**k},{h},{kind},{0.02 + 4**k * h * by * 1e-7}"
        for k in range(8, 16)
        for h in (4, 16)
        for kind, by in (("float16", 1), ("float32", 2.5))
    ]
    path = write("mixed.csv", "\n".join(["n,heads,dtype,time_s", *rows]))
    arguments = [path, "--size", "n=n", "--claim", "n^2"]

    once = fit(*arguments, "--average", "heads,dtype", "--json")
    twice = fit(*arguments, "--average", "heads", "--average", "dtype", "--json")
    assert {one["verdict"] for one in json.loads(once.out)["fits"]} == {"confirmed"}
    assert once.out == twice.out


@pytest.fixture
def shapes(write) -> Path:
    """Seven shapes of five sizes: a published table with three digits and some noise."""
    rng = np.random.default_rng(3)
    rows = []
    for shape in range(7):
        scale = 10 ** rng.uniform(-9, -7)
        for n in (512, 1024, 2048, 4096, 8192):
            cost = scale * n**2 * np.exp(rng.normal(0, 0.015))
            rows.append(f"s{shape},{n},{cost:.3g}")
    return write("shapes.csv", "\n".join(["shape,n,time_s", *rows]))


def test_thin_groups_are_confirmed_together(fit: Run, shapes: Path) -> None:
    shown = fit(shapes, "--size", "n=n", "--by", "shape", "--claim", "n^2", "--json")
    document = json.loads(shown.out)

    assert shown.code == DONE
    assert {one["verdict"] for one in document["fits"]} == {"inconclusive"}
    assert len(document["fits"]) == 7
    assert {key: document["together"][key] for key in ("claim", "groups", "cells", "verdict")} == {
        "claim": "n^2",
        "groups": 7,
        "cells": 35,
        "verdict": "confirmed",
    }


def test_thin_groups_are_refuted_together(fit: Run, shapes: Path) -> None:
    shown = fit(shapes, "--size", "n=n", "--by", "shape", "--claim", "n^3")

    assert shown.code == FAILED
    assert "All 7 groups together: " in shown.out
    assert "which refutes the claim n^3." in shown.out


def test_groups_that_need_no_others_are_not_judged_together(fit: Run, write) -> None:
    rows = [f"{g},{2**k},{g * 1e-9 * 4**k}" for g in (1, 2, 3, 4) for k in range(7, 17)]
    path = write("long.csv", "\n".join(["group,n,time_s", *rows]))
    arguments = [path, "--size", "n=n", "--by", "group", "--claim", "n^2"]

    shown = fit(*arguments, "--json")
    assert (list(json.loads(shown.out)), shown.code) == (["fits"], DONE)
    assert "together" not in fit(*arguments).out


def test_what_thin_cells_are_consistent_with_stands_in_the_document(fit: Run, write) -> None:
    rows = [f"{2**k},{1e-9 * 4**k}" for k in range(8, 13)]
    path = write("five.csv", "\n".join(["n,time_s", *rows]))
    arguments = [path, "--size", "n=n", "--claim"]

    shown = fit(*arguments, "n^2", "--json")
    document = document_of(shown)
    assert (shown.code, document["reasons"]) == (INCONCLUSIVE, ["too_few_sizes"])
    assert document["consistent_with"] == ["n^2"]
    assert {"1", "n", "n^3"} <= set(document["excluded"])
    assert "consistent with n²" in fit(*arguments, "n^2").out
    assert fit(*arguments, "n").code == FAILED


def test_reasons_are_one_line_each_until_they_are_asked_for(fit: Run, grid: Grid) -> None:
    brief, whole = fit(grid(exponent=3)), fit(grid(exponent=3), "--explain")

    assert brief.code == whole.code == FAILED
    (line,) = [one for one in brief.out.splitlines() if "exponent outside tolerance. " in one]
    assert line.startswith("✗ all rows: ")
    assert line.endswith("(why: --explain)")
    assert "exponent_outside_tolerance (all rows): " in whole.out
    assert "These cells confirm the claim n³d" not in brief.out


def test_two_runs_stay_apart_whatever_makes_groups(fit: Run, write) -> None:
    paths = [
        write(
            f"{name}.csv", "\n".join(["n,kind,time_s", *(f"{2**k},a,{cost(k)}" for k in range(9))])
        )
        for name, cost in (("one", lambda k: 1e-3 * 4**k), ("two", lambda k: 1e-3 * 8**k))
    ]

    shown = fit(*paths, "--size", "n=n", "--claim", "n^2", "--by", "kind", "--json")

    fits = {one["group"]["run"]: one["verdict"] for one in json.loads(shown.out)["fits"]}
    assert fits == {"one": "confirmed", "two": "refuted"}
