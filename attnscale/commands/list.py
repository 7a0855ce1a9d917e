"""`attnscale list`."""

from __future__ import annotations

from attnscale.commands.options import Json
from attnscale.exit_codes import DONE
from attnscale.terminal import STARTING, console, print_json, progress, warnings_as_lines


def command(as_json: Json = False) -> int:
    """Show the implementations, the laws they claim and what they support."""
    with progress() as shown, warnings_as_lines():
        shown.counting(STARTING, 0, 1)
        from bench.checks.tables import listing, listing_table, wide_console
        from bench.process.kernels import Kernels
        from bench.process.supervisor import Worker

    with Worker(threads=1) as worker, warnings_as_lines():
        rows = [listing(implementation) for implementation in Kernels(worker).every()]
    if as_json:
        print_json({"implementations": rows})
    else:
        wide_console(console()).print(listing_table(rows))
    return DONE
