"""The parent's side of a measuring process: start it, ask it, replace it when it is lost."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bench.counters import oom_kills
from bench.environment import worker_environment
from bench.results import POISONED

START_LIMIT_S = 120.0
# Somebody else ended the process: that says nothing about a request, which is asked again.
ENDED_FROM_OUTSIDE = {
    getattr(signal, name): name
    for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)
}
MOST_ENDINGS = 3
REASONS = ("reason", "graph_reason", "energy_reason")
KILL = 9
# How soon the end of a process is seen whose children keep its pipe open.
POLL_S = 1.0
ROOT = Path(__file__).resolve().parents[1]


class WorkerLost(Exception):  # noqa: N818  # it is an event of measuring, not a mistake
    """The worker did not answer; `status` and the message say what became of it."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WorkerEnded(WorkerLost):
    """Somebody else ended the process: that says nothing of the request."""


class Worker:
    """One measuring process with pinned threads and allocator; started on first use, or by `begin`.

    It runs in a session of its own, so that Ctrl-C reaches the parent only, which then ends it.
    """

    def __init__(self, *, threads: int, allocator: str = "pinned") -> None:
        self.started = 0
        self._batch = 0
        self._threads = threads
        self._allocator = allocator
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._log: IO[bytes] | None = None

    def begin(self) -> None:
        """Start the process now, while this one has something else to do.

        If that fails, the first request says so.
        """
        with contextlib.suppress(WorkerLost):
            self._running()

    def ask(self, operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        """The worker's answer.

        A process that was ended from outside, and not by the kernel for its memory, is replaced
        and asked again, up to MOST_ENDINGS times in all.

        Raises:
            WorkerLost: it crashed, was killed, or took longer than `limit_s`. The next request
                starts a new process.

        """
        endings = 0
        while True:
            try:
                (answer,) = self.answers([{"op": operation, **request}], limit_s=limit_s)
            except WorkerEnded:
                endings += 1
                if endings == MOST_ENDINGS:
                    raise
            else:
                return answer

    def answers(
        self, requests: Sequence[Mapping[str, Any]], *, limit_s: float
    ) -> Iterator[dict[str, Any]]:
        """The answers to a batch of requests, each as soon as it comes, within `limit_s`.

        A process whose GPU is lost is stopped: then the answers end early, and the next request
        starts a new one.

        Raises:
            WorkerLost: it crashed, was killed, took too long, or answered something else. The
                request that comes after the last answer is the one it happened in.

        """
        process = self._running()
        self._batch += 1
        kills = oom_kills()
        line = json.dumps({"batch": self._batch, "requests": list(requests)}) + "\n"
        for place in range(len(requests)):
            text = self._exchange(process, line if place == 0 else None, limit_s)
            if text is None:
                raise self._lost(process, kills)
            answer = self._opened(text, place)
            yield answer
            if any(POISONED in str(answer.get(one)) for one in REASONS):
                self.stop()
                return

    def _lost(self, process: subprocess.Popen[str], kills: int | None) -> WorkerLost:
        """Why a process ended without an answer."""
        code, said = self._autopsy(process)
        if -code not in ENDED_FROM_OUTSIDE:
            return _crash(code, said)
        now = oom_kills()
        if -code == KILL and now is not None and now != kills:
            return WorkerLost("out_of_memory", "the kernel killed the worker for its memory")
        return _ended(-code, counted=now is not None)

    def _opened(self, text: str, place: int) -> dict[str, Any]:
        """The answer in a line.

        Raises:
            WorkerLost: it answers another request: a kernel has copied the process, or written
                where only answers belong.

        """
        try:
            line = json.loads(text)
            fits = (line["batch"], line["place"]) == (self._batch, place)
            answer: dict[str, Any] = line["answer"]
        except (ValueError, TypeError, KeyError):
            fits = False
        if not fits:
            self.stop()
            raise WorkerLost("crashed", "the worker gave an answer that belongs to no request")
        return answer

    def _exchange(
        self, process: subprocess.Popen[str], line: str | None, limit_s: float
    ) -> str | None:
        """Send a line, if there is one, and wait for the next; None if the process ended."""
        assert process.stdin is not None
        try:
            if line is not None:
                process.stdin.write(line)
                process.stdin.flush()
            return self._next(process, limit_s)
        except queue.Empty:
            self.stop()
            raise WorkerLost("timeout", f"no answer within {limit_s:.3g} s") from None
        except OSError:
            return None

    def _next(self, process: subprocess.Popen[str], limit_s: float) -> str | None:
        """The next line; None if the process ended without one, even if its children live on.

        Raises:
            queue.Empty: neither happened within the limit.

        """
        deadline = time.monotonic() + limit_s
        while True:
            ended = process.poll() is not None
            left_s = deadline - time.monotonic()
            try:
                return self._answers.get(timeout=max(0.0, min(POLL_S, left_s)))
            except queue.Empty:
                if ended:
                    return None
                if left_s <= POLL_S:
                    raise

    def stop(self) -> None:
        """End the process, if there is one, and what a kernel started in its session."""
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        # Its output is closed by who reads it: closing here would wait for the reader, who waits
        # for ever if something that escaped the kill holds the other end.
        for stream in (process.stdin, self._log):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # a pipe to a dead process may refuse its last flush
        self._log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        self.started += 1
        self._answers = queue.Queue()
        try:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  # stop() closes it
        except OSError as problem:
            raise WorkerLost("crashed", f"no measuring process: {problem.strerror}") from None
        environment = worker_environment(self._threads, self._allocator)
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(ROOT), environment.get("PYTHONPATH")))
        )
        self._process = subprocess.Popen(
            # -P: a folder named bench where the user stands must not be taken for ours.
            [
                *(sys.executable, "-P", "-m", "bench.worker"),
                *(str(self._threads), str(os.getpid())),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,
        )
        threading.Thread(
            target=_forward, args=(self._process.stdout, self._answers), daemon=True
        ).start()
        return self._process

    def _autopsy(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """The exit code of a process that ended, and the last line it said."""
        try:
            code = process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = 0
        said = self._last_words()
        self.stop()
        return code, said

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1][:300]}" if lines else ""


def _forward(stream: IO[str] | None, answers: queue.Queue[str | None]) -> None:
    assert stream is not None
    with contextlib.suppress(OSError, ValueError), stream:
        for line in stream:
            if line.endswith("\n"):  # else it was killed while it wrote
                answers.put(line)
    answers.put(None)


def _kill(process: subprocess.Popen[str]) -> None:
    """End the process and all of its session: what a kernel forks would outlive it."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _crash(code: int, said: str) -> WorkerLost:
    if code < 0:
        return WorkerLost("crashed", f"the worker died of {signal.Signals(-code).name}")
    status = "out_of_memory" if "Thread creation failed" in said else "crashed"
    return WorkerLost(status, f"the worker exited with {code}{said}")


def _ended(number: int, *, counted: bool) -> WorkerLost:
    """`counted`: the platform would have told of a kill for memory."""
    name = ENDED_FROM_OUTSIDE[number]
    if number == KILL and not counted:
        reason = "the worker was killed, most likely for its memory"
        return WorkerEnded("out_of_memory", reason)
    return WorkerEnded("crashed", f"{name} ended the worker {MOST_ENDINGS} times")


def succeeded(answer: Mapping[str, Any]) -> bool:
    """Whether the worker did what it was asked."""
    return answer["status"] in ("done", "measured")
