"""The command `crossovers`: from a run, or from a measurement of its own."""

import json
from pathlib import Path

import pytest

from attnscale.commands import crossovers
from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from bench.records import RECORDS_FILE, RUN_FILE
from reports.overtaking import answer
from tests.daily import daily
from tests.reports.overtaking.some_run import answered, records


def write_run(folder: Path, **changes) -> Path:
    folder.mkdir()
    (folder / RUN_FILE).write_text(json.dumps({"schema": 2}))
    lines = [json.dumps(row) for row in records(**changes).to_dict("records")]
    (folder / RECORDS_FILE).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def found(monkeypatch):
    """For tests that are not about what is found."""
    monkeypatch.setattr(answer, "overtaking_in", lambda *_: answered())


def test_a_run_is_answered_in_two_tables_and_files(attnscale_, run):
    outcome = attnscale_("crossovers", run)

    assert outcome.code == DONE
    assert "Within a law" in outcome.out
    assert "square" in outcome.out.partition("Between implementations")[2]
    assert f"crossovers: {run / 'crossovers'}" in outcome.err
    assert (run / "crossovers" / "crossovers.png").stat().st_size > 10_000


def test_json_is_the_document_that_is_written(attnscale_, run, tmp_path, found):
    outcome = attnscale_("crossovers", run, "--json", "--out", tmp_path / "there")

    assert outcome.code == DONE
    document = json.loads(outcome.out)
    assert {one["slower"] for one in document["implementations"]} == {"square"}
    assert json.loads((tmp_path / "there" / "crossovers.json").read_text()) == document


@pytest.mark.parametrize("code", daily([FAILED, DONE]))
def test_without_a_run_it_measures_the_preset_and_keeps_its_code(
    attnscale_, run, monkeypatch, found, code
):
    asked = []

    def measure(**options):
        asked.append(options)
        return run, code

    monkeypatch.setattr(crossovers, "measure", measure)

    outcome = attnscale_("crossovers", "--time-budget", "90s", "--out", run)

    assert outcome.code == code
    assert asked == [{"preset": "crossovers", "device": None, "time_budget": "90s", "out": run}]
    assert f"crossovers: {run / 'crossovers'}" in outcome.err


@pytest.mark.parametrize("code", [FAILED, INCONCLUSIVE])
def test_a_measurement_of_nothing_keeps_its_code(attnscale_, tmp_path, monkeypatch, code):
    nothing = write_run(tmp_path / "run", status="timeout")
    monkeypatch.setattr(crossovers, "measure", lambda **_: (nothing, code))

    outcome = attnscale_("crossovers")

    assert outcome.code == code
    assert "nothing to show" in outcome.err
    attnscale_("crossovers", nothing).assert_refused("has no measured row")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such_run"], ["no_such_run"]),
        (["no_such_run", "--time-budget", "9s"], ["RUN is read as it is", "--time-budget"]),
        (["--time-budget", "soon"], ["--time-budget", "no duration"]),
    ],
)
def test_a_wrong_request_is_one_line(attnscale_, arguments, words):
    attnscale_("crossovers", *arguments).assert_refused(*words)


def test_a_table_of_something_else_is_one_line(attnscale_, tmp_path):
    (tmp_path / "foo.csv").write_text("n,time_s\n128,0.5\n256,1.5\n512,4.5\n")

    attnscale_("crossovers", tmp_path / "foo.csv").assert_refused("no implementation")
