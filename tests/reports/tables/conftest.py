"""The command line in this process, with limits on what an answer may take."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

MOST_CPU_S = 30
MOST_MEMORY = 2 * 2**30


class LimitPassedError(BaseException):
    """An answer that takes too long; nothing in the program catches it."""


@pytest.fixture
def bounded(attnscale_: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Run the command line within so many seconds of this process, and with so much more memory.

    On Linux; elsewhere without a limit on memory, and on Windows without any.
    """

    def run(*arguments: object, cpu_s: float = MOST_CPU_S) -> Any:
        with limited(cpu_s):
            return attnscale_(*arguments)

    with limited_memory():
        yield run


@contextlib.contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise LimitPassedError(f"no answer within {cpu_s} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
