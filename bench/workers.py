"""The measuring processes of a sweep's rounds, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from bench.groundwork import Groundwork
from bench.rounds import Rounds
from bench.supervisor import Worker


class Workers:
    """Gives each part of a round a process of its own, but for rounds that share one."""

    def __init__(
        self, start: Callable[[], Worker], ground: Groundwork, clock: Callable[[], float]
    ) -> None:
        self._start = start
        self._ground = ground
        self._clock = clock
        self._worker: Worker | None = None
        self.number = 0
        """What the newest process's number in the records counts from."""

    def next(self, rounds: Rounds, number: int) -> Worker:
        """The process for the next part of a round, started and ready."""
        if self._worker is not None:
            if rounds.shares_process(number):
                return self._worker
            self._worker.stop()
        self.number = rounds.visits.newest_worker(number)
        self._worker = self._start()
        began = self._clock()
        self._ground.start(self._worker)
        rounds.started_at = self._clock()
        rounds.process_s = rounds.started_at - began
        return self._worker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._worker is not None:
            self._worker.stop()
