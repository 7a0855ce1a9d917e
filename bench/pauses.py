"""Between readings: canaries, what the process used, and waiting for the machine's usual pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.counters import Usage
from bench.pace import Canary, Pace


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Between two readings: the canary after the one, the canary before the other.

    `cpu_s` is what all canaries took until then; `usage` was read only if asked for.
    """

    after: Canary
    before: Canary
    cpu_s: float
    usage: Usage | None


class Pauses:
    """Looks at what surrounds readings, and waits for the usual pace as long as patience lasts."""

    def __init__(
        self,
        canary: Callable[[], Canary] | None,
        usual: Pace | None,
        usage: Callable[[], Usage],
        clock: Callable[[], float],
    ) -> None:
        self.patience_s = 0.0
        self._canary, self._usual, self._usage, self._clock = canary, usual, usage, clock
        self._waited_s = self._cpu_s = 0.0

    @property
    def is_patient(self) -> bool:
        """Whether waiting may still help."""
        return self._waited_s < self.patience_s

    def pause(self, *, with_usage: bool = False) -> Pause:
        """Look, and wait for the pace."""
        after = before = self._look()
        began = self._clock()
        while self.is_patient and not self.at_pace(before):
            before = self._look()
            now = self._clock()
            self._waited_s, began = self._waited_s + now - began, now
        usage = self._usage() if with_usage else None
        return Pause(after=after, before=before, cpu_s=self._cpu_s, usage=usage)

    def at_pace(self, *canaries: Canary) -> bool:
        """Whether the machine ran at its usual pace, as far as that is known."""
        return self._usual is None or self._usual.holds(*canaries)

    def used_since(self, pause: Pause) -> tuple[Usage, float | None]:
        """What was used since a pause, and the CPU time of it without that of canaries."""
        assert pause.usage is not None
        used = self._usage().since(pause.usage)
        if used.cpu_time_s is None:
            return used, None
        return used, max(0.0, used.cpu_time_s - (self._cpu_s - pause.cpu_s))

    def _look(self) -> Canary:
        if self._canary is None:
            return ()
        started = time.process_time()
        found = self._canary()
        self._cpu_s += time.process_time() - started
        return found
