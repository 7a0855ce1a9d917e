"""Shows how far a command is, on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

PLAIN_LINE_EVERY_S = 10.0
# Work that is over sooner says nothing of itself.
COUNTED_EVERY_S = 2.0
DRAWN_EVERY_S = 0.1


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
        self._drawn = -math.inf

    def phase(self, text: str) -> None:
        """Name what is being done."""
        self.update(self._task, description=text, completed=0, left="", refresh=True)

    def counting(self, what: str, done: int, total: int) -> None:
        """Show how many of so many are done."""
        now = self.get_time()
        is_due = done in (0, total) or now - self._drawn >= DRAWN_EVERY_S
        self._drawn = now if is_due else self._drawn
        left = f"{done} of {total}"
        self.update(
            self._task, description=what, completed=done, total=total, left=left, refresh=is_due
        )

    def measuring(self, number: int, spent_s: float, at_most_s: float) -> None:
        """Show how much of the time is spent."""
        self.update(
            self._task,
            description=f"measuring, round {number + 1}",
            completed=spent_s,
            total=at_most_s,
            left=spent(spent_s, at_most_s),
            refresh=True,
        )


class PlainProgress:
    """A line for every phase, and one every few seconds of counting or measuring."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._last = -math.inf
        self._counted = clock()

    def phase(self, text: str) -> None:
        """Print what is being done."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def counting(self, what: str, done: int, total: int) -> None:
        """Say how many of so many are done, now and then."""
        now = self._clock()
        if now - self._counted >= COUNTED_EVERY_S:
            self._counted = now
            self.phase(f"{what}: {done} of {total}")

    def measuring(self, number: int, spent_s: float, at_most_s: float) -> None:
        """Say how far it is, now and then."""
        now = self._clock()
        if now - self._last < PLAIN_LINE_EVERY_S:
            return
        self._last = now
        self.phase(f"measuring: round {number + 1}, {spent(spent_s, at_most_s)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def spent(seconds: float, at_most_s: float) -> str:
    """How much of the time is spent; a sweep may know enough before all of it is."""
    return f"{seconds:.0f} s of at most {at_most_s:.0f} s"


Observer = LiveProgress | PlainProgress
"""Who is told how far a command is."""


def verifying(observer: Observer, place: str = "") -> Callable[[str, int, int], None]:
    """Show what a checker tells: a phase for each implementation, and how many cases are done."""

    def tell(name: str, done: int, total: int) -> None:
        what = f"verifying {name}{place}"
        if not done:
            observer.phase(what)
        observer.counting(what, done, total)

    return tell


def progress(console: Console) -> Observer:
    """The display that suits the console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
