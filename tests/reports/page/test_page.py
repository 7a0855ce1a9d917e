"""The report as files: complete, escaped, in one piece, the same every time, honest about gaps."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.conditions.environment import environment
from reports.judge.fit_groups import ClaimWarning
from reports.judge.result import Verdict
from reports.page.page import Report, default_directory, report, write_report
from reports.page.restated import Restated
from reports.tables.columns import TableError
from reports.tables.read import Table, read_table
from tests.reports.page.some_run import (
    HOSTILE,
    INFO,
    MARKED,
    Page,
    few_rows,
    plain_rows,
    rows,
    write_run,
)


def test_a_report_tells_what_it_does_and_how_much_is_done(
    made: Report, told: list[tuple[str, int, int]]
) -> None:
    steps = list(dict.fromkeys(what for what, _, _ in told))
    assert steps[0] == "reading runs and tables"
    assert steps[1].startswith("judging time_s")
    assert steps[-1] == "drawing figures"
    for step in steps:
        done, totals = zip(*[one for what, *one in told if what == step], strict=True)
        assert done == tuple(range(totals[0]))


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
        assert tag not in ("iframe", "object", "embed")
        for name in ("src", "srcset", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:"), (tag, name, value)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in html
    assert "url(" not in html
    assert [tag for tag, _ in page.elements].count("script") == 1


def test_every_link_leads_to_a_place_on_the_page_or_a_file_beside_it(
    html: str, made: Report
) -> None:
    page = Page(html)
    places = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    links = [attributes["href"] or "" for tag, attributes in page.elements if tag == "a"]
    files = [link for link in links if not link.startswith("#")]
    assert {link for link in links if link.startswith("#")} <= places
    assert len(files) > 20
    assert [link for link in files if not (made.path / link).is_file()] == []


def test_the_page_answers_before_it_explains(html: str, summary: str) -> None:
    places = [
        html.index(text)
        for text in ("<h1>Fastest at n\u00a0=\u00a02048", 'class="card"', 'id="time_against_n"')
    ]
    places += [html.index(f'id="{name}"') for name in ("verdicts", "correctness", "bounds")]
    assert places == sorted(places)
    headings = re.findall(r"^## (.*)$", summary, flags=re.MULTILINE)
    assert headings[:4] == [
        "Who is fastest, and with how much memory?",
        "Verdicts",
        "Is it right?",
        "What bounds it",
    ]


def test_the_script_has_at_most_sixty_lines_and_no_other_may_run(html: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(script.strip().splitlines()) <= 60
    assert "innerHTML" not in script
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


@pytest.mark.usefixtures("one_figure")
def test_a_name_that_is_a_formula_elsewhere_is_itself_in_the_csv(tmp_path: Path) -> None:
    """Our own readers need the names as they are; a spreadsheet asks before it runs anything."""
    name = '=HYPERLINK("http://x","y")'
    found = report([write_run(tmp_path / "run", few_rows(name), INFO)])
    assert set(pd.read_csv(found.path / "tables" / "cells.csv")["implementation"]) == {name}


def test_embedded_figures_ask_for_nothing_else_either(html: str, made: Report) -> None:
    images = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert 2 * len(images) == len(made.figures)
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
    assert not [one for tag, one in page.elements if tag == "img" and one["src"] == "x"]
    assert "alert('x')" not in html
    assert "<img src=x" not in html


def test_hostile_names_leave_the_markdown_tables_whole(summary: str) -> None:
    assert "<script" not in summary
    assert "<img" not in summary
    tables = [
        block.splitlines() for block in re.split(r"\n\s*\n", summary) if block.startswith("| ")
    ]
    assert len(tables) == 6  # times, verdicts on time and workspace, checks, bounds, no time
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(widths) == 1, table


def test_the_page_shows_verdicts_intervals_and_reasons(html: str, made: Report) -> None:
    words = Page(html).words
    assert all(fit.verdict is Verdict.CONFIRMED for fit in made.fits)
    assert re.search(r"2\.0\d \[1\.9\d, 2\.0\d\]", words)
    assert "censored_cells" in words
    assert "✓ confirmed" in words
    assert "Time: n²·d confirmed for alpha and " in made.headline


def test_a_load_is_told_in_hundredths() -> None:
    rows = dict(environment({"machine": {"load_1m": 0.9833984375}}))

    assert rows["Load at the start"] == "0.98"


def test_the_page_tells_gate_caveats_environment_and_how_to_read(html: str) -> None:
    words = Page(html).words
    for sentence in (
        "31 pass, 1 fail, 0 error and 2 unsupported",
        "slow causal: off by 3",
        f"{MARKED} failed 2 checks (causal and masks): 1 of its 20 cells has no time (1 skipped, ",
        "Wrong in a check or in a timed call: <img",
        "had a noisy round, which counts only where the cell has no quiet one: load (2)",
        "predicted 9 s, over the budget | 2 s",
        f"{MARKED} 1, alpha 1",
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


@pytest.mark.usefixtures("one_figure")
def test_the_work_of_a_gpu_is_judged_without_its_launches(tmp_path: Path) -> None:
    called = [row | {"flops": None} for row in rows("alpha")]
    for row in called:
        if row["status"] == "measured" and row["round"] == 0:  # once a cell
            row["graph_time_s"] = 1e-12 * row["seq_len"] * row["d_model"] ** 2
    found = report([write_run(tmp_path / "run", called, INFO)])

    judged = {fit.value: fit for fit in found.fits}
    assert list(judged) == ["time_s", "graph_time_s", "workspace_bytes"]
    assert judged["time_s"].verdict is Verdict.CONFIRMED
    assert judged["graph_time_s"].verdict is Verdict.REFUTED
    text = Page(found.index.read_text(encoding="utf-8")).words
    assert "Time of the GPU alone: n²·d refuted for alpha" in text


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


@pytest.mark.usefixtures("one_figure")
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


@pytest.mark.usefixtures("one_figure")
def test_a_table_that_cannot_be_judged_is_shown_without_verdicts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"seq_len": [64, 128, 256, 512], "time_s": [1.0, 4.0, 16.0, 64.0]})
    frame.to_csv(tmp_path / "bare.csv", index=False)
    found = report([tmp_path / "bare.csv"], tmp_path / "out")
    assert found.fits == ()
    text = Page(found.index.read_text(encoding="utf-8")).words
    assert "No claim was judged: " in text
    assert "d_model" in text
    assert (found.path / "figures" / "time_against_n.svg").exists()


@pytest.mark.usefixtures("one_figure")
def test_one_claim_that_cannot_be_read_is_told_and_takes_no_other_verdict(tmp_path: Path) -> None:
    frame = pd.DataFrame(plain_rows("alpha", "odd")).query("status == 'measured'")
    frame.loc[frame["implementation"] == "odd", ["claim", "workspace_claim"]] = ["n^^2", "n"]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    with pytest.warns(ClaimWarning, match="implementation odd is not judged on time_s"):
        found = report([tmp_path / "mine.csv"])
    assert "Time: n²·d confirmed for alpha; n^^2 undecided for odd." in found.headline
    sentence = 'The declared claim cannot be read, so nothing was judged: unexpected "^"'
    assert sentence in Page(found.index.read_text(encoding="utf-8")).words


def test_a_table_without_sizes_or_times_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="time_s") as caught:
        report([tmp_path / "odd.csv"])
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("one_figure")
def test_several_runs_are_told_apart(tmp_path: Path) -> None:
    one = write_run(tmp_path / "some-run", few_rows("alpha", HOSTILE), INFO)
    other = write_run(tmp_path / "other", few_rows("alpha"), INFO | {"git": None, "caveats": []})
    found = report([one, other], tmp_path / "out")
    names = {path.name for path in found.figures}
    assert "time_against_n.png" in names
    text = Page(found.index.read_text(encoding="utf-8")).words
    assert "some-run: The source tree had uncommitted changes" in text
    assert "other: The source tree" not in text
    for name in ("some-run", "other"):
        assert (found.path / "tables" / f"error_against_allowed.{name}.csv").exists()
    assert text.count("31 pass, 1 fail, 0 error and 2 unsupported") == 2
    assert set(pd.read_csv(found.path / "tables" / "checks.csv")["run"]) == {"some-run", "other"}


@pytest.mark.usefixtures("one_figure")
def test_runs_of_one_name_keep_their_files_apart(tmp_path: Path) -> None:
    made_of = few_rows("alpha")[:2]
    twin = write_run(tmp_path / "some_run", made_of, INFO)
    other = write_run(tmp_path / "some run", made_of, INFO)
    third = write_run(tmp_path / "some-run", made_of, INFO)
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
    frame = pd.DataFrame([row | {"flops": 7} for row in few_rows("alpha")[:3]])
    table = Table(frame=frame, info=info, path=tmp_path / "r", runs={"r": info})
    found = write_report(Restated(table=table), [], tmp_path / "out")
    assert any("peak of this machine was not measured" in line for line in found.left_out)
    environment(info)


def test_a_directory_that_cannot_be_written_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TableError, match="cannot write the report to") as caught:
        report([run], tmp_path / "file" / "out")
    assert "--out" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_journal_is_reported_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert default_directory(tmp_path / "run" / "records.jsonl") == tmp_path / "run" / "report"
    assert default_directory(tmp_path / "run") == tmp_path / "run" / "report"


def test_no_measured_cell_leaves_no_figure_and_says_so(tmp_path: Path) -> None:
    frame = pd.DataFrame(few_rows("alpha"))
    frame["status"], frame["time_s"] = "crashed", None
    table = Table(frame=frame, info={}, path=tmp_path / "r", runs={"r": {}})
    found = write_report(Restated(table=table), [], tmp_path / "out")
    assert found.figures == ()
    assert found.left_out == ("All figures: no cell has a time.",)


@pytest.mark.usefixtures("one_figure")
def test_the_page_says_what_is_the_same_for_many_groups_once_and_with_its_numbers(
    tmp_path: Path,
) -> None:
    lines = [f"k{k},{n},{n * n},n^2" for k in range(3) for n in (128, 256, 512, 1024, 2048)]
    (tmp_path / "mine.csv").write_text("\n".join(["implementation,seq_len,time_s,claim", *lines]))
    found = report([tmp_path / "mine.csv"], tmp_path / "out")
    for page in (found.index, found.summary):
        text = page.read_text(encoding="utf-8").replace("\\", "")
        assert text.count("5 cells are too few for n^2, which needs 7 or more;") == 1
        assert text.count("There are too few cells, or") == 1


def test_the_table_of_cells_reads_back_as_the_cells_that_were_written(made: Report) -> None:
    again = read_table(made.path / "tables" / "cells.csv")
    assert len(again.frame) == 40
