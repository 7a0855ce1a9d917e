"""`attnscale run`."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from attnscale.commands.options import (
    Explain,
    FailOnRegression,
    share_of,
    takes_measuring_options,
)
from attnscale.comparing import compare_with_revision
from attnscale.exit_codes import DONE, FAILED, code_of
from attnscale.interrupts import interruptible
from attnscale.measuring import measure, tell_longer
from attnscale.terminal import RequestError, console, progress, say, warnings_as_lines


@takes_measuring_options
def command(
    *,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="exit 0 whatever the verdicts; failed checks give 1")
    ] = False,
    explain: Explain = False,
    fail_on_regression: FailOnRegression = None,
    **options: Any,
) -> int:
    """Verify, sweep, fit and report in one go.

    The exit code follows the checks and the verdicts on time. Verdicts on the workspace do not
    count; with --exit-zero no verdict does. With --against the comparison comes last.
    """
    limit = None if fail_on_regression is None else share_of(fail_on_regression)
    if limit is not None and not (options["against"] or options["resume"]):
        raise RequestError("--fail-on-regression needs --against REV, to compare with")
    folder, code = measure(command="run", **options)
    from reports.page.page import report
    from reports.ranking.printed import print_answer
    from reports.tables.columns import TableError
    from reports.tables.read import read_tables
    from reports.verdicts.brief import tells_no_law
    from reports.verdicts.table import print_verdicts

    quoted = shlex.quote(str(folder))
    try:
        with (
            interruptible(f"attnscale report {quoted} shows it"),
            progress() as shown,
            warnings_as_lines(),
        ):
            table = read_tables([folder])
            written = report([folder], tell=shown.counting)
    except TableError as problem:
        if code == DONE:
            raise
        say(f"no report: {problem}")  # nothing was timed
        return code
    how = f"attnscale fit {quoted} --explain"
    print_answer(table, written.fits, console(), named=options["names"] or (), how=how)
    if explain:
        print_verdicts(written.fits, console())
    tell_longer(folder, written.fits, "run")
    print(f"report: {written.index}")
    compared = compare_with_revision(folder, limit)
    if FAILED in (code, compared):
        return FAILED
    times = [fit for fit in written.fits if fit.value == "time_s"]
    # One size was asked for: no law was put to the test, and all that was asked is answered.
    verdicts = DONE if exit_zero or tells_no_law(times) else code_of(times)
    return verdicts or compared
