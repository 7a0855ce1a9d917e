"""A measuring process takes nobody with it: not when its parent ends, nor when memory does."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.process import confinement
from bench.process.confinement import limit_memory, offer_as_victim

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux offers this")


class FakeResource:
    """RLIMIT_DATA with a hard limit, and what it was set to."""

    RLIMIT_DATA = 2
    RLIM_INFINITY = -1

    def __init__(self, hard: int = -1) -> None:
        self.hard = hard
        self.set: list[tuple[int, int]] = []

    def getrlimit(self, which: int) -> tuple[int, int]:
        assert which == self.RLIMIT_DATA
        return -1, self.hard

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        assert which == self.RLIMIT_DATA
        self.set.append(limits)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A process that holds 5 KiB of data."""
    (tmp_path / "status").write_text(
        "Name:\tpython\nVmPeak:\t 99 kB\nVmData:\t  5 kB\nThreads:\t1\n"
    )
    return tmp_path


def fake(monkeypatch: pytest.MonkeyPatch, **options: Any) -> FakeResource:
    found = FakeResource(**options)
    monkeypatch.setattr(confinement, "resource", found)
    return found


def python(program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def test_the_limit_is_what_the_process_holds_and_what_is_free(own, monkeypatch):
    resource = fake(monkeypatch)

    assert limit_memory(7000, own) == 5 * 1024 + 7000
    assert resource.set == [(5 * 1024 + 7000, -1)]


def test_a_stricter_limit_of_the_user_is_left_as_it_is(own, monkeypatch):
    resource = fake(monkeypatch, hard=6000)

    assert limit_memory(7000, own) is None
    assert resource.set == []
    assert limit_memory(500, own) == 5 * 1024 + 500


@pytest.mark.parametrize("status", [None, "", "VmData:\n", "VmData: many kB\n"])
def test_where_the_data_of_the_process_are_unknown_there_is_no_limit(tmp_path, monkeypatch, status):
    resource = fake(monkeypatch)
    if status is not None:
        (tmp_path / "status").write_text(status)

    assert limit_memory(7000, tmp_path) is None
    assert resource.set == []


@pytest.mark.parametrize("resource", [None, object()])
def test_a_platform_without_limits_goes_without(own, monkeypatch, resource):
    monkeypatch.setattr(confinement, "resource", resource)

    assert limit_memory(7000, own) is None


def test_a_process_offers_itself_to_be_killed_first_for_memory(tmp_path):
    offer_as_victim(tmp_path)

    assert (tmp_path / "oom_score_adj").read_text() == "1000"


def test_a_platform_that_takes_no_such_offer_is_no_error(tmp_path):
    offer_as_victim(tmp_path / "nowhere")

    assert list(tmp_path.iterdir()) == []


@linux
def test_an_allocation_beyond_the_limit_fails_in_the_process_that_made_it_and_nowhere_else():
    program = """
        from bench.process.confinement import limit_memory
        assert limit_memory(64 * 2**20) is not None
        try:
            bytearray(2**30)
        except MemoryError:
            print("refused")
        print(len(bytearray(2**20)))
    """

    process = python(program)

    assert process.communicate(timeout=PATIENCE_S)[0].split() == ["refused", str(2**20)]
    assert process.returncode == 0
    assert len(bytearray(2**28)) == 2**28


@linux
def test_address_space_that_is_only_reserved_costs_nothing():
    program = """
        import mmap
        from bench.process.confinement import limit_memory
        limit_memory(64 * 2**20)
        mmap.mmap(-1, 2**30, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ).close()
        print("reserved")
    """

    assert python(program).communicate(timeout=PATIENCE_S)[0] == "reserved\n"


PARENT = """
    import os, subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
    child.wait()
"""
# It holds the interpreter, as a kernel that hangs in C does: no thread of its own could end it.
HANGING = """
import ctypes, sys
from bench.process.confinement import die_with
die_with(int(sys.argv[1]))
print("confined", flush=True)
ctypes.PyDLL(None).pause()
"""


@linux
def test_a_process_that_hangs_dies_when_its_parent_is_killed():
    parent = python(PARENT, HANGING)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "confined\n"
    (child,) = psutil.Process(parent.pid).children()

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(timeout=PATIENCE_S)

    try:
        gone, alive = psutil.wait_procs([child], timeout=PATIENCE_S)
        assert (gone, alive) == ([child], [])
    finally:
        parent.stdout.close()
        if child.is_running():
            child.kill()


@linux
def test_a_process_whose_parent_has_ended_already_ends_at_once():
    program = """
        import os
        from bench.process.confinement import die_with
        die_with(os.getppid() + 1)
        print("still here")
    """

    process = python(program)

    assert process.communicate(timeout=PATIENCE_S)[0] == ""
    assert process.returncode == 1


def test_elsewhere_than_on_linux_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(confinement.ctypes, "CDLL", lambda *_, **__: pytest.fail("no prctl here"))

    confinement.die_with(os.getppid() + 1)
