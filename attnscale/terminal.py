"""How does a command speak: its progress, its warnings, its tables and its JSON?"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.progress import Observer

# This process and a measuring one load torch at the same time, which takes seconds.
STARTING = "starting: loading torch"


class RequestError(ValueError):
    """A request that the command line itself refuses."""


def say(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one document to standard output."""
    import json

    print(json.dumps(document, allow_nan=False, indent=2))


def printable(text: object) -> str:
    """The text on one line, also where it quotes a file with line ends inside of its names."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def console() -> Console:
    """Where tables go."""
    from rich.console import Console

    return Console()


def progress() -> Observer:
    """What shows on standard error how far a command is."""
    from rich.console import Console

    from bench.sweep.progress import progress

    return progress(Console(stderr=True))


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning once that is a finding for the user, such as a corrupt journal line."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for message in dict.fromkeys(printable(warning.message) for warning in caught):
                say(f"warning: {message}")
