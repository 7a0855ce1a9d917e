"""Tells files apart by what is in them, not by their names, and reads each into a table."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports.tables.benchmarks.google_benchmark import (
    google_info,
    google_parameters,
    google_rows,
    is_google_benchmark,
)
from reports.tables.benchmarks.pytest_benchmark import (
    benchmark_info,
    benchmark_parameters,
    benchmark_rows,
    is_benchmark_json,
)
from reports.tables.columns import TableError
from reports.tables.delimited import read_delimited

KINDS = (
    "a run directory, CSV, JSON lines, Parquet, or the JSON of pytest-benchmark or google/benchmark"
)

_PARQUET = b"PAR1"
_NO_TABLES = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
)
_JOURNAL = frozenset({"schema", "implementation", "status"})


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file holds: its rows, what it tells of the machine, and which columns it calls sizes.

    `parameters` are the numeric columns that the format itself states to be parameters or
    arguments of the benchmark; a table that says no such thing has none.
    """

    frame: pd.DataFrame = field(repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parameters: tuple[str, ...] = ()


def is_journal(data: bytes) -> bool:
    """Whether the first line is a record of a run."""
    try:
        first = json.loads(data.lstrip().partition(b"\n")[0].decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.keys() >= _JOURNAL


def read_contents(data: bytes) -> Contents:
    """Read CSV, JSON lines, a list of JSON objects, Parquet, or the JSON of a benchmark.

    Raises:
        TableError: the bytes are none of these, or are broken; the message lacks the file's name.

    """
    if data.startswith(_PARQUET):
        return Contents(frame=_parquet(data))
    text = _text(data)
    if not text.strip():
        raise TableError(f"is empty; give {KINDS} with at least one row")
    if text.lstrip()[0] in "{[":
        return _json(text)
    return Contents(frame=read_delimited(text))


def _parquet(data: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except (ValueError, OSError) as problem:  # what pyarrow raises is one or the other
        reason = " ".join(str(problem).split())
        raise TableError(f"is not Parquet: {reason:.150}; write the file again") from None
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    frame.columns = frame.columns.map(str)
    return frame


def _text(data: bytes) -> str:
    for start, what in _NO_TABLES:
        if data.startswith(start):
            raise TableError(f"is {what}")
    if b"\x00" in data[:4096]:
        raise TableError(f"is a binary file of an unknown kind; give {KINDS}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise TableError(
            f"is not UTF-8: byte 0x{data[problem.start]:02x} in line {line}; save it as UTF-8"
        ) from None


def _json(text: str) -> Contents:
    lines = text.strip().split("\n")
    if len(lines) > 1 and _is_json(lines[0]):
        return Contents(frame=pd.DataFrame(_json_lines(text)))
    try:
        document = json.loads(text)
    except json.JSONDecodeError as problem:
        raise TableError(
            f"is not JSON: {problem.msg} at line {problem.lineno} column {problem.colno}; "
            "write the file again if it is cut off"
        ) from None
    except RecursionError:
        raise TableError(f"is JSON nested too deeply for a table; give {KINDS}") from None
    if isinstance(document, list):
        return _objects(document)
    if isinstance(document.get("benchmarks"), list):
        return _benchmarks(document)
    if "schema" in document and "machine" in document:
        raise TableError("describes a run, but holds no records; give its directory instead")
    if document and not any(isinstance(value, dict | list) for value in document.values()):
        return Contents(frame=pd.DataFrame([document]))
    raise TableError(f'is JSON, but has no list "benchmarks" and is no list of rows; give {KINDS}')


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _json_lines(text: str) -> list[dict[str, Any]]:
    rows = []
    # Not splitlines(): JSON may hold other line ends than these inside its strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise TableError(
                f"line {number} is not JSON: {problem!s:.100}; correct or remove it"
            ) from None
        if not isinstance(row, dict):
            raise TableError(f"line {number} must hold one JSON object, got {line.strip():.40}")
        rows.append(row)
    return rows


def _objects(rows: list[Any]) -> Contents:
    wrong = next((at for at, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise TableError(
            f"is a JSON list whose item {wrong + 1} is no object, but "
            f"{json.dumps(rows[wrong]):.40}; give a list of rows such as "
            '[{"n": 128, "time_s": 0.5}]'
        )
    return Contents(frame=pd.DataFrame(rows))


def _benchmarks(document: dict[str, Any]) -> Contents:
    if is_google_benchmark(document):
        return Contents(
            frame=pd.DataFrame(google_rows(document)),
            info=google_info(document),
            parameters=google_parameters(document),
        )
    if is_benchmark_json(document):
        return Contents(
            frame=pd.DataFrame(benchmark_rows(document)),
            info=benchmark_info(document),
            parameters=benchmark_parameters(document),
        )
    raise TableError(
        'is JSON with a list "benchmarks", but neither of pytest-benchmark nor of '
        f"google/benchmark; give {KINDS}"
    )
