"""Finds and ends what a kernel started, however it was detached.

A measuring process starts with a variable of its own in its environment. Whatever it forks or
starts inherits it, also in another session and after its parent has ended. A process that was
started with an empty environment, or under another user, is not found, and neither is anything
where the platform shows no environments.
"""

from __future__ import annotations

import contextlib
import secrets

import psutil

# Between finding and killing a process may have forked.
MOST_ROUNDS = 5
END_LIMIT_S = 1.0


def new_mark() -> str:
    """The name of a variable that no other process has."""
    return f"ATTNSCALE_WORKER_{secrets.token_hex(8)}"


def end_marked(mark: str) -> None:
    """End all processes of this user that have the variable in their environment."""
    for _ in range(MOST_ROUNDS):
        found = [one for one in psutil.process_iter() if _has(one, mark)]
        if not found:
            return
        for one in found:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(found, timeout=END_LIMIT_S)


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in process.environ()
    except (psutil.Error, OSError):  # it has ended, or is another user's
        return False
