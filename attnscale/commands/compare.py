"""`attnscale compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscale.commands.options import FailOnRegression, check_choice, columns_of, share_of
from attnscale.comparing import code_of_comparison, same_within
from attnscale.terminal import RequestError, console, progress, say, warnings_as_lines
from bench.records import check_run


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="base and new, or one run")],
    implementations: Annotated[
        list[str] | None,
        typer.Option(
            "--implementations", metavar="a,b", help="of one run, base first; default: --against"
        ),
    ] = None,
    across_machines: Annotated[
        bool,
        typer.Option("--across-machines", help="of runs that were not measured alike: ratios"),
    ] = False,
    fail_on_regression: FailOnRegression = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="text, markdown or json")
    ] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="the file to write")
    ] = None,
) -> int:
    """Say what is faster or slower: between two runs, or within one.

    Two runs, base and new, are compared implementation by implementation, and what the machine did
    to all of them is taken out. Of one run, --implementations are compared with the first of them;
    without that, what `run --against` measured with its revision. docs/comparing.md has the method.
    """
    if len(runs) > 2:
        raise RequestError(f"expected a base and a new run, or one run, got {len(runs)}")
    if len(runs) == 2 and implementations:
        raise RequestError("--implementations is for one run; two compare equal names")
    limit = None if fail_on_regression is None else share_of(fail_on_regression)
    if limit is not None and across_machines:
        raise RequestError("--across-machines calls nothing slower; give no --fail-on-regression")
    check_choice("--format", format_, ("text", "markdown", "json"))
    if out is not None and out.is_dir():
        raise RequestError(f"--out {out}: expected a file to write, got a directory")
    for run in runs:
        check_run(run)
    from reports.comparison.answer_texts import print_comparison, written
    from reports.comparison.compared import compare_runs, compare_within
    from reports.tables.target import made

    same = same_within(limit)
    with progress() as shown, warnings_as_lines():
        shown.counting("reading runs", 0, len(runs))
        if len(runs) == 2:
            found = compare_runs(
                *runs, across_machines=across_machines, same_within=same, tell=shown.counting
            )
        else:
            names = columns_of(implementations) or ()
            found = compare_within(runs[0], names, same_within=same, tell=shown.counting)
    if out is not None:
        with made(out.parent, "the comparison"):
            out.write_text(written(found, format_), encoding="utf-8")
        say(f"comparison: {out}")
    elif format_ == "text":
        print_comparison(found, console())
    else:
        print(written(found, format_), end="")
    return code_of_comparison(found, limit)
