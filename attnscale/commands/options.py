"""Options that several commands take, and the texts that need reading."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from attnscale.terminal import RequestError
from bench.plan.plan import presets
from implementations.naming import did_you_mean
from reports.tables.unread import no_such_file

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="implementations")]
Impl = Annotated[
    list[str] | None,
    typer.Option("--impl", metavar="SPEC", help="your own: file.py:fn, package.module:fn, name=…"),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Device = Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="cpu or cuda")]
LayoutName = Annotated[
    str,
    typer.Option(
        "--layout", metavar="LAYOUT", help="of --impl: bhsd, or bshd for (batch, seq, heads, dim)"
    ),
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
Explain = Annotated[
    bool, typer.Option("--explain", help="every reason of the verdicts, with its numbers")
]
Claim = Annotated[str | None, typer.Option("--claim", metavar="LAW", help="a law such as n^2*d")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="the directory to write")]
FailOnRegression = Annotated[
    str | None,
    typer.Option(
        "--fail-on-regression", metavar="5%", help="exit 1 if surely slower by more than this"
    ),
]


def _option(flag: str, metavar: str, told: str, kind: Any = str) -> Any:
    return Annotated[kind | None, typer.Option(flag, metavar=metavar, help=told)]


_MEASURING: Mapping[str, Any] = {
    "names": Names,
    "impl": Impl,
    "layout": LayoutName,
    "preset": _option("--preset", "NAME", ", ".join(presets())),
    "config": _option("--config", "FILE", "a plan in a TOML file", Path),
    "seq_lens": _option("--seq-lens", "SIZES", "128:8192, 128:8192/2, a,b"),
    "d_models": _option("--d-models", "SIZES", "64:1024, a,b"),
    "kv_heads": _option("--kv-heads", "h/4", "heads of keys: h/4, or a number such as 1"),
    "query_len": _option("--query-len", "N", "queries that meet seq_lens keys; 1 decodes", int),
    "window": _option("--window", "W", "a query sees the keys less than W away", int),
    "device": Device,
    "dtype": _option("--dtype", "DTYPE", "float32, float64, bfloat16, float16"),
    "pass_": _option("--pass", "PASS", "forward or forward_backward"),
    "allocator": _option("--allocator", "NAME", "pinned, or default: page faults as users have"),
    "threads": _option("--threads", "N|all", "that a call may use; quick has 1"),
    "time_budget": _option("--time-budget", "90s", "90s, 5min; checks count, and may take longer"),
    "call_limit": _option("--call-limit", "2s", "longer calls are not measured"),
    "precision": _option("--precision", "0.03", "stop once exponents are known to so much", float),
    "energy": Annotated[
        bool, typer.Option("--energy", help="joules a call too; seconds a cell more")
    ],
    "against": _option("--against", "REV", "measure --impl as it is at this git revision too"),
    "out": Out,
    "resume": Annotated[bool, typer.Option("--resume", help="continue the run in --out")],
}
_DEFAULTS = {"layout": "bhsd", "energy": False, "resume": False}


def takes_measuring_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command that takes `**options` those of a sweep before its own."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        *(
            inspect.Parameter(name, kind, default=_DEFAULTS.get(name), annotation=annotation)
            for name, annotation in _MEASURING.items()
        ),
        # Keyword-only ones would have to stand last; typer passes all by keyword.
        *(p.replace(kind=kind) for p in own if p.kind is not p.VAR_KEYWORD),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def check_choice(option: str, given: str | None, choices: Sequence[str]) -> None:
    """See that what is given, if anything, is one of the choices.

    Raises:
        RequestError: it is something else.

    """
    if given is not None and given not in choices:
        near = did_you_mean(given, choices)
        listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise RequestError(f"{option}: expected {listed}, got {given!r}{near}")


def check_files(files: Iterable[Path]) -> None:
    """See that all files and runs are there, before anything that reads them is imported.

    Raises:
        RequestError: one is not.

    """
    for file in files:
        if not os.path.lexists(file):
            raise RequestError(no_such_file(file))


def check_out(folder: Path | None) -> None:
    """See that a directory can be written before anything is done that takes long.

    Raises:
        RunError: it cannot.

    """
    if folder is not None:
        from bench.plan.run_directory import check_writable

        check_writable(folder)


def check_claim(claim: str | None, sizes: Mapping[str, str] | None) -> None:
    """See that a claim is a law of sizes that it may name.

    Raises:
        LawError: it is none.

    """
    if claim is not None:
        from reports.cells.case_columns import SIZE_NAMES
        from reports.laws.grammar import parse

        parse(claim, names={*(sizes or {}), *SIZE_NAMES})


def check_conditions(conditions: Iterable[str] | None) -> None:
    """See that each `--where` can be read.

    Raises:
        ConditionError: one cannot.

    """
    from reports.tables.condition import condition_of

    for text in conditions or ():
        condition_of(text)


def sizes_of(texts: list[str] | None) -> dict[str, str] | None:
    """The column of each letter, as `--size` gives them.

    Raises:
        RequestError: it is no letter with a column, or a letter is given twice.

    """
    if not texts:
        return None
    columns: dict[str, str] = {}
    for text in texts:
        letter, _, column = text.partition("=")
        if not (letter and column):
            raise RequestError(f"--size: expected letter=column such as n=seq_len, got {text!r}")
        if not letter.isidentifier():
            raise RequestError(f"--size: a size is named by letters, as in n=seq_len, got {text!r}")
        if letter in columns:
            raise RequestError(f"--size: {letter} is given twice, {columns[letter]} and {column}")
        columns[letter] = column
    return columns


def columns_of(texts: list[str] | None) -> list[str] | None:
    """The columns of a repeatable option, each use of which may list several."""
    return [name for text in texts for name in text.split(",")] if texts else None


def share_of(percentage: str) -> float:
    """The part of one that `--fail-on-regression` gives: `5%` is 0.05.

    Raises:
        RequestError: it is no percentage below 1000.

    """
    number = re.fullmatch(r"(\d{1,3}(?:\.\d+)?) ?%", percentage.strip())
    if number is None:
        raise RequestError(
            f"--fail-on-regression: expected a percentage such as 5%, got {percentage!r}"
        )
    return float(number[1]) / 100
