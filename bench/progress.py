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
    TimeRemainingColumn,
)

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
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("preparing", total=None)

    def phase(self, text: str) -> None:
        """Name what is being done."""
        self._bar.update(self._task, description=text)

    def visits(self, done: int, total: int, rounds: int) -> None:
        """Start counting visits."""
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task("measuring", total=total, completed=done)

    def visit(self, cell: str, record: Record) -> None:
        """Advance by one."""
        self._bar.update(self._task, advance=1, description=cell)

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
        self._started = clock()
        self._last = -PLAIN_LINE_EVERY_S
        self._before = self._done = self._total = 0

    def phase(self, text: str) -> None:
        """Print what is being done."""
        if not text.startswith("trying"):
            self._say(text)

    def visits(self, done: int, total: int, rounds: int) -> None:
        """Start counting visits."""
        self._before = self._done = done
        self._total = total
        self._started = self._clock()
        self._say(f"measuring {total - done} visits in {rounds} rounds")

    def visit(self, cell: str, record: Record) -> None:
        """Count one, and say so now and then."""
        self._done += 1
        now = self._clock()
        if now - self._last < PLAIN_LINE_EVERY_S and self._done < self._total:
            return
        self._last = now
        elapsed = now - self._started
        here = self._done - self._before
        left = f"about {elapsed / here * (self._total - self._done):.0f} s" if here >= 10 else "?"
        self._say(
            f"{self._done}/{self._total} visits, {elapsed:.0f} s elapsed, "
            f"{left} remaining; last: {cell}"
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


def progress(console: Console) -> LiveProgress | PlainProgress:
    """The display that suits the console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
