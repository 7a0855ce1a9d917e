"""What a kernel started is found by its environment, however it was detached."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from bench.process.measuring_process import end_marked, new_mark

DETACHED = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        signal.pause()
    os._exit(0)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    found = new_mark()
    yield found
    end_marked(found)


def start(program: str, **environment: str) -> int:
    """The number of the process that a program starts, and tells of."""
    made = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert made.stdout is not None
    number = int(made.stdout.readline())
    made.stdout.close()
    made.wait()
    return number


def test_a_process_in_another_session_whose_parents_are_gone_is_ended(mark: str) -> None:
    detached, other = start(DETACHED, **{mark: "1"}), start(DETACHED, **{new_mark(): "1"})

    end_marked(mark)

    assert not psutil.pid_exists(detached) or (
        psutil.Process(detached).status() == psutil.STATUS_ZOMBIE
    )
    assert psutil.pid_exists(other)
    psutil.Process(other).kill()


def test_every_process_has_a_mark_of_its_own() -> None:
    assert new_mark() != new_mark()
