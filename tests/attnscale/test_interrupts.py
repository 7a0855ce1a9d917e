"""Ctrl-C and SIGTERM: what was measured is kept, and one line says so; a second one ends all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from attnscale.exit_codes import INTERRUPTED
from attnscale.interrupts import interruptible

ROOT = Path(__file__).resolve().parents[2]
MESSAGE = "interrupted; what was measured is kept (sweep --resume continues it)"
PROGRAM = """
import os, signal, sys, types
from pathlib import Path
from attnscale import commands
from attnscale.__main__ import main
from attnscale.interrupts import TEMPORARY, interruptible

numbers = [getattr(signal, name) for name in sys.argv[1:]]

def work():
    try:
        signal.raise_signal(numbers[0])
    finally:
        for one in numbers[1:]:
            signal.raise_signal(one)
        print("ended in order", flush=True)

def command() -> int:
    TEMPORARY.append(Path(os.environ["TEMPORARY"]))
    if os.environ.get("EARLY"):
        work()
    with interruptible("sweep --resume continues it"):
        work()
    return 0

commands.COMMANDS["work"] = "Work."
sys.modules["attnscale.commands.work"] = types.SimpleNamespace(command=command)
main(["work"])
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")


def interrupted(*names: str, temporary: Path, early: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *names],
        cwd=ROOT,
        env={**os.environ, "TEMPORARY": str(temporary), "EARLY": early},
        capture_output=True,
        text=True,
        check=False,
    )


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_one_signal_ends_in_order_with_130_and_one_line(name, tmp_path):
    done = interrupted(name, temporary=tmp_path)

    assert done.returncode == INTERRUPTED == 130
    assert done.stdout == "ended in order\n"
    assert done.stderr == f"{MESSAGE}\n"


@posix
@pytest.mark.parametrize(
    ("second", "early", "line"),
    [("SIGINT", "", MESSAGE), ("SIGTERM", "", MESSAGE), ("SIGINT", "yes", "interrupted")],
)
def test_a_second_signal_removes_temporary_files_and_ends_at_once_with_the_same_line(
    second, early, line, tmp_path
):
    folder = tmp_path / "checkout"
    (folder / "files").mkdir(parents=True)
    done = interrupted("SIGINT", second, temporary=folder, early=early)

    assert done.returncode == INTERRUPTED
    assert done.stdout == ""
    assert not folder.exists()
    assert done.stderr == f"{line}\n"


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_afterwards_signals_do_what_they_did_before(number, capsys):
    before = signal.getsignal(number)

    with interruptible("again"):
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) == before

    with pytest.raises(SystemExit) as end, interruptible("again"):
        raise KeyboardInterrupt
    assert end.value.code == INTERRUPTED
    assert signal.getsignal(number) == before
    assert capsys.readouterr().err == "interrupted; what was measured is kept (again)\n"


def test_what_is_no_interrupt_passes_through():
    with pytest.raises(ValueError, match="ours"), interruptible("again"):
        raise ValueError("ours")
