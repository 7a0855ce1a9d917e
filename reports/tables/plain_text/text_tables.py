"""Reads tables that were made for people: Markdown and other pipes, and columns under each other.

Their fields are found here; what a field says is for `reports.tables.plain_text.delimited`. A
TableError says which line does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

import pandas as pd

from reports.tables.columns import TableError
from reports.tables.plain_text.delimited import table_of

_PIPE = re.compile(r"(?<!\\)\|")
_RULE = frozenset("|+-=: \t")
_WIDE = re.compile(r"[ \xa0]{2,}|\t+")
_SUMMARY = re.compile(r"\[[0-9]+ rows x [0-9]+ columns\]")
_MOST_TITLES = 5
"""Lines above the header of an aligned table, at most."""
_LOOKED_AT = 65536


def has_pipes(text: str) -> bool:
    """Whether a text has a table with a rule below its header, such as `|---|---|`."""
    lines = text[:_LOOKED_AT].splitlines()
    return any(_is_rule(rule) and "|" in header for header, rule in pairwise(lines))


def read_pipes(text: str) -> pd.DataFrame:
    """The table with pipes between its columns, as in Markdown, psql or a grid of tabulate."""
    lines = enumerate(text.splitlines(), start=1)
    blocks = [
        [(number, line) for number, line in block if not _is_rule(line)]
        for inside, block in groupby(lines, lambda line: "|" in line[1] or _is_rule(line[1]))
        if inside
    ]
    tables = [block for block in blocks if len(block) > 1]
    if len(tables) != 1:
        starts = ", ".join(str(block[0][0]) for block in tables)
        raise TableError(
            f"holds {len(tables)} tables, in lines {starts}; give a file for each"
            if tables
            else "has a table without rows; give at least one below its header"
        )
    rows = [(number, _cells(line)) for number, line in tables[0]]
    width = len(rows[0][1])
    for number, fields in rows:
        if len(fields) != width:
            raise TableError(
                f"line {number} has {len(fields)} fields, expected {width} as in the header; "
                "give every line as many"
            )
    return table_of(rows[0][1], [fields for _, fields in rows[1:] if any(fields)])


def read_aligned(text: str) -> pd.DataFrame | None:
    """The table whose columns stand under each other with spaces between; None if there is none.

    Columns may have two spaces between them, or one if no name or value has any. A column of row
    numbers without a name, as pandas prints it, is left out.
    """
    lines = [
        (number, line)
        for number, line in enumerate(map(str.strip, text.splitlines()), start=1)
        if not set(line) <= _RULE and not _SUMMARY.fullmatch(line)
    ]
    torn = None
    for split in (_WIDE.split, str.split):
        for start in range(min(_MOST_TITLES, len(lines) - 1)):
            header = split(lines[start][1].lstrip("#").strip())
            rows = [one for one in lines[start + 1 :] if not one[1].startswith("#")]
            fitting = _fitting(header, [line for _, line in rows], split)
            if fitting and fitting == len(rows):
                return table_of(header, [split(line)[-len(header) :] for _, line in rows])
            if fitting and torn is None:
                number, line = rows[fitting]
                torn = TableError(
                    f"line {number} does not have the {len(header)} columns of the lines above it: "
                    f"{line:.60}; give every line as many"
                )
    if torn is not None:
        raise torn
    return None


def _fitting(header: Sequence[str], lines: Sequence[str], split: Callable[[str], list[str]]) -> int:
    """How many of the first lines are rows of a table of numbers with these names."""
    if not lines or any(map(_begins_number, header)):
        return 0
    first = split(lines[0])
    numbered = len(first) == len(header) + 1 and first[0] == "0"
    width = len(header) + numbered
    for place, line in enumerate(lines):
        fields = split(line)
        told = len(fields) == width > 1 and any(map(_begins_number, fields[numbered:]))
        if not told or (numbered and fields[0] != str(place)):
            return place
    return len(lines)


def _begins_number(field: str) -> bool:
    return field.lstrip("+-.")[:1].isdecimal()


def _is_rule(line: str) -> bool:
    signs = set(line.strip())
    return signs <= _RULE and not signs.isdisjoint("-=") and not signs.isdisjoint("|+")


def _cells(line: str) -> list[str]:
    line = line.strip()
    fields = _PIPE.split(line)[line.startswith("|") : -1 if line.endswith("|") else None]
    # Bold numbers are numbers.
    return [field.strip().replace("\\|", "|").strip("*`").strip() for field in fields]
