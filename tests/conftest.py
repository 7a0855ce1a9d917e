"""Settings of the whole suite, and a worker without a process; nothing heavy is imported here."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Several test processes share a machine: one thread each, before torch reads the variable.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

# A slow machine is no failure, and the same commit gives the same answer twice.
settings.register_profile("attnscale", deadline=None, derandomize=True, database=None)
settings.load_profile("attnscale")


class DirectWorkers:
    """Stands in for `bench.supervisor.Worker`: the same requests as JSON, answered right here.

    `asked` has every request in order; `fault` may raise in place of an answer, or give one.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.opened = 0
        self.fault: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda *_: None

    def __call__(self, *, threads: int, allocator: str = "pinned") -> DirectWorker:
        self.opened += 1
        return DirectWorker(self)

    def operations(self, name: str) -> list[dict[str, Any]]:
        return [request for operation, request in self.asked if operation == name]


class DirectWorker:
    def __init__(self, workers: DirectWorkers) -> None:
        self.started = 0
        self._workers = workers
        self._lost = True

    def ask(self, operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        from bench import worker

        self.started += self._lost
        self._lost = True
        self._workers.asked.append((operation, request))
        answer = self._workers.fault(operation, request)
        if answer is None:
            sent = json.loads(json.dumps(request))
            answer = worker._answer(worker.OPERATIONS[operation], sent)
        self._lost = False
        return json.loads(json.dumps(answer, allow_nan=False))

    def stop(self) -> None:
        self._lost = True

    def __enter__(self) -> DirectWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture
def direct_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[DirectWorkers]:
    """Measuring without processes, so that a test starts no torch and injects every failure."""
    from bench import supervisor, sweep, verification, worker

    workers = DirectWorkers()
    monkeypatch.setattr(supervisor, "Worker", workers)
    monkeypatch.setattr(sweep, "Worker", workers)
    monkeypatch.setattr(verification, "Worker", workers)
    monkeypatch.setattr(worker, "CEILING_SIZE", 8)
    monkeypatch.setattr(worker, "CANARY_SIZE", 8)
    monkeypatch.setattr(worker, "COPY_BYTES", 4096)
    worker._implementation.cache_clear()
    yield workers
    worker._implementation.cache_clear()
    worker._canary_operands.cache_clear()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write an indented text to a file below the test's own directory."""

    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return file
