"""One running `bench.worker`: its pipes, what it used, and its end."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import psutil

from bench.machine.environment import worker_environment
from bench.process.checkout import Checkout

# What is kept of what a kernel prints in a request, and of what the process says to stderr.
MOST_PRINTED_BYTES = 300
LAST_WORDS_BYTES = 4096
# How soon the end of a process is seen whose children keep its pipe open.
POLL_S = 1.0
END_LIMIT_S = 10.0
# Between finding and killing what a kernel started, it may have forked.
MOST_ROUNDS = 5
KILL_LIMIT_S = 1.0
PASSES_PIPES = os.name == "posix"
CHUNK_BYTES = 2**16
# As much as a pipe holds and more: whoever writes without end is not read without end.
MOST_CHUNKS = 32
STDOUT = 1
ROOT = Path(__file__).resolve().parents[2]


class MeasuringProcess:
    """A process with pinned threads and allocator, in a session of its own.

    Requests go to its standard input and answers come through a pipe of their own. Standard output
    and standard error are the kernel's: they are read all the time, and little of them is kept.
    Where a process cannot be given a pipe (Windows) answers come through standard output, and what
    a kernel prints goes to standard error. With a `checkout` the process stands in it, and imports
    from it what belongs to the user's repository.

    Raises:
        OSError: it cannot be started.

    """

    def __init__(self, *, threads: int, allocator: str, checkout: Checkout | None = None) -> None:
        self._mark = new_mark()
        environment = worker_environment(threads, allocator) | {self._mark: "1"}
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(ROOT), environment.get("PYTHONPATH")))
        )
        revision: tuple[str, ...] = ()
        if checkout is not None:
            revision = str(checkout.folder), str(checkout.repository)
            # torch builds extensions by name, in one folder for all versions.
            environment["TORCH_EXTENSIONS_DIR"] = str(checkout.folder.parent / "torch_extensions")
        source, sink = os.pipe() if PASSES_PIPES else (None, STDOUT)
        try:
            self._process = subprocess.Popen(
                # -P: a folder named bench where the user stands must not be taken for ours.
                [
                    *(sys.executable, "-P", "-m", "bench.worker"),
                    *(str(threads), str(sink), str(os.getpid()), *revision),
                ],
                cwd=None if checkout is None else checkout.place,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=() if source is None else [sink],
                env=environment,
                start_new_session=True,
            )
        except BaseException:
            if source is not None:
                os.close(source)
            raise
        finally:
            if source is not None:
                os.close(sink)
        self.pid = self._process.pid
        self._counted = psutil.Process(self.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._requests = self._process.stdin
        self._said = Drain(self._process.stderr, last=LAST_WORDS_BYTES)
        self._printed: Drain | None = None
        answers: IO[bytes] = self._process.stdout
        if source is not None:
            self._printed = Drain(self._process.stdout, first=MOST_PRINTED_BYTES)
            answers = os.fdopen(source, "rb")
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_forward, args=(answers, self._answers), daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """Whether the process is no more; what it started may live on."""
        return self._process.poll() is not None

    def send(self, line: str) -> None:
        """Write a line to it; that it has ended is seen by who waits for the answer."""
        with contextlib.suppress(OSError):
            self._requests.write(f"{line}\n".encode())
            self._requests.flush()

    def next_line(self, limit_s: float, *, patience: float = 1.0) -> str | None:
        """The next line; None if the process ended without one, even if its children live on.

        With `patience` the limit is one of computing: a process that a busy machine keeps from it
        may take so many times as long.

        Raises:
            queue.Empty: neither happened within the limit.

        """
        began, used_s = time.monotonic(), self._own_cpu_s()
        passed_s = 0.0
        while True:
            ended = self.has_ended
            wait_s = limit_s - passed_s if passed_s < limit_s else limit_s
            try:
                return self._answers.get(timeout=min(POLL_S, wait_s))
            except queue.Empty:
                if ended:
                    return None
                passed_s = time.monotonic() - began
                if passed_s >= patience * limit_s:
                    raise
                if passed_s >= limit_s and self._all_cpu_s() - used_s >= limit_s:
                    raise

    def printed(self) -> str:
        """The beginning of what was printed to stdout since the last time."""
        return self._printed.taken() if self._printed else ""

    def autopsy(self) -> tuple[int, str]:
        """The exit code of a process that ended, and the last line it said."""
        try:
            code = self._process.wait(timeout=END_LIMIT_S)
        except subprocess.TimeoutExpired:
            code = 0
        lines = self._said.taken().splitlines()
        return code, f": {lines[-1][:300]}" if lines else ""

    def end(self) -> None:
        """End the process and all that a kernel started in it: its session, and who left that."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        end_marked(self._mark)
        # Its other pipes are closed by who reads them.
        with contextlib.suppress(OSError):  # a pipe to a dead process may refuse its last flush
            self._requests.close()

    def _own_cpu_s(self) -> float:
        """Seconds that its threads have computed, with the children that it has waited for."""
        return _cpu_s(self._counted)

    def _all_cpu_s(self) -> float:
        """The same with all that it has started and that still runs."""
        try:
            children = self._counted.children(recursive=True)
        except psutil.Error:
            children = []
        return sum(map(_cpu_s, [self._counted, *children]))


def new_mark() -> str:
    """The name of a variable that no other process has in its environment.

    A measuring process starts with it. Whatever it forks or starts inherits the variable, also in
    another session and after its parent has ended. A process that was started with an empty
    environment, or under another user, is not found, and neither is anything where the platform
    shows no environments.
    """
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
        psutil.wait_procs(found, timeout=KILL_LIMIT_S)


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in process.environ()
    except (psutil.Error, OSError):  # it has ended, or is another user's
        return False


def _cpu_s(process: psutil.Process) -> float:
    try:
        return sum(process.cpu_times()[:4])  # own and its children's, user and system
    except psutil.Error:
        return 0.0


def _forward(stream: IO[bytes], answers: queue.SimpleQueue[str | None]) -> None:
    with contextlib.suppress(OSError, ValueError), stream:
        for line in stream:
            if line.endswith(b"\n"):  # else it was killed while it wrote
                answers.put(line.decode(errors="replace"))
    answers.put(None)


class Drain:
    """Reads a pipe in a thread until its end, and keeps its first or its last bytes.

    What a kernel prints may be gigabytes; it costs time, as anywhere, but no disk and no memory.
    """

    def __init__(self, pipe: IO[bytes], *, first: int = 0, last: int = 0) -> None:
        self._pipe = pipe
        self._first, self._last = first, last
        self._kept = b""
        self._lock = threading.Lock()
        if PASSES_PIPES:
            os.set_blocking(pipe.fileno(), False)
        run = self._run if PASSES_PIPES else self._run_blocking
        threading.Thread(target=run, daemon=True).start()

    def taken(self) -> str:
        """What was kept since the last time, with all that stands in the pipe now."""
        with self._lock:
            for _ in range(MOST_CHUNKS if PASSES_PIPES else 0):
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
