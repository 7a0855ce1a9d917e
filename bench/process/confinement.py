"""Keeps a measuring process from harming others: it dies with its parent and by its own memory.

A kernel that hangs must not outlive the sweep that was killed, and one that eats all memory must
not take the parent, or the user's editor, with it. What a platform does not offer is left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

from bench.machine.linux_files import status_bytes

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PR_SET_PDEATHSIG = 1
MOST_LIKELY_VICTIM = "1000"
SELF = Path("/proc/self")


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, whatever it is doing then (Linux)."""
    if sys.platform != "linux":
        return  # elsewhere the end of standard input ends it, unless a call holds the interpreter
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before this took effect
        os._exit(1)


def offer_as_victim(own: Path = SELF) -> None:
    """Let the kernel, where it must kill a process for memory, choose this one (Linux)."""
    with contextlib.suppress(OSError):
        (own / "oom_score_adj").write_text(MOST_LIKELY_VICTIM, encoding="ascii")


def limit_memory(available_bytes: int, own: Path = SELF) -> int | None:
    """Let allocations beyond what is free now fail at once; the limit in bytes, or None.

    It counts what is private and writable (RLIMIT_DATA), so that reserved address space costs
    nothing. A refused allocation is an error that the kernel's author sees; without the limit Linux
    promises more memory than there is and kills whoever touches it.
    """
    if resource is None or not hasattr(resource, "RLIMIT_DATA"):
        return None
    held = status_bytes("VmData", own)
    if held is None:
        return None
    limit = held + available_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY and limit > hard:
        return None
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit
