"""Writes the table in every format, the figure, and what was counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from reports.table1.mechanism_rows import Row
from reports.table1.picture import write_figure
from reports.table1.written import csv_text, json_text, latex_text, markdown_text, print_rows
from reports.tables.target import made

FOLDER, COUNTS = "table1", "counts.json"
"""Beside the records of a run: where the table lies, and what was counted for it."""
WRITERS: Mapping[str, tuple[str, Callable[[Sequence[Row]], str]]] = {
    "csv": ("table1.csv", csv_text),
    "markdown": ("table1.md", markdown_text),
    "latex": ("table1.tex", latex_text),
    "json": ("table1.json", json_text),
}


def printed(rows: Sequence[Row], name: str, console: Console) -> None:
    """Print the table in the format of this name."""
    if name == "text":
        print_rows(rows, console)
    else:
        print(WRITERS[name][1](rows), end="")


def write_files(
    rows: Sequence[Row], mechanisms: Mapping[str, Any], records: pd.DataFrame, out: Path
) -> Path:
    """Write the table in every format, the figure, and the counts behind both, counts.json.

    Raises:
        TableError: the directory cannot be written.

    """
    with made(out, "the table"):
        for file, text in WRITERS.values():
            (out / file).write_bytes(text(rows).encode("utf-8"))
        (out / COUNTS).write_text(json.dumps(mechanisms, indent=1) + "\n", encoding="utf-8")
        write_figure(rows, mechanisms, records, out)
    return out
