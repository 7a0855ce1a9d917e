"""`attnscale run`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from attnscale.commands.options import takes_measuring_options
from attnscale.exit_codes import DONE, FAILED, code_of
from attnscale.measuring import measure
from attnscale.terminal import console, say, warnings_as_lines


@takes_measuring_options
def command(
    *,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="exit 0 whatever the verdicts; failed checks give 1")
    ] = False,
    **options: Any,
) -> int:
    """Verify, sweep, fit and report in one go.

    The exit code follows the checks and the verdicts on time. Verdicts on the workspace do not
    count; with --exit-zero no verdict does.
    """
    folder, code = measure(**options)
    from reports.page.page import report
    from reports.tables.columns import TableError
    from reports.verdicts.table import print_verdicts

    try:
        with warnings_as_lines():
            written = report([folder])
    except TableError as problem:
        if code == DONE:
            raise
        say(f"no report: {problem}")  # nothing was timed
        return code
    print_verdicts(written.fits, console())
    print(f"report: {written.index}")
    if code == FAILED:
        return FAILED
    times = [fit for fit in written.fits if fit.value == "time_s"]
    return DONE if exit_zero else code_of(times)
