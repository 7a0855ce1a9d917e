"""`attnscale counts`."""

from __future__ import annotations

from typing import Annotated

import typer

from attnscale.commands.options import Impl, Json, LayoutName, Names
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
    from bench.counting.sizes import sizes_of
    from bench.plan.arguments import check_conditions, check_implementations

    check_implementations(names or (), impl or (), layout)
    check_conditions([dtype], pass_)
    sizes_of(sizes)
    budget_bytes = None if budget is None else _bytes(budget)
    from bench.machine.environment import usable_cores
    from bench.process.supervisor import Worker

    with Worker(threads=usable_cores()) as worker, progress() as shown, warnings_as_lines():
        shown.phase(STARTING)
        worker.begin()  # both processes import torch, which takes seconds, at the same time
        from bench.counting.document import counts_in_worker, uncounted

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
            tell=shown.counting,
        )
    if as_json:
        print_json(found)
    else:
        from bench.counting.table import table

        console().print(table(found))
    missed = uncounted(found)
    own = [one["implementation"] for one in found["counts"][-len(impl) :]] if impl else []
    if set(missed) & set(own):
        return FAILED
    return INCONCLUSIVE if set(missed) & set(names or ()) else DONE


def _whole_sizes(text: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in [] if text is None else text.split(","):
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
        RequestError: it is no amount, or one of something else, or states no unit.

    """
    from reports.tables.units import UnitError, parse_quantity

    try:
        amount = parse_quantity(text)
    except UnitError as problem:
        raise RequestError(f"--budget: {problem}") from None
    if amount.kind != "memory":
        raise RequestError(f"--budget: expected memory such as 8GiB, got {text!r}")
    return amount.value
