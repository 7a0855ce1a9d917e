"""`attnscale table1`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscale.commands.options import Device, Out, check_choice, check_files, check_out
from attnscale.exit_codes import DONE, FAILED, code_of_verdicts
from attnscale.measuring import measure, table_of
from attnscale.terminal import STARTING, RequestError, console, progress, say, warnings_as_lines
from reports.text.choices import TABLE1_FORMATS


def command(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="a run to show again, not measured anew")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="text, csv, markdown, latex or json")
    ] = "text",
    device: Device = None,
    threads: Annotated[
        str | None, typer.Option("--threads", metavar="N|all", help="that a call may use")
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option("--time-budget", metavar="220s", help="of the measuring")
    ] = None,
    out: Out = None,
) -> int:
    """Show Table 1 of Vaswani et al. 2017: published, counted and measured.

    Without RUN, it measures the preset `table1`, and also writes the report of the run; --out is
    the directory of the new run. With RUN, it shows that run again; --out is the directory of the
    table. All formats and the figure go to RUN/table1; from then on `report RUN` shows the table
    too. The exit code is 1 where a count is not as published, or a law is refuted.
    """
    check_choice("--format", format_, TABLE1_FORMATS)
    code = DONE
    is_new = run is None
    if run is None:
        run, code = measure(
            preset="table1", device=device, threads=threads, time_budget=time_budget, out=out
        )
        out = None
    elif any(option is not None for option in (device, threads, time_budget)):
        raise RequestError("RUN is shown as it is; give no --device, --threads or --time-budget")
    check_files([run])
    check_out(out)
    from reports.table1.mechanism_rows import table_rows, verdicts_that_count
    from reports.table1.outputs import FOLDER, printed, write_files

    with warnings_as_lines():
        table = table_of(run, code)
        if table is None:
            return code
        with progress() as shown:
            shown.phase(STARTING)
            from bench.counting.mechanisms import mechanisms

            counted = mechanisms(tell=shown.counting)
            rows = table_rows(counted, table.frame, table.shared_info)
            folder = write_files(rows, counted, table.frame, run / FOLDER if out is None else out)
        printed(rows, format_, console())
        say(f"table: {folder}")
        if is_new:
            from reports.page.page import report

            with progress() as shown:
                index = report([run], tell=shown.counting).index
            say(f"report: {index}")
    return FAILED if code == FAILED else code_of_verdicts(verdicts_that_count(rows))
