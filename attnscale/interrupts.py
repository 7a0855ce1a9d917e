"""What happens on Ctrl-C and SIGTERM?"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnscale.exit_codes import INTERRUPTED
from attnscale.terminal import say

# An interrupted command has ended so many seconds later, whatever became of the interrupt.
LATEST_END_S = 5
TEMPORARY: list[Path] = []
"""Folders that are not to outlive the process, however it is interrupted."""


@contextlib.contextmanager
def interruptible(how_to_continue: str | None = None) -> Iterator[None]:
    """On Ctrl-C say that all is kept, if there is anything, and exit with 130; on a second at once.

    What a batch has read is in a file before the next batch is asked for. A measuring process ends
    with its parent. So a second Ctrl-C breaks nothing. It removes the folders of TEMPORARY.
    """
    kept = f"; what was measured is kept ({how_to_continue})" if how_to_continue else ""
    message = f"interrupted{kept}"

    def at_once(number: int, frame: object) -> None:
        os.write(2, f"{message}\n".encode(errors="replace"))
        for folder in TEMPORARY:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(INTERRUPTED)

    def first(number: int, frame: object) -> None:
        for caught in before:
            signal.signal(caught, at_once)
        if hasattr(signal, "SIGALRM"):  # C code, and some imports, lose a KeyboardInterrupt
            signal.signal(signal.SIGALRM, at_once)
            signal.alarm(LATEST_END_S)
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # not in the main thread
        for caught in (signal.SIGINT, signal.SIGTERM):
            before[caught] = signal.signal(caught, first)
    try:
        yield
    except KeyboardInterrupt:
        say(message)
        for caught in before:  # one more, while Python ends, would print a traceback
            atexit.register(signal.signal, caught, signal.SIG_IGN)
        raise SystemExit(INTERRUPTED) from None
    finally:
        if hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) is at_once:
            signal.alarm(0)
        for caught, handler in before.items():
            signal.signal(caught, handler)
