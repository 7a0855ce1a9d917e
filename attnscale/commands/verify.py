"""`attnscale verify`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from attnscale.commands.options import Device, Impl, Json, LayoutName, Names
from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from attnscale.terminal import (
    STARTING,
    RequestError,
    console,
    print_json,
    progress,
    warnings_as_lines,
)


def command(
    names: Names = None,
    impl: Impl = None,
    layout: LayoutName = "bhsd",
    device: Device = None,
    dtype: Annotated[
        list[str] | None, typer.Option("--dtype", metavar="DTYPE", help="repeatable; all four")
    ] = None,
    pass_: Annotated[
        str, typer.Option("--pass", metavar="PASS", help="forward for a kernel without gradients")
    ] = "forward_backward",
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="that a kernel may take for a case (10), or to be imported (60)"
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Check outputs, gradients and properties against the float64 oracle."""
    if time_limit is not None and not 0.0 < time_limit < math.inf:
        raise RequestError(f"--time-limit: expected seconds above 0, got {time_limit:g}")
    from bench.plan.arguments import check_conditions, check_implementations

    check_implementations(names or (), impl or (), layout)
    check_conditions(dtype or (), pass_, device)
    from bench.machine.environment import usable_cores
    from bench.process.supervisor import Worker

    with (
        Worker(threads=usable_cores(), import_limit_s=time_limit) as worker,
        progress() as shown,
        warnings_as_lines(),
    ):
        shown.phase(STARTING)
        worker.begin()
        from bench.checks.command import Verification
        from bench.checks.run_in_worker import CASE_LIMIT_S
        from bench.process.kernels import Kernels
        from bench.sweep.progress import verifying

        found = Verification(
            names=names or (),
            specs=impl or (),
            layout=layout,
            device=device,
            dtypes=dtype or (),
            pass_=pass_,
            time_limit_s=CASE_LIMIT_S if time_limit is None else time_limit,
        ).run(verifying(shown), Kernels(worker, tell=shown.phase))
    if as_json:
        print_json(found.to_dict())
    else:
        found.print(console())
    if found.failed:
        return FAILED
    return INCONCLUSIVE if found.empty else DONE
