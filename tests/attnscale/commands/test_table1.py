"""The command `table1`: from a run, or from a measurement of its own."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from attnscale.commands import table1
from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from bench.counting import mechanisms
from bench.records import RECORDS_FILE, RUN_FILE
from reports.page import page
from reports.table1 import mechanism_rows
from tests.daily import daily
from tests.reports.table1.counts import MECHANISMS
from tests.reports.table1.measured import judged_rows, times


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """What is counted has tests of its own."""
    monkeypatch.setattr(mechanisms, "mechanisms", lambda **_: MECHANISMS)


def write_run(folder: Path, *names: str, **laws: tuple[float, str]) -> Path:
    """A run of `times`, or of those implementations alone."""
    records = times(**laws)
    if names:
        records = records[records["implementation"].isin(names)]
    folder.mkdir()
    (folder / RUN_FILE).write_text(json.dumps({"schema": 2}))
    case = {
        "schema": 2,
        "kind": "core",
        "pass": "forward",
        "device": "cpu",
        "dtype": "float32",
        "batch": 1,
        "num_heads": 1,
        "is_causal": False,
        "mask": "none",
    }
    with (folder / RECORDS_FILE).open("w") as file:
        for row in records.to_dict("records"):
            sizes = {"key_len": row["seq_len"], "head_dim": row["d_model"]}
            known = {name: value for name, value in row.items() if value == value}
            known |= {"window": int(known["window"])} if "window" in known else {}
            file.write(json.dumps({**case, **sizes, **known}) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("table1") / "run")


@pytest.fixture
def judged(monkeypatch):
    """For tests that are not about verdicts."""
    monkeypatch.setattr(mechanism_rows, "table_rows", lambda *_: judged_rows())


def test_a_run_is_shown_with_every_verdict(attnscale_, run, judged):
    outcome = attnscale_("table1", run)

    assert outcome.code == DONE
    assert "3·n + 1\N{NO-BREAK SPACE}✓" in outcome.out
    assert outcome.out.count("✓ confirmed") >= 6
    assert f"table: {run / 'table1'}" in outcome.err
    assert (run / "table1" / "table1.png").stat().st_size > 10_000


def test_place_and_format_of_the_table_are_as_asked(attnscale_, run, tmp_path, judged):
    outcome = attnscale_("table1", run, "--format", "json", "--out", tmp_path / "there")

    assert outcome.code == DONE
    document = json.loads(outcome.out)
    assert [row["verdict"] for row in document["rows"]] == ["confirmed"] * 6
    assert json.loads((tmp_path / "there" / "table1.json").read_text()) == document


def test_a_law_that_does_not_hold_fails(attnscale_, tmp_path):
    full = write_run(tmp_path / "run", "sliding_window", sliding_window=(1, "n^2*d"))

    outcome = attnscale_("table1", full)

    assert outcome.code == FAILED
    assert outcome.out.count("✗ refuted") == 1


@pytest.mark.parametrize("code", daily([FAILED, DONE]))
def test_without_a_run_it_measures_the_preset_and_a_failed_check_fails_whatever_the_verdicts(
    attnscale_, run, monkeypatch, judged, code
):
    asked = []

    def measure(**options):
        asked.append(options)
        return run, code

    monkeypatch.setattr(table1, "measure", measure)
    monkeypatch.setattr(page, "report", lambda runs, **_: SimpleNamespace(index=runs[0] / "page"))

    outcome = attnscale_("table1", "--threads", "all", "--time-budget", "90s", "--out", run)

    assert outcome.code == code
    assert asked == [
        {"preset": "table1", "device": None, "threads": "all", "time_budget": "90s", "out": run}
    ]
    assert f"table: {run / 'table1'}\nreport: {run / 'page'}" in outcome.err


@pytest.mark.parametrize("code", [FAILED, INCONCLUSIVE])
def test_a_measurement_of_nothing_keeps_its_code(attnscale_, tmp_path, monkeypatch, code):
    nothing = write_run(tmp_path / "run")
    records = (nothing / RECORDS_FILE).read_text().replace('"measured"', '"timeout"')
    (nothing / RECORDS_FILE).write_text(records)
    monkeypatch.setattr(table1, "measure", lambda **_: (nothing, code))

    outcome = attnscale_("table1")

    assert outcome.code == code
    assert "nothing to show" in outcome.err
    attnscale_("table1", nothing).assert_refused("has no measured row")


def test_a_table_of_something_else_is_one_line(attnscale_, tmp_path):
    (tmp_path / "foo.csv").write_text("n,time_s\n128,0.5\n256,1.5\n512,4.5\n")

    attnscale_("table1", tmp_path / "foo.csv").assert_refused('no column "implementation"')


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--format", "word"],
            ["--format: expected text, csv, markdown, latex or json, got 'word'"],
        ),
        (["no_such_run"], ["no_such_run"]),
        (["no_such_run", "--threads", "1"], ["RUN is shown as it is", "--threads"]),
        (["--time-budget", "soon"], ["--time-budget", "no duration"]),
    ],
)
def test_a_wrong_request_is_one_line(attnscale_, arguments, words):
    attnscale_("table1", *arguments).assert_refused(*words)
