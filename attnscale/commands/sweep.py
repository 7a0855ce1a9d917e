"""`attnscale sweep`."""

from __future__ import annotations

from typing import Any

from attnscale.commands.options import takes_measuring_options
from attnscale.measuring import answer, measure


@takes_measuring_options
def command(**options: Any) -> int:
    """Measure: verify first, then time all cells in many short passes; writes a run."""
    folder, code = measure(**options)
    answer(folder, code, options["names"] or ())
    return code
