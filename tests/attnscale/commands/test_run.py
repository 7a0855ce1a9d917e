"""What the command `run` says of a run, and its exit code."""

import json
from pathlib import Path

import pytest

from attnscale.commands import run
from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE, INTERRUPTED
from bench.doctor import examination
from bench.doctor.finding import Finding
from bench.records import RECORDS_FILE, RUN_FILE
from tests.attnscale.commands.test_crossovers import write_run
from tests.reports.ranking.some_run import rows


@pytest.fixture
def one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a single size, as if it had been measured just now."""
    folder = tmp_path / "one size"
    folder.mkdir()
    (folder / RUN_FILE).write_text(json.dumps({"schema": 2}))
    lines = [json.dumps(row) for row in rows(lengths=(4096,), widths=(512,))]
    (folder / RECORDS_FILE).write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(run, "measure", lambda **_: (folder, DONE))
    return folder


@pytest.mark.usefixtures("one_figure")
def test_one_size_is_ranked_and_reported_and_needs_no_law(attnscale_, one_size):
    outcome = attnscale_("run", "slow", "sdpa")

    assert outcome.code == DONE
    assert outcome.out.startswith("fastest at n = 4096, d = 512: sdpa, 8.59 s; quick ")
    assert "ratio to slow" in outcome.out
    assert "one size tells no law; name several with --seq-lens" in outcome.out
    assert (one_size / "report" / "index.html").is_file()


def test_an_interrupt_while_the_report_is_written_names_what_writes_it(
    attnscale_, one_size, monkeypatch
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reports.page.page.report", interrupted)

    outcome = attnscale_("run")

    assert outcome.code == INTERRUPTED
    assert outcome.err.endswith(f"(attnscale report '{one_size}' shows it)\n")


@pytest.mark.parametrize("code", [FAILED, INCONCLUSIVE])
def test_a_measurement_of_nothing_keeps_its_code(attnscale_, tmp_path, monkeypatch, code):
    nothing = write_run(tmp_path / "run", status="timeout")
    monkeypatch.setattr(run, "measure", lambda **_: (nothing, code))

    outcome = attnscale_("run")

    assert outcome.code == code
    assert "no report: " in outcome.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["5%"], "--fail-on-regression needs --against REV"),
        (["five", "--against", "main"], "expected a percentage such as 5%"),
    ],
)
def test_a_regression_needs_a_limit_and_a_revision(attnscale_, words, told):
    attnscale_("run", "--fail-on-regression", *words).assert_refused(told)


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_shared_machine_is_told_before_anything_is_imported(
    attnscale_, direct_workers, monkeypatch, tmp_path, command
):
    busy = Finding("other_load", "problem", "1.90 of 2 CPUs are busy with other work.")
    monkeypatch.setattr(examination, "sharing", lambda: [busy])
    wrong = ("--impl", "math:nosuch", "--out", tmp_path / "new")

    for budget, expected in (("5min", "5 min"), ("75s", "75 s")):
        said = attnscale_(command, *wrong, "--time-budget", budget).err
        assert said.splitlines()[0] == (
            f"this machine is shared; expect {expected}, and wider intervals: 1.90 of 2 CPUs are "
            "busy with other work (attnscale doctor says more)"
        )
