"""Shows how a sweep goes on, on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from bench.doctor.finding import counted
from bench.records import Record

PLAIN_LINE_EVERY_S = 10.0


class LiveProgress:
    """A bar with the cell, visits done, elapsed and remaining time; an `Observer`."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description:44.44}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
            # Drawn between visits only: a thread that draws would take time from what is timed.
            auto_refresh=False,
        )
        self._task = self._bar.add_task("preparing", total=None, left="")
        self._counting = False

    def phase(self, text: str) -> None:
        """Name what is being done."""
        self._bar.update(self._task, description=text, refresh=True)

    def visits(self, done: int, total: int | None, left_s: float) -> None:
        """Start counting visits, or go on with others."""
        if not self._counting:  # the time before them is not theirs
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task("measuring", total=total, left="")
            self._counting = True
        self._bar.update(self._task, total=total, completed=done, left=remaining(left_s))

    def visit(self, cell: str, record: Record, left_s: float) -> None:
        """Advance by one."""
        self._bar.update(
            self._task, advance=1, description=cell, left=remaining(left_s), refresh=True
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class PlainProgress:
    """A line for every phase and one every ten seconds of visits; an `Observer`."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started: float | None = None
        self._last = -PLAIN_LINE_EVERY_S
        self._done = 0
        self._total: int | None = 0

    def phase(self, text: str) -> None:
        """Print what is being done."""
        if not text.startswith("trying"):
            self._say(text)

    def visits(self, done: int, total: int | None, left_s: float) -> None:
        """Start counting visits, or go on with others."""
        self._done = done
        self._total = total
        if self._started is None:
            self._started = self._clock()
        planned = "" if total is None else f"{counted(total - done, 'visit')}, "
        self._say(f"measuring: {planned}{remaining(left_s)}")

    def visit(self, cell: str, record: Record, left_s: float) -> None:
        """Count one, and say so now and then."""
        self._done += 1
        now = self._clock()
        if now - self._last < PLAIN_LINE_EVERY_S and self._done != self._total:
            return
        self._last = now
        planned = "" if self._total is None else f"/{self._total}"
        spent = 0.0 if self._started is None else now - self._started
        self._say(
            f"{self._done}{planned} visits, {spent:.0f} s elapsed, "
            f"{remaining(left_s)}; last: {cell}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def remaining(seconds: float) -> str:
    """How long it will still take, no finer than it is known."""
    if seconds >= 90:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds:.0f} s left"


def progress(console: Console) -> LiveProgress | PlainProgress:
    """The display that suits the console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
