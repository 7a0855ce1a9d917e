"""Empties a pipe that a kernel writes to, so that it never waits, and keeps little of it."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from typing import IO

CHUNK_BYTES = 2**16
# As much as a pipe holds and more: whoever writes without end is not read without end.
MOST_CHUNKS = 32
WAITS_FOR_PIPES = os.name == "posix"


class Drain:
    """Reads a pipe in a thread until its end, and keeps its first or its last bytes.

    What a kernel prints may be gigabytes; it costs time, as anywhere, but no disk and no memory.
    """

    def __init__(self, pipe: IO[bytes], *, first: int = 0, last: int = 0) -> None:
        self._pipe = pipe
        self._first, self._last = first, last
        self._kept = b""
        self._lock = threading.Lock()
        if WAITS_FOR_PIPES:
            os.set_blocking(pipe.fileno(), False)
        run = self._run if WAITS_FOR_PIPES else self._run_blocking
        threading.Thread(target=run, daemon=True).start()

    def taken(self) -> str:
        """What was kept since the last time, with all that stands in the pipe now."""
        with self._lock:
            for _ in range(MOST_CHUNKS if WAITS_FOR_PIPES else 0):
                if not self._keep(self._read()):
                    break
            kept, self._kept = self._kept, b""
        return kept.decode(errors="replace").strip()

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while True:
                selector.select()
                with self._lock:
                    if self._keep(self._read()) == b"":
                        self._pipe.close()
                        return

    def _run_blocking(self) -> None:
        with contextlib.suppress(OSError), self._pipe:
            while piece := self._read():
                with self._lock:
                    self._keep(piece)

    def _read(self) -> bytes | None:
        """The next piece; empty at the end, None where there is nothing now."""
        try:
            return os.read(self._pipe.fileno(), CHUNK_BYTES)
        except BlockingIOError:
            return None
        except (OSError, ValueError):  # the thread has seen the end
            return b""

    def _keep(self, piece: bytes | None) -> bytes | None:
        kept = self._kept + (piece or b"")
        self._kept = kept[: self._first] if self._first else kept[-self._last :]
        return piece
