"""`attnscale doctor`."""

from __future__ import annotations

from attnscale.commands.options import Json
from attnscale.exit_codes import DONE, FAILED
from attnscale.terminal import console, print_json, progress


def command(as_json: Json = False) -> int:
    """Say whether this machine is fit to measure on, and what to do about it."""
    from bench.doctor.examination import document, examine
    from bench.doctor.finding import show, verdict

    with progress() as shown:
        findings = examine(tell=shown.counting)
    if as_json:
        print_json(document(findings))
    else:
        show(findings, console())
    return FAILED if verdict(findings) == "not fit" else DONE
