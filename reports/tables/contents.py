"""What a file holds: rows, what is known of the machine, and which columns are sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

KINDS = (
    "a run directory, CSV, JSON lines, Parquet, a text table, or what a benchmark program wrote "
    "(docs/formats.md lists them)"
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file holds: its rows, what it tells of the machine, and which columns it calls sizes.

    `parameters` are the numeric columns that the format itself states to be parameters or
    arguments of the benchmark; a table that says no such thing has none.
    """

    frame: pd.DataFrame = field(repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parameters: tuple[str, ...] = ()
