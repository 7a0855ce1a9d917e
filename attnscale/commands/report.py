"""`attnscale report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscale.commands.options import (
    By,
    Claim,
    Out,
    Sizes,
    Values,
    Where,
    check_choice,
    check_claim,
    check_conditions,
    check_files,
    check_out,
    columns_of,
    sizes_of,
)
from attnscale.exit_codes import DONE
from attnscale.terminal import RequestError, progress, say, warnings_as_lines
from reports.text.choices import FIGURES, FORMATS, LEAST_WIDTH, MOST_WIDTH, STYLES, WIDTHS


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="runs or tables")],
    size: Sizes = None,
    value: Values = None,
    by: By = None,
    where: Where = None,
    claim: Claim = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME,…", help="only these implementations")
    ] = None,
    figure: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"only this figure: {', '.join(FIGURES)}")
    ] = None,
    style: Annotated[
        str, typer.Option(metavar="paper", help="of --figure: for print, without a headline")
    ] = "page",
    width: Annotated[
        str | None, typer.Option(metavar="column", help="of a paper: column, page, or inches")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="svg", help="of --figure: svg, pdf, pgf, png")
    ] = "svg",
    latex: Annotated[
        bool, typer.Option("--latex", help="only the tables, for LaTeX with booktabs")
    ] = False,
    out: Out = None,
) -> int:
    """Write figures, tables, HTML and Markdown from records or any table alone."""
    check_choice("--format", form, FORMATS)
    check_choice("--style", style, STYLES)
    inches = _inches(style, width)
    check_choice("--figure", figure, FIGURES)
    if figure is None and (inches, form) != (None, "svg"):
        raise RequestError("--style, --width and --format are those of one figure: add --figure")
    check_files(runs)
    check_out(out)
    check_conditions(where)
    sizes = sizes_of(size)
    check_claim(claim, sizes)
    names, files = columns_of(only), list[Path]()
    with progress() as shown, warnings_as_lines():
        shown.counting("reading runs and tables", 0, len(runs))
        from reports.page.for_papers import write_figure, write_tables
        from reports.page.page import report
        from reports.page.restated import Question

        question = Question(
            sizes=sizes, values=value, by=columns_of(by), where=where or (), claim=claim
        )
        if figure is not None:
            files += write_figure(runs, figure, question, names, inches=inches, form=form, out=out)
        if latex:
            files += write_tables(runs, question, names, out=out)
        written = None if files else report(runs, out, question, names, shown.counting)
    if written is not None:
        say(f"report: {written.index}")
    for file in files:
        print(file)
    return DONE


def _inches(style: str, width: str | None) -> float | None:
    """The width of a figure for a paper; None for one of the page.

    Raises:
        RequestError: it is no width, or not of a paper.

    """
    if style == "page":
        if width is not None:
            raise RequestError("--width is that of a figure in a paper: add --style paper")
        return None
    try:
        named = width or "column"
        inches = WIDTHS[named] if named in WIDTHS else float(named)
    except ValueError:
        inches = 0.0
    if not LEAST_WIDTH <= inches <= MOST_WIDTH:
        raise RequestError(
            f"--width: expected column, page or {LEAST_WIDTH:g} to {MOST_WIDTH:g} inches, "
            f"got {width!r}"
        )
    return inches
