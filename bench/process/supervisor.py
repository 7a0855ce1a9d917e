"""Asks a measuring process, and replaces it when it is lost."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from bench.machine.os_counters import oom_kills
from bench.process.answers import POISONED, checked_answer
from bench.process.checkout import Checkout
from bench.process.measuring_process import MeasuringProcess

START_LIMIT_S = 120.0
# Compiling an extension takes tens of seconds; it is the machine's time, and no call's.
IMPORT_LIMIT_S = 60.0
# Somebody else ended the process: that says nothing about a request, which is asked again.
ENDED_FROM_OUTSIDE = {
    getattr(signal, name): name
    for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)
}
MOST_ENDINGS = 3
REASONS = ("reason", "graph_reason", "energy_reason")
KILL = 9
Answer = dict[str, Any]


class WorkerLost(Exception):  # noqa: N818  # it is an event of measuring, not a mistake
    """The worker did not answer; `status` and the message say what became of it."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WorkerEnded(WorkerLost):
    """Somebody else ended the process: that says nothing of the request."""


class ImportLost(WorkerLost):
    """Importing a kernel took the process down, or did not end: it will not be tried there again.

    Another process may fare better.
    """


class Worker:
    """One measuring process with pinned threads and allocator; started on first use, or by `begin`.

    It runs in a session of its own, so that Ctrl-C reaches the parent only, which then ends it.
    With a `checkout` its kernels are those of a revision. `import_limit_s` is how long the import
    of a kernel may take, IMPORT_LIMIT_S if not given.
    """

    def __init__(
        self,
        *,
        threads: int,
        allocator: str = "pinned",
        checkout: Checkout | None = None,
        import_limit_s: float | None = None,
    ) -> None:
        self._started = 0
        self._checkout = checkout
        self._given_import_limit_s = import_limit_s
        self._batch = 0
        self._kills: int | None = None  # for memory, before the batch
        self._threads = threads
        self._allocator = allocator
        self._process: MeasuringProcess | None = None
        self._is_ready = False
        self._lost_imports: dict[str, tuple[str, str]] = {}  # status and reason, by spec

    @property
    def started(self) -> int:
        """How many processes were started."""
        return self._started

    def begin(self) -> None:
        """Start the process now, while this one has something else to do.

        If that fails, the first request says so.
        """
        with contextlib.suppress(WorkerLost):
            self._running()

    def ask(
        self, operation: str, *, limit_s: float, patience: float = 1.0, **request: Any
    ) -> Answer:
        """The worker's answer.

        A process that was ended from outside, and not for its memory, is replaced and asked again,
        up to MOST_ENDINGS times in all.

        Raises:
            WorkerLost: it crashed, was killed, or took longer than `limit_s` (see `answers`). The
                next request starts a new process.

        """
        batch = [{"op": operation, **request}]
        endings = 0
        while True:
            try:
                # All of them: what comes after an answer may stop the process.
                (answer,) = self.answers(batch, limit_s=limit_s, patience=patience)
            except WorkerEnded:
                endings += 1
                if endings == MOST_ENDINGS:
                    raise
            else:
                return answer

    def answers(
        self, requests: Sequence[Mapping[str, Any]], *, limit_s: float, patience: float = 1.0
    ) -> Iterator[Answer]:
        """The answers to a batch of requests, each as soon as it comes, within `limit_s`.

        The process's own start and the import of a kernel have limits of their own. With `patience`
        the limit is one of computing: a process that a busy machine keeps from it may take so many
        times as long. A process whose GPU is lost is stopped: then the answers end early, and the
        next request starts a new one.

        Raises:
            WorkerLost: it crashed, was killed, took too long, or answered something else. The
                request that comes after the last answer is the one it happened in.

        """
        lost = [(place, loss) for place, one in enumerate(requests) for loss in self._losses(one)]
        sound = lost[0][0] if lost else len(requests)
        if sound:
            yield from self._answers(requests[:sound], limit_s, patience)
            if self._process is None:
                return
        if lost:
            raise ImportLost(*lost[0][1])

    def _answers(
        self, requests: Sequence[Mapping[str, Any]], limit_s: float, patience: float
    ) -> Iterator[Answer]:
        self._kills = oom_kills()
        process = self._ready()
        self._batch += 1
        process.send(json.dumps({"batch": self._batch, "requests": list(requests)}))
        for place, request in enumerate(requests):
            told = self._answer(process, place, limit_s, patience)
            answer = checked_answer(str(request["op"]), told)
            printed = process.printed()
            yield answer | ({"printed": printed} if printed else {})
            if any(POISONED in str(answer.get(one)) for one in REASONS):
                self.stop()
                return

    def _answer(
        self, process: MeasuringProcess, place: int, limit_s: float, patience: float
    ) -> object:
        """What the process answers to a request, after it has told what it imports, if it does."""
        line = self._line(process, limit_s, patience, place)
        import_limit_s = self._given_import_limit_s or IMPORT_LIMIT_S
        while "importing" in line:
            spec = line["importing"]
            try:
                allowed_s = limit_s if spec is None else import_limit_s
                line = self._line(process, allowed_s, patience, place)
            except WorkerEnded:
                raise
            except WorkerLost as lost:
                if spec is None:
                    raise
                reason = f"importing it took the process down: {lost}"
                if lost.status == "timeout":
                    reason = f"importing it did not end within {import_limit_s:.3g} s"
                self._lost_imports[str(spec)] = loss = (lost.status, reason)
                raise ImportLost(*loss) from None
        return line.get("answer")

    def _losses(self, request: Mapping[str, Any]) -> list[tuple[str, str]]:
        """How imports of kernels that the request needs were lost before."""
        specs = (request.get("spec"), *request.get("specs", ()))
        return [self._lost_imports[spec] for spec in specs if spec in self._lost_imports]

    def _line(
        self,
        process: MeasuringProcess,
        limit_s: float,
        patience: float = 1.0,
        place: int | None = None,
    ) -> Answer:
        """The next line, of the request at this place; of none, that the process is ready.

        The process is lost if there is none in time, or if the line belongs to another request: a
        kernel has copied the process, or written where only answers belong.
        """
        try:
            text = process.next_line(limit_s, patience=patience)
        except queue.Empty:
            self.stop()
            raise WorkerLost("timeout", f"no answer within {limit_s:.3g} s") from None
        if text is None:
            raise self._lost(process)
        expected = {"pid": process.pid}
        if place is not None:
            expected |= {"batch": self._batch, "place": place}
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict) and {name: line.get(name) for name in expected} == expected:
            return line
        self.stop()
        raise WorkerLost("crashed", "the worker gave an answer that belongs to no request")

    def _lost(self, process: MeasuringProcess) -> WorkerLost:
        """Why a process ended without an answer."""
        code, said = process.autopsy()
        self.stop()
        if -code in ENDED_FROM_OUTSIDE:
            kills = oom_kills()
            if -code == KILL and kills is None:  # the platform does not tell of kills for memory
                reason = "the worker was killed, most likely for its memory"
                return WorkerEnded("out_of_memory", reason)
            if -code == KILL and kills != self._kills:
                return WorkerLost("out_of_memory", "the kernel killed the worker for its memory")
            name = ENDED_FROM_OUTSIDE[-code]
            return WorkerEnded("crashed", f"{name} ended the worker {MOST_ENDINGS} times")
        if code < 0:
            return WorkerLost("crashed", f"the worker died of {signal.Signals(-code).name}")
        status = "out_of_memory" if "Thread creation failed" in said else "crashed"
        return WorkerLost(status, f"the worker exited with {code}{said}")

    def stop(self) -> None:
        """End the process, if there is one, and what a kernel started in it."""
        process, self._process = self._process, None
        self._is_ready = False
        if process is not None:
            process.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ready(self) -> MeasuringProcess:
        """The process, with torch loaded and its clock calibrated."""
        process = self._running()
        if not self._is_ready:
            self._line(process, START_LIMIT_S)
            self._is_ready = True
        return process

    def _running(self) -> MeasuringProcess:
        if self._process is not None and not self._process.has_ended:
            return self._process
        self.stop()
        try:
            self._process = MeasuringProcess(
                threads=self._threads, allocator=self._allocator, checkout=self._checkout
            )
        except OSError as problem:
            raise WorkerLost("crashed", f"no measuring process: {problem.strerror}") from None
        self._started += 1
        return self._process


def succeeded(answer: Mapping[str, Any]) -> bool:
    """Whether the worker did what it was asked."""
    return answer["status"] in ("done", "measured")


def try_ask(worker: Worker, operation: str, *, limit_s: float, **request: Any) -> Answer | None:
    """The answer to what can be done without; None if the worker was lost, or did not do it."""
    try:
        answer = worker.ask(operation, limit_s=limit_s, **request)
    except WorkerLost:
        return None
    return answer if succeeded(answer) else None
