"""Where files are written to: a folder that cannot be written gives one line for the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reports.tables.columns import TableError


@contextmanager
def made(folder: Path, what: str) -> Iterator[None]:
    """Make the folder if it is missing, for `what` is written into it.

    Raises:
        TableError: the folder cannot be made, or what is written cannot.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as problem:
        raise TableError(
            f"cannot write {what} to {folder}: {problem.strerror or problem}; choose another "
            "directory with --out"
        ) from None
