"""Measures kernels of two versions of a repository in turn, in processes that share no module."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.process.checkout import Checkout
from bench.process.supervisor import Answer, Worker, succeeded

# Of each process, beside what `usage` tells of the machine.
OWN_USAGE = ("cpu_time_s", "minor_faults", "waiting_s")


def worker_for(checkout: Checkout | None, make: Callable[..., Worker]) -> Worker:
    """A worker that `make` makes, or several of them if there are two versions of kernels."""
    return make() if checkout is None else SideBySide(checkout, make)


class SideBySide(Worker):
    """Three workers as one: for the suite, for the working tree, and for a revision.

    A module that both versions import is a different one in each, so each version has a process of
    its own. The suite's kernels have a third one: the two versions then have the same neighbours.
    Only one process is asked at a time. The others wait for a request, which takes no CPU time.
    `make` makes a worker, of a `checkout` if it gets one.
    """

    PROCESSES = 3

    def __init__(self, checkout: Checkout, make: Callable[..., Worker]) -> None:
        self._owns = checkout.owns
        self._suite, self._tree, self._revision = make(), make(), make(checkout=checkout)

    @property
    def _all(self) -> tuple[Worker, ...]:
        return self._suite, self._tree, self._revision

    @property
    def started(self) -> int:
        """How many processes were started."""
        return sum(one.started for one in self._all)

    def begin(self) -> None:
        """Start the processes now, while this one has something else to do."""
        for one in self._all:
            one.begin()

    def ask(
        self, operation: str, *, limit_s: float, patience: float = 1.0, **request: Any
    ) -> Answer:
        """The answer of the process that the request is for; `usage` and `rest` are for all."""
        if operation not in ("usage", "rest"):
            return super().ask(operation, limit_s=limit_s, patience=patience, **request)
        told = [one.ask(operation, limit_s=limit_s, **request) for one in self._all]
        whole = next((one for one in told if not succeeded(one)), told[-1])
        for name in OWN_USAGE:
            if whole.get(name) is not None:
                values = [one.get(name) for one in told]
                whole[name] = None if None in values else sum(values)
        return whole

    def answers(
        self, requests: Sequence[Mapping[str, Any]], *, limit_s: float, patience: float = 1.0
    ) -> Iterator[Answer]:
        """The answers to a batch; neighbours that are for one process go to it together.

        Raises:
            WorkerLost: as that of a worker.

        """
        for worker, group in itertools.groupby(map(self._apart, requests), self._worker_for):
            batch = list(group)
            answered = 0
            for answer in worker.answers(batch, limit_s=limit_s, patience=patience):
                answered += 1
                yield answer
            if answered < len(batch):
                return  # the process lost its GPU

    def _apart(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request without kernels of the revision beside others: no process has both."""
        if "specs" not in request:
            return request
        return {**request, "specs": [one for one in request["specs"] if not self._owns(one)]}

    def _worker_for(self, request: Mapping[str, Any]) -> Worker:
        specs = (request.get("spec"), *request.get("specs", ()))
        own = [spec for spec in specs if spec is not None and ":" in spec]
        if not own:
            return self._suite
        return self._revision if self._owns(own[0]) else self._tree

    def stop(self) -> None:
        """End the processes, and what kernels started in them."""
        for one in self._all:
            one.stop()
