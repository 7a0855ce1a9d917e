"""`attnscale sweep`."""

from __future__ import annotations

from typing import Any

from attnscale.commands.options import takes_measuring_options
from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from attnscale.measuring import measure, records_of


@takes_measuring_options
def command(**options: Any) -> int:
    """Measure: verify first, then time all cells in many short passes; writes a run."""
    folder, failed = measure(**options)
    if failed:
        return FAILED
    measured = any(record.status == "measured" for record in records_of(folder))
    return DONE if measured else INCONCLUSIVE
