"""Reads the table that torch.utils.benchmark.Compare prints: a row a call, a column a variant."""

from __future__ import annotations

import re

from reports.tables.benchmarks.rows import SECONDS, Benchmark, Contents, contents_of, sizes_in
from reports.tables.columns import TableError
from reports.tables.json_values import is_positive, to_number

_THREADS = re.compile(r"^(?P<threads>[0-9]{1,6}) threads?: -")
_UNIT = re.compile(r"^Times are in \w+ \((?P<unit>[^)\n]{1,8})\)", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,12}m")
_LOOKED_AT = 8192


def is_compare(text: str) -> bool:
    """Whether a text has such a table near its beginning."""
    return any(map(_is_title, _COLOUR.sub("", text[:_LOOKED_AT]).splitlines()))


def compare_contents(text: str) -> Contents:
    """One row a number in the table: its column is the implementation.

    The label of its row gives the sizes, as in `n=64` or `[64, 32]`, where they vary; the threads
    are a column.
    """
    text = _COLOUR.sub("", text)
    unit = _UNIT.search(text)
    if unit is None or unit["unit"] not in SECONDS:
        raise TableError(
            "is a table of torch.utils.benchmark without its last line, which states the unit; "
            "add it: Times are in microseconds (us)."
        )
    found: list[tuple[str, str, int, str, str]] = []
    title, threads = "", 1
    columns: list[str] = []
    for line in text.splitlines():
        about = _THREADS.match(line)
        label, *cells = (part.strip() for part in line.split("|"))
        if _is_title(line):
            title, threads, columns = line.strip("[]- "), 1, []
        elif about:
            threads = int(about["threads"])
        elif cells and not columns:
            columns = cells
        elif cells:
            found += [
                (title, column, threads, label, cell)
                for column, cell in zip(columns, cells, strict=False)
                if cell
            ]
    labels = sizes_in([label for *_, label, _ in found])
    factor = SECONDS[unit["unit"]]
    benchmarks = []
    for (title, column, threads, _, cell), (label, sizes) in zip(found, labels, strict=True):
        time = to_number(cell.split()[0])
        benchmarks.append(
            Benchmark(
                test=column,
                params={"title": title, "label": label, **sizes},
                readings=[{"time_s": time * factor}] if is_positive(time) else [],
                reason=f"the table has {cell:.40}",
                columns={"threads": threads},
            )
        )
    return contents_of(benchmarks)


def _is_title(line: str) -> bool:
    return line.startswith("[--") and line.rstrip().endswith("--]")
