"""`attnscale crossovers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscale.commands.options import Device, Json, Out, check_files, check_out
from attnscale.exit_codes import DONE
from attnscale.measuring import measure, table_of
from attnscale.terminal import RequestError, console, print_json, progress, say, warnings_as_lines


def command(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="a run to read; none: measure the layers")
    ] = None,
    device: Device = None,
    time_budget: Annotated[
        str | None, typer.Option("--time-budget", metavar="240s", help="of the measuring")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Say from which length on one implementation is slower than another.

    It also says from which size on one term of a law is larger than another. Only cells of equal
    conditions are compared. Without RUN, it measures the preset `crossovers`, and --out is the
    directory of the new run; with RUN, that of the answer. The answer, a figure and its points go
    to RUN/crossovers.
    """
    code = DONE
    if run is None:
        run, code = measure(preset="crossovers", device=device, time_budget=time_budget, out=out)
        out = None
    elif device is not None or time_budget is not None:
        raise RequestError("RUN is read as it is; give no --device and no --time-budget")
    check_files([run])
    check_out(out)
    from reports.overtaking.answer import overtaking_in, print_overtaking
    from reports.overtaking.files import write_overtaking

    with progress() as shown, warnings_as_lines():
        table = table_of(run, code)
        if table is None:
            return code
        found = overtaking_in(table.frame, table.shared_info, shown.counting)
        folder = write_overtaking(found, run / "crossovers" if out is None else out)
    if as_json:
        print_json(found.to_dict())
    else:
        print_overtaking(found, console())
    say(f"crossovers: {folder}")
    return code
