"""The commands that measure and what they leave behind: runs, reports, exit codes."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE, INTERRUPTED
from bench.process.supervisor import WorkerLost
from bench.records import RECORDS_FILE, read_run
from reports.page import page
from tests.daily import daily

PLAN = """
    rounds = 2
    turn_s = 1e-9
    time_budget_s = 86400  # a command's time begins with its process, here that of all tests
    threads = 1

    [[series]]
    implementations = ["matmul", "sdpa"]
    seq_lens = [5, 7]
    d_models = [11, 22]
    head_dim = 11
"""


@pytest.fixture
def plan(write) -> Path:
    return write("plan.toml", PLAN)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where the first test that needs a run leaves a copy for the others."""
    return tmp_path_factory.mktemp("kept") / "run"


@pytest.fixture
def a_run(plan, tmp_path, attnscale_, checking, without_answer, kept) -> Path:
    folder = tmp_path / "run"
    if not kept.exists():
        assert attnscale_("sweep", "--config", plan, "--out", folder).code == DONE
        shutil.copytree(folder, kept)
        return folder
    return Path(shutil.copytree(kept, folder))


def test_a_directory_that_holds_a_run_is_refused(attnscale_, a_run, plan):
    outcome = attnscale_("sweep", "--config", plan, "--out", a_run)

    outcome.assert_refused("already holds a run; add --resume, or choose another --out")


def test_a_file_in_place_of_the_output_directory_is_refused(attnscale_, plan, write):
    file = write("in_the_way", "")

    for out in (file, file / "below"):
        outcome = attnscale_("sweep", "--config", plan, "--out", out)
        outcome.assert_refused(f"--out {out}", "cannot write there")


def test_a_directory_without_permission_is_refused(attnscale_, plan, tmp_path):
    folder = tmp_path / "read_only"
    folder.mkdir(mode=0o500)
    try:
        (folder / "probe").touch()
    except PermissionError:
        pass
    else:
        pytest.skip("this user may write everywhere")

    for out in (folder, folder / "below"):
        outcome = attnscale_("sweep", "--config", plan, "--out", out)
        outcome.assert_refused(f"--out {out}", "cannot write there: Permission denied")


def test_a_disk_that_says_no_is_refused(attnscale_, plan, tmp_path, monkeypatch):
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)

    outcome = attnscale_("sweep", "--config", plan, "--out", tmp_path / "read_only")

    outcome.assert_refused("cannot write there: Permission denied")


def test_sweep_measures_and_says_where(attnscale_, a_run):
    run = read_run(a_run)

    assert len(run.records) == 2 * 2 * 4
    assert {record.status for record in run.records} == {"measured"}


def test_sweep_answers_on_stdout_and_tells_progress_on_stderr(attnscale_, plan, tmp_path, checking):
    shown = attnscale_("sweep", "--config", plan, "--out", tmp_path / "new")

    assert shown.out.startswith("fastest at n = 7, d = 22: ")
    assert "? matmul and sdpa: too few sizes. " in shown.out
    assert "verifying matmul" in shown.err
    spent = r"^measuring: round 1, \d+ s of at most \d+ s$"
    assert re.search(spent, shown.err, re.MULTILINE)
    assert shown.err.splitlines()[-1] == f"run: {tmp_path / 'new'}"


@pytest.mark.usefixtures("without_answer")
def test_sweep_with_a_wrong_kernel_measures_the_rest_and_exits_1(
    attnscale_, plan, tmp_path, checking, write
):
    path = write("wrong_too.py", "def wrong(query, key, value): return 0 * query")

    shown = attnscale_(
        "sweep", "--config", plan, "--impl", f"{path}:wrong", "--out", tmp_path / "r"
    )

    assert shown.code == FAILED
    assert "check failed: fail: shapes: wrong: output in case more_keys" in shown.err
    assert re.search(r"^wrong † failed \d+ checks \(.*\): none of its", shown.err, re.MULTILINE)
    statuses = {(r.implementation, r.status) for r in read_run(tmp_path / "r").records}
    assert statuses == {("matmul", "measured"), ("sdpa", "measured"), ("wrong", "incorrect")}


@pytest.mark.usefixtures("without_answer")
def test_sweep_says_where_torch_fell_back_to_its_math_formula(
    attnscale_, plan, tmp_path, checking, write
):
    path = write(
        "squeezed.py",
        """
        import torch.nn.functional as F
        def squeezed(query, key, value):
            given = (one.reshape(-1, *one.shape[-2:]) for one in (query, key, value))
            found = F.scaled_dot_product_attention(*given)
            return found.reshape(*query.shape[:-1], value.shape[-1])
        """,
    )
    shown = attnscale_(
        "sweep", "--config", plan, "--impl", f"{path}:squeezed", "--out", tmp_path / "r"
    )

    assert shown.code == DONE
    (line,) = [one for one in shown.err.splitlines() if " ran " in one]
    assert line.startswith("squeezed ran torch's math formula (_scaled_dot_product_attention_math")
    assert "in 4 of 4 cells (n 5 to 7, head_dim 11)." in line


@pytest.mark.usefixtures("one_figure", "without_answer")
def test_a_kernel_that_is_wrong_in_causal_calls_is_timed_without_and_marked_wherever_it_is_named(
    attnscale_, plan, tmp_path, checking, write
):
    path = write(
        "half_right.py",
        """
        import torch.nn.functional as F
        def half_right(query, key, value, is_causal=False):
            return F.scaled_dot_product_attention(query, key, value)
        """,
    )
    run = tmp_path / "run"
    (tmp_path / "both.toml").write_text(
        plan.read_text() + "\n[[series]]\nimplementations = ['matmul', 'half_right']\n"
        "seq_lens = [5, 7]\nd_models = [33]\nhead_dim = 11\nis_causal = true\n"
    )

    swept = attnscale_(
        "sweep", "--config", tmp_path / "both.toml", "--impl", f"{path}:half_right", "--out", run
    )
    reported = attnscale_("report", run)
    judged = attnscale_("fit", run, "--by", "implementation,is_causal")
    as_json = attnscale_("fit", run, "--by", "implementation,is_causal", "--json")

    assert (swept.code, reported.code) == (FAILED, DONE)
    (told,) = re.findall(r"^half_right †.*$", swept.err, re.MULTILINE)
    assert told.startswith("half_right † failed 1 check (causal): 2 of its 6 cells have no time")
    summary = (run / "report" / "summary.md").read_text()
    # What a check said is quoted as it stands.
    named = [line for line in summary.splitlines() if "half\\_right" in line]
    unmarked = [line for line in named if "half\\_right †" not in line]
    assert len(named) > 10
    assert all("half\\_right: output in case causal" in line for line in unmarked)
    assert "half_right †" in judged.out
    assert "†" not in as_json.out


@pytest.mark.usefixtures("without_answer")
def test_flags_choose_implementations_sizes_and_dtype(attnscale_, plan, tmp_path, checking):
    attnscale_(
        "sweep",
        "sdpa",
        "row_loop",
        *("--config", plan, "--out", tmp_path / "new"),
        *("--seq-lens", "4:8", "--d-models", "33", "--dtype", "float64"),
        *("--pass", "forward_backward"),
    )

    found = {
        (r.implementation, r.seq_len, r.d_model, r.dtype, r.pass_)
        for r in read_run(tmp_path / "new").records
    }
    assert found == {
        (name, n, 33, "float64", "forward_backward")
        for name in ("sdpa", "row_loop")
        for n in (4, 8)
    }


@pytest.mark.usefixtures("without_answer")
def test_ctrl_c_keeps_what_was_measured_and_exits_130(
    attnscale_, plan, tmp_path, checking, monkeypatch
):
    from bench.sweep.progress import PlainProgress

    folder = tmp_path / "interrupted"

    def measuring(self: PlainProgress, number: int, spent_s: float, at_most_s: float) -> None:
        if len(checking.operations("visit")) == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PlainProgress, "measuring", measuring)
        shown = attnscale_("sweep", "--config", plan, "--out", folder)

    assert shown.code == INTERRUPTED
    assert "interrupted; what was measured is kept" in shown.err
    assert "Traceback" not in shown.err
    before = read_run(folder).records
    assert len(before) == 8

    assert attnscale_("sweep", "--out", folder, "--resume").code == DONE
    records = read_run(folder).records
    assert records[:8] == before
    keys = {(r.implementation, r.seq_len, r.d_model, r.round) for r in records}
    assert len(keys) == len(records) == 8 + 16  # a round that is cut short is none of the two


def test_resuming_with_other_settings_is_one_line(attnscale_, a_run, plan):
    outcome = attnscale_("sweep", "--config", plan, "--out", a_run, "--resume", "--seq-lens", "5")

    outcome.assert_refused("made with other settings: series 1: seq_lens 5,7 there, 5 asked for")


def test_more_time_does_not_lengthen_a_run_whose_rounds_were_all_made(attnscale_, a_run):
    before = read_run(a_run).records

    outcome = attnscale_("sweep", "--out", a_run, "--resume", "--time-budget", "5min")

    assert (outcome.code, read_run(a_run).records) == (DONE, before)
    assert "nothing is left to measure: all rounds were made" in outcome.err
    assert read_run(a_run).info["config"]["time_budget_s"] == 300.0


@pytest.mark.parametrize("status", daily(["crashed", "timeout", "out_of_memory"], most=2))
@pytest.mark.usefixtures("without_answer")
def test_a_sweep_that_measured_nothing_is_inconclusive_unless_a_kernel_crashed(
    attnscale_, plan, tmp_path, checking, status
):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "trial":
            raise WorkerLost(status, "it was too much")

    checking.fault = fault
    outcome = attnscale_("sweep", "--config", plan, "--out", tmp_path / "nothing")

    crashed = status == "crashed"
    assert outcome.code == (FAILED if crashed else INCONCLUSIVE)
    assert {one.status for one in read_run(tmp_path / "nothing").records} <= {status, "skipped"}


@pytest.mark.parametrize("options", [(), ("--preset", "smoke"), ("--seq-lens", "5")])
def test_resuming_where_there_is_no_run_is_one_line(attnscale_, tmp_path, options):
    attnscale_("sweep", "--out", tmp_path, "--resume", *options).assert_refused(
        "holds no run to resume, since it has no run.json", "leave --resume out"
    )
    assert not list(tmp_path.iterdir())


def test_a_torn_last_line_is_a_warning_and_the_rest_is_used(attnscale_, a_run):
    journal = a_run / RECORDS_FILE
    journal.write_text(journal.read_text()[:-20])

    shown = attnscale_("fit", a_run, "--json")

    assert shown.code in (DONE, FAILED, INCONCLUSIVE)
    (warning,) = shown.err.splitlines()
    assert warning.startswith("warning: ")
    assert "line 16 left out" in warning
    assert sum(fit["cells"] for fit in json.loads(shown.out)["fits"]) > 0


def test_fit_as_json_is_one_document_on_stdout(attnscale_, a_run):
    shown = attnscale_("fit", a_run, "--json")

    document = json.loads(shown.out, parse_constant=lambda name: pytest.fail(name))
    assert list(document) == ["fits"]
    assert len(document["fits"]) == 2
    assert shown.err == ""


@pytest.mark.usefixtures("one_figure")
def test_report_writes_a_page_from_records_alone(attnscale_, a_run, tmp_path):
    shown = attnscale_("report", a_run, "--out", tmp_path / "page")

    assert shown.code == DONE
    assert (tmp_path / "page" / "index.html").is_file()
    assert (tmp_path / "page" / "summary.md").is_file()
    assert shown.err.splitlines()[-1] == f"report: {tmp_path / 'page' / 'index.html'}"


@pytest.mark.usefixtures("one_figure")
def test_run_does_it_all_and_prints_verdicts_and_the_path(
    attnscale_, plan, tmp_path, checking, monkeypatch
):
    folder, made, report = tmp_path / "all", [], page.report

    def once(runs: list[Path], **_: object) -> page.Report:
        made.extend([] if made else [report(runs)])
        return made[0]

    monkeypatch.setattr(page, "report", once)

    shown = attnscale_("run", "--config", plan, "--out", folder, "--exit-zero")

    assert shown.code == DONE
    assert "matmul" in shown.out
    said = shown.out.splitlines()[-1]
    assert said.startswith("report: ")
    assert Path(said.removeprefix("report: ")).is_file()
    # Two lengths judge nothing, and that is what the exit code says without --exit-zero.
    again = attnscale_("run", "--out", folder, "--resume")
    assert again.code == INCONCLUSIVE
