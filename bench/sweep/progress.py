"""Shows how a sweep goes on, on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

PLAIN_LINE_EVERY_S = 10.0


class LiveProgress(Progress):
    """A bar of the time with what is being done."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description:44.44}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
            # Drawn between passes only: a thread that draws would take time from what is timed.
            auto_refresh=False,
        )
        self._task = self.add_task("preparing", total=None, left="")

    def phase(self, text: str) -> None:
        """Name what is being done."""
        self.update(self._task, description=text, refresh=True)

    def measuring(self, number: int, spent_s: float, at_most_s: float) -> None:
        """Show how much of the time is spent."""
        self.update(
            self._task,
            description=f"measuring, round {number + 1}",
            completed=spent_s,
            total=at_most_s,
            left=remaining(at_most_s - spent_s),
            refresh=True,
        )


class PlainProgress:
    """A line for every phase, and one every ten seconds of measuring."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._last = -math.inf

    def phase(self, text: str) -> None:
        """Print what is being done."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def measuring(self, number: int, spent_s: float, at_most_s: float) -> None:
        """Say how far it is, now and then."""
        now = self._clock()
        if now - self._last < PLAIN_LINE_EVERY_S:
            return
        self._last = now
        left = remaining(at_most_s - spent_s)
        self.phase(f"measuring: round {number + 1}, {spent_s:.0f} s spent, {left}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def remaining(seconds: float) -> str:
    """How long it may still take, no finer than it is known."""
    if seconds >= 90:
        return f"at most {seconds / 60:.0f} min left"
    return f"at most {max(0.0, seconds):.0f} s left"


Observer = LiveProgress | PlainProgress
"""Who is told how a sweep goes on."""


def progress(console: Console) -> Observer:
    """The display that suits the console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
