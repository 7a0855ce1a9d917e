"""`attnscale claims`."""

from __future__ import annotations

from typing import Annotated

import typer

from attnscale.commands.options import Json, Out, check_out
from attnscale.exit_codes import DONE, INCONCLUSIVE
from attnscale.terminal import STARTING, console, print_json, progress, say


def command(
    markdown: Annotated[bool, typer.Option("--markdown", help="a Markdown table")] = False,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Decide every claim of the source articles by running something."""
    check_out(out)
    with progress() as shown:
        shown.phase(STARTING)
        from bench.claims.article_claims import CLAIMS, decided

        found = []
        for place, claim in enumerate(CLAIMS, start=1):
            shown.phase(f"deciding: {claim.text} ({place} of {len(CLAIMS)})")
            found.append(decided(claim))
    if as_json:
        print_json({"claims": found})
    else:
        from reports.articles.rulings import rulings_markdown, rulings_table

        if markdown:
            print(rulings_markdown(found), end="")
        else:
            console().print(rulings_table(found))
    if out is not None:
        from reports.articles.rulings import write_rulings

        say(f"claims: {write_rulings(found, out)[0]}")
    return INCONCLUSIVE if any(one["ruling"] == "undecided" for one in found) else DONE
