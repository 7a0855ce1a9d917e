"""The command line: `attnscale …`, or `python -m attnscale …`."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from attnscale import __version__
from attnscale.commands import COMMANDS
from attnscale.exit_codes import DONE, INTERRUPTED, WRONG_REQUEST
from attnscale.interrupts import interruptible
from attnscale.terminal import RequestError, printable, say

if TYPE_CHECKING:
    import typer

# By name, so that none of their modules is imported for the sake of a line of text.
USER_ERRORS = (
    *("CaseError", "CatalogueError", "ConditionError", "ExampleError", "LawError", "PlanError"),
    *("PredictionError", "RequestError", "RevisionError", "RunError", "TableError", "UnitError"),
)
HOME = Path(__file__).absolute().parents[1]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write gives where nothing more can be written; the commands catch those of files."""
BESIDE = ("implementations", "bench", "reports")
"""The packages that stand beside this one in `HOME`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; bad input is one line on stderr and code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a pipe on Windows may know no ✓
    # A command makes many objects and few cycles: Python's usual search for these takes a tenth.
    gc.set_threshold(50_000, 20, 20)
    # Whoever ends us, such as a timeout, ends the measuring process too.
    with interruptible():
        try:
            refuse_others()
            code = _run(sys.argv[1:] if arguments is None else arguments)
        except Exception as problem:
            message = _as_one_line(problem)
            if message is None:
                raise
            say(f"attnscale: {message}")
            code = WRONG_REQUEST
    sys.exit(code)


def _run(words: Sequence[str]) -> int:
    """The exit code of the command that the words ask for."""
    code = app_for(words)(
        args=list(words) or ["--help"], prog_name="attnscale", standalone_mode=False
    )
    if code == INTERRUPTED:  # which is what typer makes of Ctrl-C
        raise KeyboardInterrupt
    if not words:
        raise RequestError("a command is needed (attnscale --help)")
    with contextlib.suppress(BrokenPipeError):  # whoever read it has seen enough
        sys.stdout.flush()
    return code if isinstance(code, int) else DONE


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """All commands, of which only those are imported that the arguments name."""
    import typer

    def show_version(is_asked: bool) -> None:
        if is_asked:
            print(f"attnscale {__version__}")
            raise typer.Exit

    version = typer.Option(False, "--version", help="Print the version.", callback=show_version)

    def options(is_asked: bool = version) -> None: ...

    app = typer.Typer(
        name="attnscale",
        help="What attention really costs: check, measure and judge how it scales.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich takes longer to import than all else that a help text needs
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    for name, line in COMMANDS.items():
        is_named = name in arguments
        command = import_module(f"attnscale.commands.{name}").command if is_named else _not_named
        app.command(name, help=None if is_named else line, short_help=line)(command)
    return app


def _not_named() -> None:
    """Stand for a command in the help of all commands."""


def refuse_others() -> None:
    """Refuse to start where Python would import packages of another project in place of ours.

    Raises:
        RequestError: a package, a module or a folder has the name of one of ours.

    """
    for name in BESIDE:
        spec = find_spec(name)
        if spec is None:
            continue
        found = [Path(place) for place in spec.submodule_search_locations or [spec.origin or ""]]
        if (HOME / name).resolve() not in [place.resolve() for place in found]:
            raise RequestError(
                f"{found[0]} hides the package {name} of attnscale; run attnscale, or "
                f"python -P -m attnscale, and keep {found[0].parent} out of PYTHONPATH"
            )


def _as_one_line(problem: Exception) -> str | None:
    """What the user did wrong, or what is wrong with stdout; None if the mistake is ours."""
    if isinstance(problem, OSError) and problem.errno in FULL and problem.filename is None:
        _give_up_stdout()
        return f"cannot write to standard output: {problem.strerror}; send it elsewhere"
    shown = getattr(problem, "format_message", None)  # typer's usage errors have it
    if callable(shown):
        return f"{' '.join(str(shown()).split())} (attnscale --help)"
    return printable(problem) if type(problem).__name__ in USER_ERRORS else None


def _give_up_stdout() -> None:
    """Send what stdout still holds nowhere: Python would fail to write that when it ends."""
    with contextlib.suppress(OSError):  # a stream of a test has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
