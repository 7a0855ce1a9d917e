"""The front door: exit codes, one line for each mistake, and JSON that is one document."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import attnscale
from bench import gate, selftest, verification
from bench.check_case import CheckCase
from bench.mutants.planted import Planted, plain
from bench.records import RECORDS_FILE, read_run
from bench.situations import check_cases
from bench.sweep import Sweep

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ("plain", "more_keys", "causal", "scale")

PLAN = """
    rounds = 2
    visit_s = 0.0001
    min_samples = 2
    precision = 0.5
    threads = 1

    [[series]]
    implementations = ["matmul", "sdpa"]
    seq_lens = [5, 7]
    d_models = [11, 22]
    head_dim = 11
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def attnscale_(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            attnscale.main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return Outcome(code=exit_.value.code, out=shown.out, err=shown.err)

    return run


@pytest.fixture
def checking(direct_workers, monkeypatch: pytest.MonkeyPatch):
    """Workers in this process, and a gate of four situations: these tests are not about it."""

    def few(*dtypes: Any, **options: Any) -> list[CheckCase]:
        return [one for one in check_cases(*dtypes, **options) if one.name in CHECKED]

    monkeypatch.setattr(gate, "check_cases", few)
    monkeypatch.setattr(verification, "check_cases", few)
    monkeypatch.setattr(verification, "Worker", direct_workers)
    return direct_workers


@pytest.fixture
def plan(write) -> Path:
    return write("plan.toml", PLAN)


@pytest.fixture
def a_run(plan, tmp_path, attnscale_, checking) -> Path:
    folder = tmp_path / "run"
    assert attnscale_("sweep", "--config", plan, "--out", folder).code == attnscale.DONE
    return folder


def assert_refused(outcome: Outcome, *words: str) -> None:
    """Exit code 2, one line on stderr, nothing on stdout."""
    assert outcome.code == attnscale.WRONG_REQUEST, outcome
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("attnscale: ")
    for word in words:
        assert word in outcome.err


def fresh(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m attnscale` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "attnscale", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["sweep", "--help"], ["fit", "-h"]])
def test_help_loads_nothing_heavy(arguments):
    program = (
        "import sys, attnscale\n"
        "try:\n"
        f"    attnscale.main({arguments!r})\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'scipy', 'pyarrow', 'jinja2'}\n"
        "    print(end.code, sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stderr == "0 []\n"
    assert "Usage: attnscale" in done.stdout


def test_help_names_every_command(attnscale_):
    shown = attnscale_("--help")

    assert shown.code == attnscale.DONE
    for command in ("list", "verify", "sweep", "fit", "report", "run"):
        assert command in shown.out


def test_no_command_at_all_shows_the_help(attnscale_):
    shown = attnscale_()

    assert "Usage: attnscale" in shown.out + shown.err
    assert shown.code in (attnscale.DONE, attnscale.WRONG_REQUEST)
    assert "Traceback" not in shown.err


def test_a_mistake_made_in_a_real_shell_is_one_line_and_no_traceback():
    done = fresh("sweep", "--seq-lens", "12x")

    assert done.returncode == attnscale.WRONG_REQUEST
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "attnscale: --seq-lens: '12x' is not a size; sizes look like 128:8192 or 96,192,500"
    ]


@pytest.mark.parametrize("command", ["sweep", "run"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seq-lens", "12x"], ["--seq-lens", "'12x' is not a size"]),
        (["--d-models", "8:4"], ["--d-models", "a range ascend"]),
        (["--preset", "quik"], ["there is no preset 'quik'", "quick"]),
        (["--preset", "quick", "--config", "x.toml"], ["exclude each other"]),
        (["--config", "no_such_plan.toml"], ["no_such_plan.toml", "No such file"]),
        (["--impl", "nosuch.py:f"], ["--impl nosuch.py:f", "there is no file nosuch.py"]),
        (["--impl", "math:nosuch"], ["math has no function 'nosuch'"]),
        (["--impl", "nocolon"], ["--impl nocolon", "path/to/file.py:function"]),
        (["flashy"], ["no implementation is called 'flashy'", "matmul"]),
        (["--dtype", "int8"], ["dtype must be one of", "'int8'"]),
        (["--pass", "sideways"], ["pass must be one of", "'sideways'"]),
        (["--device", "tpu"], ["--device", "expected cpu or cuda", "'tpu'"]),
        (["--resume"], ["--resume needs --out"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["--seq-lens"], ["--seq-lens"]),
        (["--d-models", "100"], ["100"]),
    ],
)
def test_a_wrong_request_to_measure_is_one_line(attnscale_, tmp_path, command, arguments, words):
    out = [] if "--resume" in arguments else ["--out", tmp_path / "new"]
    if arguments == ["--d-models", "100"]:
        arguments = [*arguments, "--d-models", "64,100"]

    assert_refused(attnscale_(command, *out, *arguments), *words)
    assert not (tmp_path / "new").exists()


def test_an_unknown_command_is_one_line(attnscale_):
    assert_refused(attnscale_("sweeep"), "sweeep")


@pytest.mark.parametrize("command", ["sweep", "verify"])
def test_cuda_where_there_is_none_is_one_line(attnscale_, monkeypatch, tmp_path, command):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = ["--out", tmp_path / "new"] if command == "sweep" else []

    outcome = attnscale_(command, "matmul", "--device", "cuda", *out)

    assert_refused(outcome, "torch sees no CUDA device here; use --device cpu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["flashy"], ["no implementation is called 'flashy'"]),
        (["--impl", "nosuch.py:f"], ["there is no file nosuch.py"]),
        (["matmul", "--dtype", "int8"], ["dtype must be one of", "'int8'"]),
        (["matmul", "--device", "tpu"], ["expected cpu or cuda"]),
        (["matmul", "--pass", "sideways"], ["--pass: expected forward or", "'sideways'"]),
        (["matmul", "--time-limit", "0"], ["--time-limit: expected seconds above 0"]),
        (["matmul", "--time-limit", "soon"], ["--time-limit"]),
        (["--impl", "math:sin", "--layout", "sbhd"], ["--layout: expected bhsd or bshd"]),
        (["--impl", "math:sin[sbhd]"], ["--impl math:sin[sbhd]", "got [sbhd]"]),
        (["--layout", "bshd"], ["--layout bshd: expected --impl beside it, got none"]),
        (["matmul", "--layout", "bshd"], ["--layout bshd: expected --impl beside it, got none"]),
        *(
            ([*given, "--self-test"], ["--self-test: expected no other option than --json"])
            for given in (
                ["matmul"],
                ["--impl", "math:sin"],
                ["--dtype", "float32"],
                ["--device", "cpu"],
                ["--layout", "bshd"],
                ["--pass", "forward"],
            )
        ),
    ],
)
def test_a_wrong_request_to_verify_is_one_line(attnscale_, checking, arguments, words):
    assert_refused(attnscale_("verify", *arguments), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "no_such_run"], ["no_such_run"]),
        (["report", "no_such_run"], ["no_such_run"]),
        (["fit"], ["FILE"]),
        (["report"], ["RUN"]),
    ],
)
def test_a_missing_run_is_one_line(attnscale_, arguments, words):
    assert_refused(attnscale_(*arguments), *words)


def test_a_directory_that_holds_a_run_is_refused(attnscale_, a_run, plan):
    outcome = attnscale_("sweep", "--config", plan, "--out", a_run)

    assert_refused(outcome, "already holds a run; add --resume, or choose another --out")


def test_a_file_in_place_of_the_output_directory_is_refused(attnscale_, plan, write):
    file = write("in_the_way", "")

    assert_refused(
        attnscale_("sweep", "--config", plan, "--out", file), f"--out {file}", "cannot write there"
    )


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
        assert_refused(outcome, f"--out {out}", "cannot write there: Permission denied")


def test_a_disk_that_says_no_is_refused(attnscale_, plan, tmp_path, monkeypatch):
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)

    outcome = attnscale_("sweep", "--config", plan, "--out", tmp_path / "read_only")

    assert_refused(outcome, "cannot write there: Permission denied")


def test_a_mistake_of_ours_is_not_passed_off_as_the_users(monkeypatch):
    def broken(self: Sweep, *, resume: bool = False) -> None:
        raise ValueError("ours")

    monkeypatch.setattr(Sweep, "run", broken)

    with pytest.raises(ValueError, match="ours"):
        attnscale.main(["sweep", "--preset", "smoke", "--out", "unused"])


def test_list_is_a_table_for_people(attnscale_):
    shown = attnscale_("list")

    assert shown.code == attnscale.DONE
    for name in ("loop", "row_loop", "matmul", "sdpa", "query_chunked", "online_softmax"):
        assert name in shown.out


def test_list_as_json_is_one_document_with_exactly_the_keys_of_the_contract(attnscale_):
    shown = attnscale_("list", "--json")

    document = json.loads(shown.out)
    assert list(document) == ["implementations"]
    for entry in document["implementations"]:
        assert set(entry) == {
            "name",
            "kind",
            "title",
            "source",
            "time_law",
            "workspace_law",
            "supports",
            "available",
            "reason",
        }
        assert entry["kind"] in ("core", "layer")
        assert (entry["reason"] is None) == entry["available"]
    assert shown.err == ""


def test_verify_as_json_is_one_document_with_exactly_the_keys_of_the_contract(attnscale_, checking):
    shown = attnscale_("verify", "matmul", "sdpa_flash", "--dtype", "float32", "--json")

    assert shown.code == attnscale.DONE
    document = json.loads(shown.out, parse_constant=lambda name: pytest.fail(name))
    assert set(document) == {"results", "summary"}
    assert set(document["summary"]) == {"pass", "fail", "unsupported", "error"}
    for entry in document["results"]:
        assert set(entry) == {
            "implementation",
            "case",
            "check",
            "status",
            "error",
            "allowed",
            "reason",
        }
        assert entry["status"] in document["summary"]
        assert (entry["reason"] is None) == (entry["status"] == "pass")
    counted = [entry["status"] for entry in document["results"]]
    assert document["summary"] == {name: counted.count(name) for name in document["summary"]}
    assert "verifying matmul" in shown.err


@pytest.fixture
def kernels(write) -> Callable[[str], str]:
    path = write(
        "kernels_of_ones_own.py",
        """
        print("imported")
        from implementations.attention.matmul import matmul

        def right(query, key, value):
            return matmul(query, key, value)

        def unscaled(query, key, value):
            return matmul(query, key, value, scale=1.0)

        def chatty(query, key, value):
            print("hello")
            return matmul(query, key, value)

        def heads_third(query, key, value):
            turned = (t.transpose(1, 2) for t in (query, key, value))
            return matmul(*turned).transpose(1, 2)

        def forward_only(query, key, value):
            return matmul(query, key, value).detach()

        def declining(query, key, value):
            raise NotImplementedError("needs another machine")
        """,
    )
    return lambda name: f"{path}:{name}"


def test_verify_fails_for_a_wrong_kernel_and_names_it_the_case_and_the_error(
    attnscale_, checking, kernels
):
    shown = attnscale_("verify", "--impl", kernels("unscaled"), "--dtype", "float32")

    assert shown.code == attnscale.FAILED
    (line,) = [line for line in shown.out.splitlines() if line.startswith("fail: ")]
    assert line.startswith("fail: shapes: unscaled: output in case more_keys (n=5 key_len=7 d=33")
    assert ": error " in line
    assert "unsupported: unscaled does not support causal" in shown.out
    assert "from kernels_of_ones_own import unscaled as kernel" in shown.out
    assert "verifying unscaled" in shown.err


@pytest.mark.parametrize(
    ("name", "code"), [("unscaled", attnscale.FAILED), ("right", attnscale.DONE)]
)
def test_with_json_verify_writes_one_document_and_everything_else_to_stderr(
    attnscale_, checking, kernels, name, code
):
    shown = attnscale_("verify", "--impl", kernels(name), "--dtype", "float32", "--json")

    assert shown.code == code
    assert set(json.loads(shown.out)) == {"results", "summary"}
    assert "paste" not in shown.err


def test_verify_of_kernels_of_ones_own_checks_those_only(attnscale_, checking, kernels):
    attnscale_("verify", "--impl", kernels("right"), "--dtype", "float32")

    specs = {request["spec"] for request in checking.operations("check")}
    assert specs == {kernels("right")}


def test_verify_takes_kernels_of_another_layout(attnscale_, checking, kernels):
    given = ("--impl", kernels("heads_third"), "--dtype", "float32")

    assert attnscale_("verify", *given, "--layout", "bshd").code == attnscale.DONE
    assert attnscale_("verify", *given).code == attnscale.FAILED


def test_verify_tells_whoever_forgot_the_layout_and_not_in_the_document(
    attnscale_, checking, kernels
):
    given = ("verify", "--impl", kernels("heads_third"), "--dtype", "float32")
    hint = "heads_third is right for (batch, seq, heads, dim): --layout bshd"

    assert hint in attnscale_(*given).out.splitlines()
    assert hint not in attnscale_(*given, "--layout", "bshd").out
    assert set(json.loads(attnscale_(*given, "--json").out)) == {"results", "summary"}


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_verify_is_inconclusive_where_nothing_at_all_could_be_checked(
    attnscale_, checking, kernels, json_
):
    given = ("verify", "--dtype", "float32", *json_)

    shown = attnscale_(*given, "--impl", kernels("declining"))

    assert shown.code == attnscale.INCONCLUSIVE == 3
    assert "needs another machine" in shown.out
    both = attnscale_(*given, "--impl", kernels("declining"), "--impl", kernels("right"))
    assert both.code == attnscale.DONE
    wrong = attnscale_(*given, "--impl", kernels("declining"), "--impl", kernels("unscaled"))
    assert wrong.code == attnscale.FAILED


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("os._exit(3)", "the worker exited with 3"),
        ("os.abort()", "the worker died of SIGABRT"),
        ("os.kill(os.getpid(), 9)", "the worker was killed"),
    ],
)
def test_an_import_that_takes_the_process_down_is_one_line(attnscale_, write, ending, said):
    path = write(
        "fatal.py", f"import os, sys\nprint('hello', flush=True)\n{ending}\ndef mine(): ..."
    )

    outcome = attnscale_("verify", "--impl", f"{path}:mine", "--dtype", "float32")

    assert_refused(outcome, f"--impl {path}:mine: importing it took the process down: {said}")


@pytest.mark.parametrize(
    ("raising", "said"),
    [
        ("raise KeyError('x')", "failed with KeyError: 'x'"),
        ("sys.exit(0)", "failed with SystemExit"),
    ],
)
def test_an_import_that_raises_or_exits_is_one_line(attnscale_, checking, write, raising, said):
    path = write("raising.py", f"import sys\n{raising}\ndef mine(): ...")

    assert_refused(attnscale_("verify", "--impl", f"{path}:mine"), f"--impl {path}:mine", said)


def test_verify_of_the_forward_pass_asks_for_no_gradients(attnscale_, checking, kernels):
    given = ("--impl", kernels("forward_only"), "--dtype", "float32")

    assert attnscale_("verify", *given, "--pass", "forward").code == attnscale.DONE
    refused = attnscale_("verify", *given)
    assert refused.code == attnscale.FAILED
    assert "verify --pass forward" in refused.out


def planted(**kernels: tuple[Callable[..., torch.Tensor], str | None]) -> list[Planted]:
    return [
        Planted(name=name, what=f"does {name}", fn=fn, killed_by=killed_by)
        for name, (fn, killed_by) in kernels.items()
    ]


def few_cases() -> list[CheckCase]:
    return [one for one in check_cases(["float32"]) if one.name in CHECKED]


def unscaled(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return plain(query, key, value, scale=1.0)


def test_the_self_test_names_who_was_caught_by_what_and_exits_well(attnscale_, monkeypatch):
    kernels = planted(unscaled=(unscaled, "shapes: output"), usual=(plain, None))
    monkeypatch.setattr(selftest, "planted_kernels", lambda: kernels)
    monkeypatch.setattr(selftest, "check_cases", few_cases)

    shown = attnscale_("verify", "--self-test")

    assert shown.code == attnscale.DONE
    (caught,) = [line for line in shown.out.splitlines() if line.startswith("unscaled")]
    assert "shapes: output" in caught
    last = shown.out.splitlines()[-1]
    assert last == "1 of 1 faulty kernels caught; 1 of 1 right ones passed"


def test_a_self_test_that_misses_a_fault_or_bars_a_right_kernel_fails(attnscale_, monkeypatch):
    kernels = planted(missed=(plain, "shapes: output"), barred=(unscaled, None))
    monkeypatch.setattr(selftest, "planted_kernels", lambda: kernels)
    monkeypatch.setattr(selftest, "check_cases", few_cases)

    shown = attnscale_("verify", "--self-test", "--json")

    assert shown.code == attnscale.FAILED
    document = json.loads(shown.out)
    assert [one["as_planted"] for one in document["kernels"]] == [False, False]
    assert (document["faulty"], document["faulty_caught"]) == (1, 0)
    assert (document["right"], document["right_passed"]) == (1, 0)


def test_sweep_measures_and_says_where(attnscale_, a_run):
    run = read_run(a_run)

    assert len(run.records) == 2 * 2 * 4
    assert {record.status for record in run.records} == {"measured"}


def test_sweep_keeps_stdout_clean_and_tells_progress_on_stderr(
    attnscale_, plan, tmp_path, checking
):
    shown = attnscale_("sweep", "--config", plan, "--out", tmp_path / "new")

    assert shown.out == ""
    assert "verifying matmul" in shown.err
    assert "measuring 16 visits in 2 rounds" in shown.err
    assert shown.err.splitlines()[-1] == f"run: {tmp_path / 'new'}"


def test_sweep_with_a_wrong_kernel_measures_the_rest_and_exits_1(
    attnscale_, plan, tmp_path, checking, write
):
    path = write("wrong_too.py", "def wrong(query, key, value): return 0 * query")

    shown = attnscale_(
        "sweep", "--config", plan, "--impl", f"{path}:wrong", "--out", tmp_path / "r"
    )

    assert shown.code == attnscale.FAILED
    assert "check failed, not timed: fail: shapes: wrong: output in case more_keys" in shown.err
    statuses = {(r.implementation, r.status) for r in read_run(tmp_path / "r").records}
    assert statuses == {("matmul", "measured"), ("sdpa", "measured"), ("wrong", "incorrect")}


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


def test_ctrl_c_keeps_what_was_measured_and_exits_130(
    attnscale_, plan, tmp_path, checking, monkeypatch
):
    from bench.progress import PlainProgress

    folder = tmp_path / "interrupted"

    def visit(self: PlainProgress, cell: str, record: object) -> None:
        if len((folder / RECORDS_FILE).read_text().splitlines()) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PlainProgress, "visit", visit)
        shown = attnscale_("sweep", "--config", plan, "--out", folder)

    assert shown.code == attnscale.INTERRUPTED
    assert "interrupted; what was measured is kept" in shown.err
    assert "Traceback" not in shown.err
    assert len(read_run(folder).records) == 5

    assert attnscale_("sweep", "--out", folder, "--resume").code == attnscale.DONE
    keys = [(r.implementation, r.seq_len, r.d_model, r.round) for r in read_run(folder).records]
    assert len(keys) == len(set(keys)) == 16


def test_resuming_with_other_settings_is_one_line(attnscale_, a_run, plan):
    assert_refused(
        attnscale_("sweep", "--config", plan, "--out", a_run, "--resume", "--seq-lens", "5"),
        "made with other settings (series)",
    )


def test_resuming_where_there_is_no_run_is_one_line(attnscale_, tmp_path):
    assert_refused(attnscale_("sweep", "--out", tmp_path, "--resume"), "has no run.json")


def test_a_torn_last_line_is_a_warning_and_the_rest_is_used(attnscale_, a_run):
    journal = a_run / RECORDS_FILE
    journal.write_text(journal.read_text()[:-20])

    shown = attnscale_("fit", a_run, "--json")

    assert shown.code in (attnscale.DONE, attnscale.FAILED, attnscale.INCONCLUSIVE)
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


def test_report_writes_a_page_from_records_alone(attnscale_, a_run, tmp_path):
    shown = attnscale_("report", a_run, "--out", tmp_path / "page")

    assert shown.code == attnscale.DONE
    assert (tmp_path / "page" / "index.html").is_file()
    assert (tmp_path / "page" / "summary.md").is_file()
    assert shown.err.splitlines()[-1] == f"report: {tmp_path / 'page' / 'index.html'}"


def test_run_does_it_all_and_prints_verdicts_and_the_path(attnscale_, plan, tmp_path, checking):
    folder = tmp_path / "all"

    shown = attnscale_("run", "--config", plan, "--out", folder, "--exit-zero")

    assert shown.code == attnscale.DONE
    assert "matmul" in shown.out
    report = shown.out.splitlines()[-1]
    assert report.startswith("report: ")
    assert Path(report.removeprefix("report: ")).is_file()
    # Two lengths judge nothing, and that is what the exit code says without --exit-zero.
    again = attnscale_("run", "--out", folder, "--resume")
    assert again.code == attnscale.INCONCLUSIVE
