"""The front door: help that is light, one line for each mistake, and what there is."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from attnscale import __version__
from attnscale.__main__ import main
from attnscale.commands import COMMANDS, sweep
from attnscale.exit_codes import DONE, INTERRUPTED, WRONG_REQUEST
from attnscale.terminal import STARTING
from bench.plan.plan import presets
from bench.sweep.sweep import Sweep

ROOT = Path(__file__).resolve().parents[2]


def fresh(
    *arguments: str, cwd: Path = ROOT, python: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run `python -m attnscale` as a user does."""
    return subprocess.run(
        [sys.executable, *python, "-m", "attnscale", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def each_alone(
    requests: Sequence[Sequence[str]], *absent: str, interrupts: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Run requests one after another in one process that has loaded nothing before.

    Of each, what it gave back, and the heavy packages that are loaded by then. Importing what is
    `absent` raises, and importing what `interrupts` names for a command raises KeyboardInterrupt.
    """
    program = """
import contextlib, io, json, sys, traceback
absent, interrupts = json.loads(sys.argv[2])
sys.modules.update(dict.fromkeys(absent))

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == interrupts.get(current):
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
current = ""
from attnscale.__main__ import main
HEAVY = {"torch", "pandas", "numpy", "matplotlib", "scipy", "pyarrow", "jinja2"}
found = []
for arguments in json.loads(sys.argv[1]):
    out, err, code, current = io.StringIO(), io.StringIO(), None, arguments[0]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        except Exception:
            traceback.print_exc()
    loaded = sorted(HEAVY & {name for name, module in sys.modules.items() if module})
    found.append(dict(code=code, out=out.getvalue(), err=err.getvalue(), loaded=loaded))
print(json.dumps(found))
"""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            json.dumps(requests),
            json.dumps([absent, interrupts or {}]),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(found) == len(requests)
    return found


def test_help_loads_nothing_heavy():
    for shown in each_alone([["--help"], ["sweep", "--help"], ["fit", "-h"]]):
        assert (shown["code"], shown["err"], shown["loaded"]) == (DONE, "", [])
        assert "Usage: attnscale" in shown["out"]


def test_help_says_of_every_command_what_the_command_says_of_itself(attnscale_):
    shown = attnscale_("--help")

    assert shown.code == DONE
    for name, line in COMMANDS.items():
        assert import_module(f"attnscale.commands.{name}").command.__doc__.splitlines()[0] == line
        assert re.search(rf"^  {name} +{line[:20]}", shown.out, re.MULTILINE)


@pytest.mark.parametrize("command", ["sweep", "run"])
def test_both_commands_that_measure_take_the_same_options(attnscale_, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    options = (
        *("--impl", "--layout", "--preset", "--config", "--seq-lens", "--d-models", "--device"),
        *("--dtype", "--pass", "--allocator", "--time-budget", "--call-limit", "--energy", "--out"),
        *("--resume",),
    )

    shown = attnscale_(command, "--help").out

    for option in options:
        assert f"{option} " in shown
    assert "[NAME]..." in shown
    assert ("--exit-zero" in shown) == (command == "run")
    assert "90s, 5min; checks count, and may take longer" in shown


def test_options_that_are_not_given_reach_the_measuring_as_such(monkeypatch):
    given = []

    def measure(**options: object) -> tuple[Path, int]:
        given.append(options)
        return Path("unused"), DONE

    monkeypatch.setattr(sweep, "measure", measure)
    for arguments in (["sweep"], ["sweep", "sdpa", "--time-budget", "90s", "--energy", "--resume"]):
        with pytest.raises(SystemExit):
            main(arguments)

    nothing, something = given
    assert set(nothing) == set(something)
    assert {name for name, value in nothing.items() if value} == {"layout"}
    changed = {name: something[name] for name in nothing if something[name] != nothing[name]}
    assert changed == {"names": ["sdpa"], "time_budget": "90s", "energy": True, "resume": True}


def test_no_command_at_all_shows_the_help(attnscale_):
    shown = attnscale_()

    assert "Usage: attnscale" in shown.out
    assert (shown.code, shown.err) == (
        WRONG_REQUEST,
        "attnscale: a command is needed (attnscale --help)\n",
    )


def test_a_command_says_that_it_loads_torch_before_it_does():
    for shown in each_alone([["verify"], ["sweep"]], "torch"):
        lines = shown["err"].splitlines()
        assert STARTING in lines
        assert lines[-1].startswith("ModuleNotFoundError: import of torch halted")


HERE = str(Path(__file__).relative_to(ROOT))
WRONG_FLAGS = [
    ["run", "sdap"],
    ["sweep", "--impl", "nosuch.py:f"],
    ["run", "--impl", "nocolon"],
    ["run", "--impl", f"{HERE}:mine", "--against", "main"],
    ["sweep", "--layout", "bshd"],
    ["run", "--dtype", "int8"],
    ["sweep", "--pass", "sideways"],
    ["run", "--device", "tpu"],
    ["sweep", "--allocator", "jemalloc"],
    ["run", "--window", "0"],
    ["sweep", "--kv-heads", "3"],
    ["run", "--query-len", "0"],
    ["sweep", "--seq-lens", ""],
    ["run", "--out", f"{HERE}/run"],
    ["sweep", "--out", "reports/gallery/quick"],
    ["verify", "sdap"],
    ["verify", "--impl", "nosuch.py:f"],
    ["verify", "--dtype", "int8"],
    ["verify", "--pass", "sideways"],
    ["verify", "--device", "tpu"],
    ["verify", "--time-limit", "0"],
    ["verify", "--time-limit", "nan"],
    ["counts", "sdap"],
    ["counts", "--dtype", "int8"],
    ["counts", "--at", ""],
    ["counts", "--budget", "much"],
    ["fit", "no_such_run"],
    ["fit", HERE, "--claim", "n^^2"],
    ["fit", HERE, "--statistic", "mean"],
    ["fit", HERE, "--size", "n"],
    ["fit", HERE, "--where", "status"],
    ["fit", HERE, "--predict", "n=many"],
    ["fit", HERE, "--budget", "3parsecs"],
    ["fit", HERE, "--budget", "8GiB", "--at", "n=4096"],
    ["fit", HERE, "--at", "4096"],
    ["report", HERE, "--where", "=3"],
    ["compare", "no_such_run"],
    ["compare", "reports/gallery/quick", "--format", "html"],
    ["compare", "reports/gallery/quick", "--out", "reports"],
    ["report", "no_such_run"],
    ["report", HERE, "--claim", "n^^2"],
    ["report", HERE, "--out", f"{HERE}/page"],
    ["table1", "--format", "html"],
    ["table1", "no_such_run"],
    ["crossovers", "no_such_run"],
    ["explain", "--out", f"{HERE}/page"],
    ["claims", "--out", f"{HERE}/page"],
    ["sweep", "--seq-lens", "12x"],
    ["run", "--d-models", "8:4"],
    ["sweep", "--time-budget", "soon"],
    ["run", "--preset", "quik"],
    ["sweep", "--preset", "quick", "--config", "x.toml"],
    ["run", "--config", "no_such_plan.toml"],
    ["sweep", "--threads", "0"],
    ["run", "--precision", "7"],
    ["sweep", "--resume"],
    ["sweep", "--resume", "--out", "no_such_run", "--preset", "smoke"],
    ["counts", "--at", "n"],
    ["explain", "six"],
    ["verify", "--no-such-option"],
]


def test_a_wrong_flag_is_refused_before_torch_or_pandas_is_loaded():
    answers = each_alone(WRONG_FLAGS, "torch", "pandas", "matplotlib", "scipy")
    for flags, refused in zip(WRONG_FLAGS, answers, strict=True):
        assert refused["code"] == WRONG_REQUEST, (flags, refused["err"])
        assert refused["out"] == ""
        (line,) = refused["err"].splitlines()
        assert line.startswith("attnscale: ")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["swep"], "sweep"),
        (["sweep", "sdap"], "sdpa"),
        (["run", "--preset", "quik"], "quick"),
        (["table1", "--format", "latx"], "latex"),
        (["explain", "thre"], "three"),
        (["fit", "reports/gallery/quick", "--value", "workspace"], "workspace_bytes"),
        (["fit", "reports/gallery/quick", "--statistic", "mediam"], "median"),
    ],
)
def test_a_name_that_is_nearly_right_gets_the_right_one(attnscale_, arguments, meant):
    said = attnscale_(*arguments).err.casefold().replace('"', "'")

    assert f"did you mean '{meant}'?" in said


def test_help_lists_the_presets_that_the_error_lists(attnscale_, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    listed = ", ".join(presets())

    assert listed in " ".join(attnscale_("sweep", "--help").out.split())
    assert f"there are {listed}" in attnscale_("sweep", "--preset", "zzz").err


def test_the_version_is_one_line(attnscale_):
    shown = attnscale_("--version")

    assert (shown.code, shown.out, shown.err) == (DONE, f"attnscale {__version__}\n", "")


class Full(io.StringIO):
    """A stream to a device that is full: a buffered one says so when it is flushed."""

    def __init__(self, is_buffered: bool) -> None:
        super().__init__()
        self._is_buffered = is_buffered

    def write(self, text: str) -> int:
        return len(text) if self._is_buffered else self._fail()

    def flush(self) -> None:
        self._fail()

    def _fail(self) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("is_buffered", [True, False])
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["list"], ["list", "--json"]])
def test_an_output_that_is_full_is_one_line(attnscale_, monkeypatch, arguments, is_buffered):
    monkeypatch.setattr(sys, "stdout", Full(is_buffered))

    shown = attnscale_(*arguments)

    assert (shown.code, shown.err) == (
        WRONG_REQUEST,
        "attnscale: cannot write to standard output: No space left on device; send it elsewhere\n",
    )


def test_an_interrupt_while_packages_are_imported_is_one_line():
    while_importing = {"explain": "typer", "list": "torch", "fit": "pandas", "run": "psutil"}
    requests = [["explain"], ["list"], ["fit", HERE], ["run"]]

    for shown in each_alone(requests, interrupts=while_importing):
        assert (shown["code"], shown["out"], shown["err"]) == (INTERRUPTED, "", "interrupted\n")


def test_a_mistake_made_in_a_real_shell_is_one_line_and_no_traceback():
    done = fresh("sweep", "--seq-lens", "12x")

    assert done.returncode == WRONG_REQUEST
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "attnscale: --seq-lens: '12x' is not a size; sizes look like 128:8192, "
        "128:8192/2 or 96,192,500",
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
        (["flashy"], ["no implementation is called 'flashy'", "sdpa_flash"]),
        (["--dtype", "int8"], ["dtype must be one of", "'int8'"]),
        (["--pass", "sideways"], ["pass must be one of", "'sideways'"]),
        (["--device", "tpu"], ["--device", "expected cpu or cuda", "'tpu'"]),
        (["--resume"], ["--resume needs --out"]),
        (["--allocator", "jemalloc"], ["allocator must be pinned or default", "'jemalloc'"]),
        (["--time-budget", "soon"], ["--time-budget: 'soon' is no duration", "90s"]),
        (["--time-budget", "5s"], ["--time-budget: expected at least 10s, got 5s"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["--seq-lens"], ["--seq-lens"]),
        (["--d-models", "100"], ["100"]),
    ],
)
def test_a_wrong_request_to_measure_is_one_line(
    attnscale_, direct_workers, tmp_path, command, arguments, words
):
    out = [] if "--resume" in arguments else ["--out", tmp_path / "new"]
    if arguments == ["--d-models", "100"]:
        arguments = [*arguments, "--d-models", "64,100"]

    attnscale_(command, *out, *arguments).assert_refused(*words)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["reports/__init__.py", "bench.py"])
def test_a_package_that_hides_ours_is_one_line_that_says_where_it_is(write, tmp_path, name):
    path = write(name, "raise RuntimeError('never imported')")
    thing = path.parent if path.name == "__init__.py" else path

    done = fresh("fit", "--help", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (WRONG_REQUEST, "")
    assert done.stderr == (
        f"attnscale: {thing} hides the package {thing.stem} of attnscale; run attnscale, or "
        f"python -P -m attnscale, and keep {tmp_path} out of PYTHONPATH\n"
    )
    safe = fresh("fit", "--help", cwd=tmp_path, python=("-P",))
    assert (safe.returncode, safe.stderr) == (DONE, "")


def test_a_folder_that_is_no_package_hides_nothing(write, tmp_path):
    write("bench/notes.txt", "")

    done = fresh("sweep", "--preset", "quik", cwd=tmp_path)

    assert done.returncode == WRONG_REQUEST
    assert "there is no preset 'quik'" in done.stderr


def test_packages_whose_files_are_links_hide_nothing(tmp_path):
    for package in ("attnscale", "bench", "implementations", "reports"):
        for file in (*(ROOT / package).rglob("*.py"), *(ROOT / package).rglob("*.toml")):
            link = tmp_path / file.relative_to(ROOT)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)

    done = fresh("fit", "--help", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (DONE, "")


def test_an_unknown_command_is_one_line(attnscale_):
    attnscale_("sweeep").assert_refused("sweeep")


@pytest.mark.parametrize("command", ["sweep", "verify"])
def test_cuda_where_there_is_none_is_one_line(attnscale_, monkeypatch, tmp_path, command):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = ["--out", tmp_path / "new"] if command == "sweep" else []

    outcome = attnscale_(command, "matmul", "--device", "cuda", *out)

    outcome.assert_refused("torch sees no CUDA device here; use --device cpu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["flashy"], ["no implementation is called 'flashy'"]),
        (["--impl", "nosuch.py:f"], ["there is no file nosuch.py"]),
        (["matmul", "--dtype", "int8"], ["dtype must be one of", "'int8'"]),
        (["matmul", "--device", "tpu"], ["expected cpu or cuda"]),
        (["matmul", "--pass", "sideways"], ["pass must be one of forward, ", "'sideways'"]),
        (["matmul", "--time-limit", "0"], ["--time-limit: expected seconds above 0"]),
        (["matmul", "--time-limit", "soon"], ["--time-limit"]),
        (["--impl", "math:sin", "--layout", "sbhd"], ["--layout: expected bhsd or bshd"]),
        (["--impl", "math:sin[sbhd]"], ["--impl math:sin[sbhd]", "got [sbhd]"]),
        (["--layout", "bshd"], ["--layout bshd: expected --impl beside it, got none"]),
        (["matmul", "--layout", "bshd"], ["--layout bshd: expected --impl beside it, got none"]),
    ],
)
def test_a_wrong_request_to_verify_is_one_line(attnscale_, checking, arguments, words):
    attnscale_("verify", *arguments).assert_refused(*words)


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
    attnscale_(*arguments).assert_refused(*words)


def test_a_mistake_of_ours_is_not_passed_off_as_the_users(monkeypatch):
    def broken(self: Sweep, *, resume: bool = False) -> None:
        raise ValueError("ours")

    monkeypatch.setattr(Sweep, "run", broken)

    with pytest.raises(ValueError, match="ours"):
        main(["sweep", "--preset", "smoke", "--out", "unused"])


def test_list_is_a_table_for_people(attnscale_):
    shown = attnscale_("list")

    assert shown.code == DONE
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
