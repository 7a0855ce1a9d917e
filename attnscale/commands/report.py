"""`attnscale report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscale.commands.options import By, Claim, Out, Sizes, Values, Where, columns_of, sizes_of
from attnscale.exit_codes import DONE
from attnscale.terminal import say, warnings_as_lines


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="runs or tables")],
    size: Sizes = None,
    value: Values = None,
    by: By = None,
    where: Where = None,
    claim: Claim = None,
    out: Out = None,
) -> int:
    """Write figures, tables, HTML and Markdown from records or any table alone."""
    from reports.page.page import report
    from reports.page.restated import Question

    question = Question(
        sizes=sizes_of(size),
        values=value,
        by=columns_of(by),
        where=where or (),
        claim=claim,
    )
    with warnings_as_lines():
        written = report(runs, out, question)
    say(f"report: {written.index}")
    return DONE
