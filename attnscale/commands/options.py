"""Options that several commands take, and the texts that need reading."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from attnscale.terminal import RequestError

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="implementations")]
Impl = Annotated[
    list[str] | None,
    typer.Option("--impl", metavar="SPEC", help="your own: file.py:fn, package.module:fn, name=…"),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Device = Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="cpu or cuda")]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="quick, full, cuda or smoke")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="a plan in a TOML file")
]
SeqLens = Annotated[
    str | None, typer.Option("--seq-lens", metavar="SIZES", help="128:8192, 128:8192/2, a,b")
]
Widths = Annotated[str | None, typer.Option("--d-models", metavar="SIZES", help="64:1024, a,b")]
Dtype = Annotated[
    str | None, typer.Option("--dtype", metavar="DTYPE", help="float32, float64, bfloat16, float16")
]
PassName = Annotated[
    str | None, typer.Option("--pass", metavar="PASS", help="forward or forward_backward")
]
LayoutName = Annotated[
    str,
    typer.Option(
        "--layout", metavar="LAYOUT", help="of --impl: bhsd, or bshd for (batch, seq, heads, dim)"
    ),
]
Allocator = Annotated[
    str | None,
    typer.Option(
        "--allocator", metavar="NAME", help="pinned, or default: page faults as users have"
    ),
]
Threads = Annotated[
    str | None, typer.Option("--threads", metavar="N|all", help="that a call may use; quick has 1")
]
TimeBudget = Annotated[
    str | None, typer.Option("--time-budget", metavar="90s", help="for the whole sweep: 90s, 5min")
]
Precision = Annotated[
    float | None,
    typer.Option("--precision", metavar="0.03", help="stop once exponents are known to so much"),
]
Sizes = Annotated[list[str] | None, typer.Option("--size", metavar="n=column", help="repeatable")]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="COLUMN",
        help="the cost column (time_s); repeatable, or 'time_*': one group each",
    ),
]
Average = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="take the mean over this setting; repeatable"),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="column=value", help="only such rows; != for all others; repeatable"
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option("--by", metavar="COLUMN", help="one group per value of this column"),
]
Claim = Annotated[str | None, typer.Option("--claim", metavar="LAW", help="a law such as n^2*d")]
Energy = Annotated[bool, typer.Option("--energy", help="joules a call too; seconds a cell more")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="the directory to write")]
Resume = Annotated[bool, typer.Option("--resume", help="continue the run in --out")]


def _measuring_options(
    names: Names = None,
    impl: Impl = None,
    layout: LayoutName = "bhsd",
    preset: Preset = None,
    config: Config = None,
    seq_lens: SeqLens = None,
    d_models: Widths = None,
    device: Device = None,
    dtype: Dtype = None,
    pass_: PassName = None,
    allocator: Allocator = None,
    threads: Threads = None,
    time_budget: TimeBudget = None,
    precision: Precision = None,
    energy: Energy = False,
    out: Out = None,
    resume: Resume = False,
) -> None:
    """What can be said of a sweep; the signature alone matters."""


def takes_measuring_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command that takes `**options` those of `_measuring_options` before its own."""
    shared = inspect.signature(_measuring_options, eval_str=True)
    own = inspect.signature(command, eval_str=True)
    parameters = [
        *shared.parameters.values(),
        *(p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD),
    ]
    # Keyword-only ones of the command would have to stand last; typer passes all by keyword.
    plain = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters]
    command.__signature__ = own.replace(parameters=plain)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {p.name: p.annotation for p in plain}
    return command


def sizes_of(texts: list[str] | None) -> dict[str, str] | None:
    """The column of each letter, as `--size` gives them.

    Raises:
        RequestError: it is no letter with a column, or a letter is given twice.

    """
    if not texts:
        return None
    found: dict[str, str] = {}
    for text in texts:
        letter, _, column = text.partition("=")
        if not (letter and column):
            raise RequestError(f"--size: expected letter=column such as n=seq_len, got {text!r}")
        if not letter.isidentifier():
            raise RequestError(f"--size: a size is named by letters, as in n=seq_len, got {text!r}")
        if letter in found:
            raise RequestError(f"--size: {letter} is given twice, {found[letter]} and {column}")
        found[letter] = column
    return found


def columns_of(texts: list[str] | None) -> list[str] | None:
    """The columns of a repeatable option, each use of which may list several."""
    return [name for text in texts for name in text.split(",")] if texts else None
