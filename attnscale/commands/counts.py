"""`attnscale counts`."""

from __future__ import annotations

from typing import Annotated

import typer

from attnscale.commands.options import Impl, Json, LayoutName, Names
from attnscale.exit_codes import DONE, FAILED
from attnscale.terminal import RequestError, console, print_json, warnings_as_lines


def command(
    names: Names = None,
    impl: Impl = None,
    layout: LayoutName = "bhsd",
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="DTYPE", help="that bytes are counted in")
    ] = "float32",
    pass_: Annotated[
        str, typer.Option("--pass", metavar="PASS", help="forward or forward_backward")
    ] = "forward",
    causal: Annotated[bool, typer.Option("--causal", help="with is_causal")] = False,
    at: Annotated[
        str | None, typer.Option(metavar="n=65536,d=512", help="n, d (d_model), h, head_dim, b")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="8GiB", help="the largest n within this memory, all tensors counted"),
    ] = None,
    as_json: Json = False,
) -> int:
    """Count operations, bytes, launches and workspace exactly, without a clock."""
    sizes = _whole_sizes(at)
    budget_bytes = None if budget is None else _bytes(budget)
    from bench.machine.environment import usable_cores
    from bench.process.supervisor import Worker

    with Worker(threads=usable_cores()) as worker, warnings_as_lines():
        worker.begin()  # both processes import torch, which takes seconds, at the same time
        from bench.counting.document import counts_in_worker, nothing_counted

        found = counts_in_worker(
            names or (),
            impl or (),
            worker,
            layout=layout,
            dtype=dtype,
            pass_=pass_,
            is_causal=causal,
            at=sizes,
            budget_bytes=budget_bytes,
        )
    if as_json:
        print_json(found)
    else:
        from bench.counting.table import table

        console().print(table(found))
    return FAILED if nothing_counted(found, impl or ()) else DONE


def _whole_sizes(text: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in (text or "").split(",") if text else ():
        letter, _, number = part.strip().partition("=")
        if not (letter.isidentifier() and number.isdigit() and letter not in found):
            raise RequestError(
                f"--at: expected sizes such as n=1048576,d=512, got {part.strip()!r}"
            )
        found[letter] = int(number)
    return found


def _bytes(text: str) -> float:
    """An amount of memory.

    Raises:
        RequestError: it is an amount of something else, or states no unit.
        UnitError: it is no amount.

    """
    from reports.tables.units import parse_quantity

    amount = parse_quantity(text)
    if amount.kind != "memory":
        raise RequestError(f"--budget: expected memory such as 8GiB, got {text!r}")
    return amount.value
