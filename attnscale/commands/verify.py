"""`attnscale verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from attnscale.commands.options import Device, Impl, Json, LayoutName, Names
from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from attnscale.terminal import STARTING, console, print_json, progress, warnings_as_lines


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
        float, typer.Option(metavar="SECONDS", help="seconds that a kernel may take for a case")
    ] = 10,
    as_json: Json = False,
) -> int:
    """Check outputs, gradients and properties against the float64 oracle."""
    from bench.machine.environment import usable_cores
    from bench.process.supervisor import Worker

    with Worker(threads=usable_cores()) as worker, progress() as shown, warnings_as_lines():
        shown.phase(STARTING)
        worker.begin()
        from bench.checks.command import Verification
        from bench.process.kernels import Kernels

        found = Verification(
            names=names or (),
            specs=impl or (),
            layout=layout,
            device=device,
            dtypes=dtype or (),
            pass_=pass_,
            time_limit_s=time_limit,
        ).run(lambda name: shown.phase(f"verifying {name}"), Kernels(worker, tell=shown.phase))
    if as_json:
        print_json(found.to_dict())
    else:
        found.print(console())
    if found.failed:
        return FAILED
    return INCONCLUSIVE if found.empty else DONE
