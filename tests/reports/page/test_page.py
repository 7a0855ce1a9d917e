"""The report as files: complete, escaped, in one piece, the same every time, honest about gaps."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from reports.cells.cell_table import cell_table
from reports.conditions.caveats import caveats, gate, untimed
from reports.conditions.environment import environment
from reports.figures.view import views
from reports.judge.fit_groups import ClaimWarning
from reports.judge.result import Fit, Verdict
from reports.page.headline import fastest, findings
from reports.page.page import Report, ReportError, default_directory, report, write_report
from reports.page.restated import Restated
from reports.tables.read import Table, read_table
from reports.text.interval import Interval
from reports.text.wording import byte_size, interval, markdown, one_line, percent, seconds
from reports.verdicts.doubts import MARK
from reports.verdicts.table import print_verdicts, verdict_frame
from reports.verdicts.verdict_rows import verdict_rows

HOSTILE = "<script>alert('x')</script>|`a`*b*"
MARKED = HOSTILE + MARK
INFO: dict[str, Any] = {
    "schema": 1,
    "attnscale": "0.1.0",
    "created": "2026-11-20T06:30:00+00:00",
    "preset": "quick",
    "seed": 0,
    "allocator": "default",
    "threads": 2,
    "machine": {
        "cpu": "Some CPU",
        "cores_physical": 2,
        "memory_bytes": 2**34,
        "caches_bytes": {"L2": 2**20},
        "gpu": None,
    },
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "ceilings": {"cpu/float32": {"matmul_flops_per_s": 2e11, "copy_bytes_per_s": 1e10}},
    "verification": {
        "pass": 31,
        "fail": 1,
        "unsupported": 2,
        "error": 0,
        "failures": ["slow causal: off by 3"],
        "matrix": [
            {
                "implementation": name,
                "dtype": dtype,
                "area": area,
                "check": "output",
                "pass": 7,
                "fail": int(name == HOSTILE and dtype == "bfloat16"),
                "unsupported": 0,
                "error": 0,
                "case": "causal_block_65",
                "worst_error": step * (13 if name == HOSTILE and dtype == "bfloat16" else 0.5),
                "worst_allowed": step,
                "reason": None,
            }
            for name in ("alpha", HOSTILE)
            for dtype, step in (("float32", 1e-6), ("bfloat16", 1e-2))
            for area in ("causal", "masks")
        ],
    },
    "caveats": ["The room was warm by 3 %."],
}


def rows(*names: str) -> list[dict[str, Any]]:
    """Three rounds of a law n^2*d with one per cent of scatter, and one skipped cell each."""
    scatter = np.random.default_rng(5)
    made: list[dict[str, Any]] = []
    for speed, name in enumerate(names, start=1):
        for n in (128, 256, 512, 1024, 2048):
            for d in (64, 128, 256, 512):
                for round_ in range(3):
                    wanted = (n, d) != (2048, 512)
                    time = (2e-5 + 4 * n * n * d / (speed * 2e10)) * math.exp(
                        scatter.normal(0, 0.01)
                    )
                    made.append(
                        {
                            "schema": 1,
                            "implementation": name,
                            "kind": "core",
                            "pass": "forward",
                            "device": "cpu",
                            "dtype": "float32",
                            "batch": 1,
                            "num_heads": d // 64,
                            "seq_len": n,
                            "key_len": n,
                            "head_dim": 64,
                            "d_model": d,
                            "is_causal": False,
                            "mask": "none",
                            "threads": 2,
                            "round": round_,
                            "status": "measured" if wanted else "skipped",
                            "reason": None if wanted else "predicted 9 s, over the budget | 2 s",
                            "time_s": time if wanted else None,
                            "workspace_bytes": 512 * n if wanted else None,
                            "flops": 4 * n * n * d,
                            "noisy": n == 128 and round_ == 0 and d == 64,
                            "noise_reasons": ["load"] if n == 128 and d == 64 else None,
                            "growth": "heads",
                            "claim": "n^2*d",
                            "workspace_claim": "n",
                        }
                    )
    return made


def write_run(folder: Path, made: list[dict[str, Any]], info: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(info))
    lines = "".join(json.dumps(row) + "\n" for row in made)
    (folder / "records.jsonl").write_text(lines)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "some-run"
    return write_run(folder, rows("alpha", HOSTILE), INFO)


@pytest.fixture(scope="module")
def made(run: Path) -> Report:
    return report([run])


@pytest.fixture(scope="module")
def html(made: Report) -> str:
    return made.index.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def summary(made: Report) -> str:
    return made.summary.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Every element and its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_report_has_page_summary_figures_in_two_formats_and_tables(
    run: Path, made: Report
) -> None:
    assert made.path == run / "report"
    names = {path.relative_to(made.path).as_posix() for path in made.path.rglob("*.*")}
    stems = ("time_against_n", "time_against_d", "local_slope_against_n", "workspace_against_n")
    for stem in (*stems, "share_of_peak", "error_against_allowed"):
        assert {f"figures/{stem}.png", f"figures/{stem}.svg", f"tables/{stem}.csv"} <= names
    assert {"index.html", "summary.md"} <= names
    assert {f"tables/{name}.csv" for name in ("verdicts", "cells", "checks")} <= names
    assert {path.relative_to(made.path).as_posix() for path in (*made.figures, *made.tables)} == {
        name for name in names if "/" in name
    }
    assert made.left_out == ()
    assert {path.suffix for path in made.figures} == {".png", ".svg"}


def test_pngs_have_at_least_150_dots_an_inch(made: Report) -> None:
    from PIL import Image

    for path in made.figures:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.info["dpi"][0] >= 150


def test_the_page_is_one_file_that_asks_for_nothing_else(html: str) -> None:
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed")
        for name in ("src", "href", "srcset", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in html
    assert "url(" not in html


def test_embedded_figures_ask_for_nothing_else_either(html: str) -> None:
    images = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert len(images) == 6
    for image in images:
        svg = base64.b64decode(image).decode("utf-8")
        assert "<script" not in svg
        links = re.findall(r'(?:href|src)="([^"]*)"', svg)
        assert all(link.startswith("#") for link in links)


def test_every_image_has_alt_text_and_a_size(html: str) -> None:
    images = [attributes for tag, attributes in Page(html).elements if tag == "img"]
    assert images
    for attributes in images:
        assert len(attributes["alt"] or "") > 40
        assert int(attributes["width"] or 0) > 0


def test_hostile_names_are_text_and_never_markup_in_html(html: str) -> None:
    page = Page(html)
    assert HOSTILE in page.words
    assert "<script" not in html


def test_hostile_names_leave_the_markdown_tables_whole(summary: str) -> None:
    assert "<script" not in summary
    tables = [
        block.splitlines() for block in re.split(r"\n\s*\n", summary) if block.startswith("| ")
    ]
    assert len(tables) == 5  # checks, time, workspace, bounds, cells without a time
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(widths) == 1, table


def test_the_page_shows_verdicts_intervals_and_reasons(html: str, made: Report) -> None:
    words = Page(html).words
    assert all(fit.verdict is Verdict.CONFIRMED for fit in made.fits)
    assert re.search(r"2\.0\d \[1\.9\d, 2\.0\d\]", words)
    assert "censored_cells" in words
    assert "✓ confirmed" in words
    assert made.headline.startswith("Time: n^2*d confirmed for alpha and ")


def test_the_page_tells_gate_caveats_environment_and_how_to_read(html: str) -> None:
    words = Page(html).words
    for sentence in (
        "31 pass, 1 fail, 0 error and 2 unsupported",
        "slow causal: off by 3",
        f"{MARKED} failed 2 checks (causal and masks): 1 of its 20 cells has no time (1 skipped, ",
        "† was wrong in a check or in a timed call",
        "had a noisy round, which counts only where the cell has no quiet one: load (2)",
        "predicted 9 s, over the budget | 2 s",
        "Measured with the default allocator",
        "uncommitted changes",
        "The room was warm by 3 %.",
        "Some CPU",
        "16 GiB",
        "inconclusive",
        "one machine",
        "Not recorded in this run: CPU time, page faults, energy and error against the oracle.",
    ):
        assert sentence in words, sentence


def test_whether_it_is_right_stands_before_verdicts_and_times(html: str, summary: str) -> None:
    ids = [a["id"] for tag, a in Page(html).elements if tag in ("section", "figure") and a["id"]]
    assert ids[:4] == ["correctness", "error_against_allowed", "verdicts", "bounds"]
    headings = re.findall(r"^## (.*)$", summary, flags=re.MULTILINE)
    assert headings[:4] == ["Is it right?", "Verdicts", "What bounds it", "Figures"]


def test_the_matrix_names_the_failing_dtype_and_what_is_allowed(html: str, summary: str) -> None:
    for text in (Page(html).words, summary):
        assert "fail 1 (bfloat16)" in text
        assert "13 times (bfloat16 causal)" in text
        assert "50 % (float32 causal)" in text
        assert "twice the error that the plain formula itself makes in that dtype" in text
    assert "exceeds its allowance in causal and masks by up to a factor of 13" in html


def test_the_matrix_is_a_table_that_can_be_read_aloud(html: str) -> None:
    page = Page(html)
    start = next(i for i, (tag, a) in enumerate(page.elements) if a.get("class") == "matrix")
    end = next(i for i, (tag, _) in enumerate(page.elements) if i > start and tag == "figure")
    inside = page.elements[start:end]
    scopes = [a.get("scope") for tag, a in inside if tag == "th"]
    assert scopes == ["col"] * 12 + ["row"] * 2
    kinds = [a.get("class") for tag, a in inside if tag == "td"]
    assert kinds.count("fail") == 2
    assert kinds.count("pass") == 2
    assert kinds.count("unasked") == 16
    # What fails comes first.
    assert kinds.index("fail") < kinds.index("pass")


def test_the_table_of_checks_keeps_every_number(made: Report) -> None:
    table = pd.read_csv(made.path / "tables" / "checks.csv")
    assert len(table) == 8
    assert set(table["implementation"]) == {"alpha", MARKED}
    assert table["share"].max() == pytest.approx(13)
    assert list(table["fail"]) == [0] * 6 + [1] * 2


@pytest.mark.parametrize(
    ("verification", "reason"),
    [
        ({"pass": 31, "fail": 0, "unsupported": 2, "error": 0, "failures": []}, "kept no errors"),
        ({"pass": 31, "matrix": "odd"}, "kept no errors"),
        ({"pass": 31, "matrix": [{}, None, 3]}, "no check recorded both an error and"),
    ],
)
def test_an_older_run_shows_its_counts_and_why_there_is_no_figure(
    verification: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    info = INFO | {"verification": verification}
    found = report([write_run(tmp_path / "old", rows("alpha"), info)])
    assert "31 pass" in Page(found.index.read_text(encoding="utf-8")).words
    (line,) = found.left_out
    assert line.startswith("Error against allowed: ")
    assert reason in line


def test_what_is_unsupported_throughout_is_said_in_the_matrix(tmp_path: Path) -> None:
    one = {"implementation": "alpha", "dtype": "float32", "area": "dropout", "unsupported": 7}
    info = INFO | {"verification": {"unsupported": 7, "matrix": [one]}}
    found = report([write_run(tmp_path / "run", rows("alpha"), info)])
    (line,) = [
        line
        for line in found.summary.read_text(encoding="utf-8").splitlines()
        if line.startswith("| alpha |")
    ][:1]
    assert line.count("unsupported") == 1
    assert line.count("–") == 10


def test_a_table_without_a_run_says_only_that_nothing_is_known_of_checks(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows("alpha")).query("status == 'measured'")
    frame.to_csv(tmp_path / "mine.csv", index=False)
    found = report([tmp_path / "mine.csv"])
    text = Page(found.index.read_text(encoding="utf-8")).words
    start = text.rindex("Is it right?")
    assert " ".join(text[start : text.index("Verdicts", start)].split()) == (
        "Is it right? The records do not say whether the implementations were checked before "
        "timing."
    )
    assert not (found.path / "tables" / "checks.csv").exists()
    assert not any("Error against allowed" in line for line in found.left_out)


def test_a_kernel_wrong_throughout_does_not_flood_the_page(tmp_path: Path) -> None:
    failures = [f"alpha: output in case {number}" for number in range(97)]
    info = INFO | {"verification": {"pass": 0, "fail": 97, "failures": failures}}
    found = report([write_run(tmp_path / "run", rows("alpha"), info)])
    for text in (
        Page(found.index.read_text(encoding="utf-8")).words,
        found.summary.read_text(encoding="utf-8"),
    ):
        assert text.count("alpha: output in case") == 10
        assert "87 more are in run.json, under verification." in text


def test_the_page_adapts_to_dark_to_print_and_to_phones(html: str) -> None:
    for rule in ("prefers-color-scheme: dark", "@media print", 'name="viewport"', "overflow-x"):
        assert rule in html


def test_equal_records_give_equal_bytes(run: Path, made: Report, tmp_path: Path) -> None:
    again = report([run], tmp_path / "again")
    files = sorted(path for path in made.path.rglob("*") if path.is_file())
    for path in files:
        other = again.path / path.relative_to(made.path)
        assert other.read_bytes() == path.read_bytes(), path.name


def test_tables_hold_the_cells_and_the_verdicts_as_numbers(made: Report) -> None:
    cells = pd.read_csv(made.path / "tables" / "cells.csv")
    assert len(cells) == 2 * 20
    assert (cells["status"] == "skipped").sum() == 2
    assert set(cells["implementation"]) == {"alpha", MARKED}
    assert (cells.loc[cells["status"] == "measured", "rounds"] == 3).all()
    verdicts = pd.read_csv(made.path / "tables" / "verdicts.csv")
    assert verdicts["n_exponent"].between(0.9, 2.1).all()
    assert set(verdicts["value"]) == {"time_s", "workspace_bytes"}


def test_the_work_of_a_gpu_is_judged_without_its_launches(tmp_path: Path) -> None:
    called = rows("alpha")
    for row in called:
        if row["status"] == "measured" and row["round"] == 0:  # once a cell
            row["graph_time_s"] = 1e-12 * row["seq_len"] * row["d_model"] ** 2
    found = report([write_run(tmp_path / "run", called, INFO)])

    judged = {fit.value: fit for fit in found.fits}
    assert list(judged) == ["time_s", "graph_time_s", "workspace_bytes"]
    assert judged["time_s"].verdict is Verdict.CONFIRMED
    assert judged["graph_time_s"].verdict is Verdict.REFUTED
    text = Page(found.index.read_text(encoding="utf-8")).words
    assert "Time of the GPU alone: n^2*d refuted for alpha" in text


def test_a_csv_without_instruments_gives_fewer_figures_and_says_why(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows("alpha", "beta")).query("status == 'measured' and round == 0")
    frame[["implementation", "seq_len", "d_model", "time_s"]].to_csv(
        tmp_path / "mine.csv", index=False
    )
    found = report([tmp_path / "mine.csv"])
    assert found.path == tmp_path / "mine-report"
    text = Page(found.index.read_text(encoding="utf-8")).words
    assert "no workspace was recorded" in text
    assert "no operation counts were recorded" in text
    assert "Nothing is known about the machine" in text
    assert "fewer than 3 rounds" in text
    assert not (found.path / "figures" / "share_of_peak.png").exists()
    assert (found.path / "figures" / "time_against_n.png").exists()


def test_a_benchmark_json_is_reported_on(tmp_path: Path) -> None:
    benchmarks = [
        {
            "name": f"test[{row['seq_len']}-{row['d_model']}]",
            "stats": {"median": row["time_s"], "min": row["time_s"]},
            "extra_info": {
                name: row[name]
                for name in ("implementation", "seq_len", "d_model", "pass", "dtype", "device")
            },
        }
        for row in rows("alpha")
        if row["status"] == "measured" and row["round"] == 0
    ]
    document = {"machine_info": {"cpu": {"brand_raw": "Bench CPU"}}, "benchmarks": benchmarks}
    (tmp_path / "benchmark.json").write_text(json.dumps(document))
    found = report([tmp_path / "benchmark.json"], tmp_path / "out")
    assert "Bench CPU" in found.index.read_text(encoding="utf-8")
    assert [fit.verdict for fit in found.fits] == [Verdict.CONFIRMED]


def test_a_table_that_cannot_be_judged_is_shown_without_verdicts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"seq_len": [64, 128, 256, 512], "time_s": [1.0, 4.0, 16.0, 64.0]})
    frame.to_csv(tmp_path / "bare.csv", index=False)
    found = report([tmp_path / "bare.csv"], tmp_path / "out")
    assert found.fits == ()
    text = Page(found.index.read_text(encoding="utf-8")).words
    assert "No claim was judged: " in text
    assert "d_model" in text
    assert (found.path / "figures" / "time_against_n.svg").exists()


def test_one_claim_that_cannot_be_read_is_told_and_takes_no_other_verdict(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows("alpha", "odd")).query("status == 'measured'")
    frame.loc[frame["implementation"] == "odd", ["claim", "workspace_claim"]] = ["n^^2", "n"]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    with pytest.warns(ClaimWarning, match="implementation odd is not judged on time_s"):
        found = report([tmp_path / "mine.csv"])
    assert found.headline.startswith("Time: n^2*d confirmed for alpha; n^^2 inconclusive for odd.")
    sentence = 'The declared claim cannot be read, so nothing was judged: unexpected "^"'
    assert sentence in Page(found.index.read_text(encoding="utf-8")).words


def test_a_table_without_sizes_or_times_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="time_s") as caught:
        report([tmp_path / "odd.csv"])
    assert "\n" not in str(caught.value)


def test_several_runs_are_told_apart(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", rows("alpha"), INFO | {"git": None, "caveats": []})
    found = report([run, other], tmp_path / "out")
    names = {path.name for path in found.figures}
    assert {"time_against_n.some-run.png", "time_against_n.other.png"} <= names
    text = Page(found.index.read_text(encoding="utf-8")).words
    assert "some-run: The source tree had uncommitted changes" in text
    assert "other: The source tree" not in text
    for name in ("some-run", "other"):
        assert (found.path / "tables" / f"error_against_allowed.{name}.csv").exists()
    assert text.count("31 pass, 1 fail, 0 error and 2 unsupported") == 2
    assert set(pd.read_csv(found.path / "tables" / "checks.csv")["run"]) == {"some-run", "other"}


def test_runs_of_one_name_keep_their_files_apart(run: Path, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    twin = write_run(tmp_path / "else" / "some_run", rows("alpha"), INFO)
    other = write_run(tmp_path / "else" / "some run", rows("alpha"), INFO)
    third = write_run(tmp_path / "else" / "some-run", rows("alpha"), INFO)
    found = report([twin, other, third], tmp_path / "out")
    made = [path.name for path in found.figures if path.name.startswith("error_against")]
    assert len(set(made)) == len(made) == 6


@pytest.mark.parametrize(
    "info",
    [
        {},
        dict.fromkeys(INFO),
        {"machine": "x", "git": 3, "ceilings": [], "verification": 1, "caveats": "x", "config": 0},
        {
            "machine": {"caches_bytes": {"L1": None}, "memory_bytes": "many", "gpu": [{"name": 1}]},
            "ceilings": {"cpu/float32": None, "cpu/float64": {"matmul_flops_per_s": None}},
            "verification": {"pass": None, "failures": None},
            "versions": {"torch": None},
        },
    ],
)
def test_any_part_of_the_run_description_may_be_missing_or_odd(
    info: dict[str, Any], tmp_path: Path
) -> None:
    frame = pd.DataFrame(rows("alpha"))
    table = Table(frame=frame, info=info, path=tmp_path / "r", runs={"r": info})
    found = write_report(Restated(table=table), [], tmp_path / "out")
    assert any("peak of this machine was not measured" in line for line in found.left_out)
    environment(info)


def test_a_directory_that_cannot_be_written_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReportError, match="cannot write the report to") as caught:
        report([run], tmp_path / "file" / "out")
    assert "--out" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_journal_is_reported_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert default_directory(tmp_path / "run" / "records.jsonl") == tmp_path / "run" / "report"
    assert default_directory(tmp_path / "run") == tmp_path / "run" / "report"


def test_no_measured_cell_leaves_no_figure_and_says_so(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows("alpha"))
    frame["status"], frame["time_s"] = "crashed", None
    table = Table(frame=frame, info={}, path=tmp_path / "r", runs={"r": {}})
    found = write_report(Restated(table=table), [], tmp_path / "out")
    assert found.figures == ()
    assert found.left_out == ("All figures: no cell has a time.",)


def test_cells_without_a_time_are_counted_by_reason() -> None:
    cells = cell_table(pd.DataFrame(rows("alpha", "beta")))
    found = untimed(cells)
    assert [(row.implementation, row.status, row.cells) for row in found] == [
        ("alpha", "skipped", 1),
        ("beta", "skipped", 1),
    ]
    lines = caveats(pd.DataFrame(rows("alpha")), cells, {"allocator": "pinned"})
    assert any(line.startswith("2 cells (skipped)") for line in lines)
    assert not any("allocator" in line for line in lines)


def test_a_run_that_was_never_verified_says_so() -> None:
    sentence, failures = gate({})
    assert "do not say whether" in sentence
    assert failures == []


def fit(name: str, verdict: Verdict, **changes: Any) -> Fit:
    known: dict[str, Any] = {
        "group": {"implementation": name},
        "claim": "n^2*d",
        "verdict": verdict,
        "exponents": {"n": Interval(estimate=1.5, low=1.4, high=1.6)},
        "cells": 20,
        "rms_residual": 0.0134,
        "sizes": {"n": "seq_len", "d": "d_model"},
    }
    return Fit(**(known | changes))


def test_the_headline_counts_when_there_are_too_many_to_name() -> None:
    many = [fit(f"impl{index}", Verdict.CONFIRMED) for index in range(20)]
    rows_ = verdict_rows([*many, fit("odd", Verdict.REFUTED)])
    assert findings(rows_) == ["Time: 20 of 21 claims confirmed, 1 refuted (odd)."]
    assert findings([]) == ["No claim was judged."]


def test_the_fastest_is_told_at_the_largest_size_that_can_be_compared() -> None:
    frame = pd.DataFrame(rows("slow", "quick"))
    sentence = fastest(views(frame))
    assert sentence.startswith("Fastest at n = 2048, d_model 256 ")
    assert "quick with" in sentence
    assert re.search(r"(1\.9|2\.0)\d times as fast as slow", sentence)


def test_labels_name_only_what_varies_among_the_fits() -> None:
    fits = [
        fit("a", Verdict.CONFIRMED, group={"implementation": "a", "dtype": t, "pass": "forward"})
        for t in ("float32", "float64")
    ]
    assert [row.label for row in verdict_rows(fits)] == ["a [float32]", "a [float64]"]


def test_the_page_says_what_is_the_same_for_many_groups_once_and_with_its_numbers(
    tmp_path: Path,
) -> None:
    lines = [f"k{k},{n},{n * n},n^2" for k in range(3) for n in (128, 256, 512, 1024, 2048)]
    (tmp_path / "mine.csv").write_text("\n".join(["implementation,seq_len,time_s,claim", *lines]))
    found = report([tmp_path / "mine.csv"], tmp_path / "out")
    for page in (found.index, found.summary):
        text = page.read_text(encoding="utf-8").replace("\\", "")
        assert text.count("The claim n² is neither confirmed nor refuted (5 cells, residual") == 1
        assert text.count("5 cells are too few for n^2, which needs 7 or more;") == 1
        assert text.count("There are too few cells, or") == 1


def test_the_terminals_table_fits_80_columns_and_takes_names_literally() -> None:
    fits = [
        fit("[bold]x[/bold] :smile:", Verdict.INCONCLUSIVE, reasons=("overhead_dominates",)),
        fit("a_rather_long_name_of_an_implementation", Verdict.CONFIRMED),
        fit("m", Verdict.REFUTED, value="workspace_bytes"),
    ]
    wide = {name: Interval(estimate=2.0, low=1.9876, high=2.0123) for name in "ndhb"}
    fits.append(fit("four", Verdict.CONFIRMED, value="workspace_bytes", exponents=wide))
    page = StringIO()
    print_verdicts(fits, Console(file=page, width=80))
    text = page.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "[bold]x[/bold]" in text
    assert ":smile:" in text
    assert "overhead_dominates" in text
    assert "? inconclusive" in text
    assert "h 2.00 [1.99, 2.01]" in text


def test_the_verdict_frame_keeps_missing_numbers_empty() -> None:
    unbounded = {"n": Interval(estimate=1.5, low=None, high=None)}
    row = verdict_frame([fit("a", Verdict.REFUTED, exponents=unbounded)]).iloc[0]
    assert row["n_exponent"] == 1.5
    assert row["n_low"] is None or math.isnan(row["n_low"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00123, "1.23 ms"), (2.5, "2.5 s"), (0.9999, "1 s"), (3e-10, "0.3 ns"), (None, "–")],
)
def test_seconds_are_readable(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_bytes_percentages_and_intervals_are_readable() -> None:
    assert byte_size(2**29) == "512 MiB"
    assert byte_size(1000) == "1000 B"
    assert percent(0.0134) == "1.3 %"
    assert percent(0.911) == "91 %"
    assert percent(1e-15) == "< 0.0001 %"
    assert interval(Interval(estimate=-0.001, low=-0.004, high=0.2)) == "0.00 [0.00, 0.20]"
    assert interval(Interval(estimate=2.0, low=None, high=2.5)) == "2.00 [?, 2.50]"
    assert interval(None) == "–"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("x\n| y", r"x \| y"),
        ("[t](u)", r"\[t\](u)"),
        ("1. x", r"1\. x"),
        ("- x", r"\- x"),
        ("2.00", "2.00"),
        ("`a*b_c`", r"\`a\*b\_c\`"),
    ],
)
def test_markdown_is_escaped_to_literal_text_on_one_line(text: str, written: str) -> None:
    assert markdown(text) == written


def test_control_characters_become_spaces() -> None:
    assert one_line("a\x1b[31m\r\n\tb\u2028c") == "a [31m b c"


def test_the_table_of_cells_reads_back_as_the_cells_that_were_written(made: Report) -> None:
    again = read_table(made.path / "tables" / "cells.csv")
    assert len(again.frame) == 40
