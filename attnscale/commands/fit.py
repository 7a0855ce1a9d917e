"""`attnscale fit`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from attnscale.commands.options import (
    By,
    Claim,
    Explain,
    Json,
    Sizes,
    Values,
    Where,
    check_choice,
    check_claim,
    check_conditions,
    check_files,
    columns_of,
    sizes_of,
)
from attnscale.exit_codes import DONE, code_of
from attnscale.terminal import RequestError, console, print_json, progress, warnings_as_lines


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="runs or tables")],
    size: Sizes = None,
    value: Values = None,
    by: By = None,
    average: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="take the mean over this setting; repeatable"),
    ] = None,
    where: Where = None,
    claim: Claim = None,
    confidence: Annotated[float, typer.Option(metavar="0.95", help="of the intervals")] = 0.95,
    tolerance: Annotated[float, typer.Option(metavar="0.1", help="on an exponent")] = 0.1,
    statistic: Annotated[
        str | None, typer.Option(metavar="NAME", help="of a cell's readings: quiet, median or min")
    ] = None,
    predict: Annotated[
        list[str] | None,
        typer.Option(metavar="n=65536,d=1024", help="the cost of sizes not measured; repeatable"),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="24GiB", help="the largest size within time or memory: 2s,d=1024"),
    ] = None,
    budget_of: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="memory (of a run: inputs, outputs and workspace) or workspace alone",
        ),
    ] = "memory",
    at: Annotated[
        str | None,
        typer.Option(metavar="n=4096,d=512", help="rank implementations there, or predict them"),
    ] = None,
    explain: Explain = False,
    as_json: Json = False,
) -> int:
    """Judge claimed laws on any table of sizes and costs.

    Of a run, n is seq_len, d is d_model and the cost is time_s. A claim may also use h
    (num_heads), b (batch), m (key_len) and w (window).
    """
    for option, number, low, high in (
        ("--confidence", confidence, 0.5, 1.0),
        ("--tolerance", tolerance, 0.0, 0.5),
    ):
        if not low < number < high:
            raise RequestError(f"{option}: expected between {low} and {high}, got {number}")
    check_choice("--statistic", statistic, ("quiet", "median", "min"))
    check_choice("--budget-of", budget_of, ("memory", "workspace"))
    check_files(files)
    check_conditions(where)
    sizes = sizes_of(size)
    check_claim(claim, sizes)
    from reports.cells.case_columns import SIZE_NAMES
    from reports.predict.questions import Questions, of_option, parse_sizes

    questions = Questions.of(predict or (), budget or (), sizes, claim, budget_of)
    if at is not None:
        of_option("--at", parse_sizes, at, SIZE_NAMES)
        if questions.cost is not None:
            raise RequestError(
                "--at ranks by time, and --budget asks for memory; give them in two commands"
            )
    with progress() as shown, warnings_as_lines():
        shown.counting("reading runs and tables", 0, len(files))
        from rich.text import Text

        from reports.cells.asked import asked
        from reports.judge.fit_groups import fit_groups
        from reports.judge.together import together
        from reports.ranking.at_sizes import rankings_at, time_to_judge
        from reports.ranking.printed import print_rankings
        from reports.tables.read import read_tables
        from reports.verdicts.answers import check_answerable, documents, print_answers
        from reports.verdicts.brief import print_briefly, print_laws, tells_no_law
        from reports.verdicts.doubts import marked_fits, marked_table
        from reports.verdicts.table import print_verdicts

        table = read_tables(files, shown.counting)
        usual = "time_s" if at is None else time_to_judge(table.frame)
        request = asked(
            table.frame,
            sizes=sizes,
            values=value or [questions.cost or usual],
            by=table.groups_by(columns_of(by)),
            where=where or (),
            claim=claim,
        )
        questions.check(request.value)
        fits = fit_groups(
            request.frame,
            sizes=request.sizes,
            value=request.value,
            by=request.by,
            average=columns_of(average) or (),
            claim=claim,
            confidence=confidence,
            tolerance=tolerance,
            statistic=statistic,
            parameters=table.parameters,
            info=table.shared_info,
            runs=table.runs,
            tell=shown.counting,
        )
        joint = together(fits)
    table = replace(table, frame=request.frame)
    if as_json:
        more: dict[str, Any] = {} if joint is None else {"together": joint.to_dict()}
        if at is not None:
            more["rankings"] = [one.to_dict() for one in rankings_at(table, fits, at)]
        print_json({"fits": documents(fits, questions), **more})
        return code_of(fits, joint)
    check_answerable(fits, questions)
    fits = marked_fits(fits, table)
    if at is not None:
        print_rankings(rankings_at(marked_table(table), fits, at), console())
        print_laws(fits, console())
    if explain:
        print_verdicts(fits, console())
    elif at is None:
        print_briefly(fits, console())
    if joint is not None:
        console().print(Text(joint.text))
    if at is None or explain or questions.asked:
        print_answers(fits, questions, console())
    return DONE if at is not None and tells_no_law(fits) else code_of(fits, joint)
