"""Who is told how a sweep goes on."""

from __future__ import annotations

from typing import Protocol

from bench.records import Record


class Observer(Protocol):
    """Shows a sweep to somebody."""

    def phase(self, text: str) -> None:
        """Something other than a visit has begun."""
        ...

    def visits(self, done: int, total: int | None, left_s: float) -> None:
        """Visits begin: so many are done, of so many in all (None: a time budget decides)."""
        ...

    def visit(self, cell: str, record: Record, left_s: float) -> None:
        """One visit has ended and stands in the journal; the rest will take so many seconds."""
        ...
