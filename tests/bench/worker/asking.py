"""Operations of a worker, asked in this process as if by JSON, and a stopwatch that is told."""

import json
from dataclasses import asdict
from itertools import chain, repeat
from typing import Any

from bench.timing.stopwatch import drop, nothing
from bench.worker.__main__ import _answer
from bench.worker.operations import OPERATIONS
from implementations.case import Case

SMALL = Case(seq_len=7, head_dim=5)


def ask(operation: str, **request: Any) -> dict[str, Any]:
    sent = json.loads(json.dumps(request))
    return json.loads(json.dumps(_answer(OPERATIONS[operation], sent), allow_nan=False))


def trial(spec: str, case: Case = SMALL, **more: Any) -> dict[str, Any]:
    return ask("trial", spec=spec, case=asdict(case), seed=0, **more)


def visit(spec: str, case: Case = SMALL, **more: Any) -> dict[str, Any]:
    return ask("visit", spec=spec, case=asdict(case), seed=0, **more)


class ToldStopwatch:
    """Makes one call for each reading; each takes the next of the seconds, the last for ever."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = chain(seconds, repeat(seconds[-1]))
        self.readings: list[int] = []

    def measure(self, call: Any, calls: int, *, between: Any = nothing, keep: Any = drop) -> float:
        self.readings.append(calls)
        between()
        keep(call())
        return calls * next(self._seconds)
