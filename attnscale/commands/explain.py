"""`attnscale explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from attnscale.commands.options import Json, Out, check_out
from attnscale.exit_codes import DONE
from attnscale.terminal import STARTING, console, print_json, progress, say


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="EXAMPLE", help="three, literal or five")
    ] = None,
    causal: Annotated[bool, typer.Option("--causal", help="with is_causal")] = False,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Work out small examples of attention step by step: scores, weights, output.

    --out writes heat maps of the weights and the tables behind them.
    """
    from bench.claims.examples import chosen

    examples = chosen(names or ())
    check_out(out)
    with progress() as shown:
        shown.counting(STARTING, 0, len(examples))
        from bench.claims.worked_examples import document

        found = document(examples, is_causal=causal)
    if as_json:
        print_json(found)
    else:
        from reports.articles.lesson import lesson

        for example in found["examples"]:
            console().print(lesson(example))
    if out is not None:
        from reports.figures.attention_weights import write

        for example in found["examples"]:
            say(f"heat map: {write(example, out)}")
    return DONE
