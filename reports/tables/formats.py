"""Tells files apart by what is in them, not by their names, and reads each into a table."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from reports.tables.benchmarks.asv import asv_contents, asv_folder_contents, is_asv
from reports.tables.benchmarks.criterion import (
    critcmp_contents,
    criterion_contents,
    is_critcmp,
    is_half_a_benchmark,
)
from reports.tables.benchmarks.extra_p import (
    extra_p_contents,
    extra_p_lines_contents,
    extra_p_text_contents,
    is_extra_p,
    is_extra_p_line,
    is_extra_p_text,
    is_talpas_line,
)
from reports.tables.benchmarks.go_benchmark import go_contents, is_go_benchmark
from reports.tables.benchmarks.google_benchmark import google_contents, is_google_benchmark
from reports.tables.benchmarks.hyperfine import hyperfine_contents, is_hyperfine
from reports.tables.benchmarks.jmh import is_jmh, is_jmh_text, jmh_contents, jmh_text_contents
from reports.tables.benchmarks.nvbench import is_nvbench, nvbench_contents
from reports.tables.benchmarks.pytest_benchmark import benchmark_contents, is_benchmark_json
from reports.tables.benchmarks.rows import Contents
from reports.tables.benchmarks.torch_compare import compare_contents, is_compare
from reports.tables.columns import TableError, TableWarning
from reports.tables.json_values import an_object, parsed
from reports.tables.plain_text.delimited import read_delimited
from reports.tables.plain_text.text_tables import has_pipes, read_aligned, read_pipes
from reports.tables.unread import KINDS, unread

MOST_BYTES = 256 * 2**20
"""Larger files are refused: a table takes many times its bytes in memory."""
MOST_TEXT = 64 * 2**20
"""As much of text tables, every field of which is a string at first."""
MOST_FIELDS = 5_000_000
"""Fields of a table, or values in JSON, each of which takes some hundred bytes of memory."""

_SHORTER = "keep one row for each size, such as the median of its readings"
_BETWEEN = "\n,;\t|[{"
_PARQUET = b"PAR1"
_LOOKED_AT = 65536
_JOURNAL = frozenset({"schema", "implementation", "status"})
_LONGEST_RECORD = 2**24
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_GOOGLE_CSV = frozenset({"name", "iterations", "real_time", "cpu_time", "time_unit"})
_Document = dict[str, Any]
_DOCUMENTS: tuple[tuple[Callable[[_Document], bool], Callable[[_Document], Contents]], ...] = (
    (is_nvbench, nvbench_contents),
    (is_google_benchmark, google_contents),
    (is_benchmark_json, benchmark_contents),
    (is_critcmp, critcmp_contents),
    (is_hyperfine, hyperfine_contents),
    (is_asv, lambda document: asv_contents([document], {})),
    (is_extra_p, extra_p_contents),
)
_TEXTS: tuple[tuple[Callable[[str], bool], Callable[[str], Contents]], ...] = (
    (is_extra_p_text, extra_p_text_contents),
    (is_go_benchmark, go_contents),
    (is_jmh_text, jmh_text_contents),
    (has_pipes, lambda text: Contents(frame=read_pipes(text))),
)


def is_journal(data: bytes) -> bool:
    """Whether the first line is a record of a run."""
    first = data[:_LONGEST_RECORD].lstrip().partition(b"\n")[0]
    if not first.startswith(b"{"):
        return False
    return an_object(parsed(first.decode("utf-8", "replace"))).keys() >= _JOURNAL


def read_contents(data: bytes) -> Contents:
    """Read any table, or the file of a benchmark program.

    Raises:
        TableError: the bytes are none of these, or are broken; the message lacks the file's name.

    """
    if data.startswith(_PARQUET):
        return Contents(frame=_parquet(data))
    what = unread(data)
    if what is not None:
        raise TableError(f"is {what}")
    text = _text(data)
    begin = text[:_LOOKED_AT].lstrip()[:1] or text.lstrip()[:1]
    if not begin:
        raise TableError(f"is empty; give {KINDS} with at least one row")
    fields = sum(map(text.count, _BETWEEN))
    if fields > MOST_FIELDS:
        raise _too_many(fields)
    if is_compare(text):  # begins with a bracket, as JSON may
        return compare_contents(text)
    if begin in "{[":
        return read_json(text)
    if len(text) > MOST_TEXT:
        raise TableError(
            f"is a text of {len(text) >> 20} MiB, and {MOST_TEXT >> 20} are read at most; "
            f"{_SHORTER}"
        )
    for is_it, read in _TEXTS:
        if is_it(text):
            return read(text)
    return _table(text)


def read_folder(folder: Path) -> Contents | None:
    """The results in a folder of criterion or asv; None where it is neither."""
    return criterion_contents(folder) or asv_folder_contents(folder)


def _too_many(fields: int) -> TableError:
    return TableError(f"has {fields} fields, expected at most {MOST_FIELDS}; {_SHORTER}")


def _parquet(data: bytes) -> pd.DataFrame:
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]  # it has no types

    try:
        shape = ParquetFile(io.BytesIO(data)).metadata
        fields = shape.num_rows * shape.num_columns  # a few bytes may stand for a million of them
        frame = None if fields > MOST_FIELDS else pd.read_parquet(io.BytesIO(data))
    except (ValueError, OSError) as problem:  # what pyarrow raises is one or the other
        reason = " ".join(str(problem).split())
        raise TableError(f"is not Parquet: {reason:.150}; write the file again") from None
    if frame is None:
        raise _too_many(fields)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    frame.columns = frame.columns.map(str)
    return frame


def _text(data: bytes) -> str:
    """The bytes as text: UTF-8, UTF-16 where they begin with its mark, else Windows-1252."""
    if data.startswith(_UTF_16):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise TableError("is broken text in UTF-16; save it as UTF-8") from None
    if b"\x00" in data[:_LOOKED_AT]:
        raise TableError(
            f"is a binary file of an unknown kind; give {KINDS}; a report of Nsight Systems "
            'becomes one with "nsys stats --format csv"'
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        if any(byte < 32 and byte not in b"\t\n\r\f" for byte in data[:_LOOKED_AT]):
            raise TableError(f"is a binary file of an unknown kind; give {KINDS}") from None
        line = data.count(b"\n", 0, problem.start) + 1
        warnings.warn(
            f"line {line} is not UTF-8 (byte 0x{data[problem.start]:02x}): the text is read as "
            "Windows-1252, which has µ and letters of western Europe",
            TableWarning,
            stacklevel=2,
        )
        return data.decode("cp1252", "replace")


def _table(text: str) -> Contents:
    """CSV, or columns that stand under each other."""
    first = text[: _LOOKED_AT + 1].strip().partition("\n")[0]
    frame = read_aligned(text) if set(first).isdisjoint(",;\t") else None
    if frame is None:
        frame = read_delimited(text)
    if set(frame.columns) >= _GOOGLE_CSV:
        rows = frame.astype(object).to_dict("records")
        return google_contents(
            {"benchmarks": [{k: v for k, v in row.items() if not pd.isna(v)} for row in rows]}
        )
    return Contents(frame=frame)


def read_json(text: str) -> Contents:
    """The table in a text that begins like JSON."""
    lines = text.strip().split("\n")
    if len(lines) > 1 and parsed(lines[0]) is not None:
        return _rows(_json_lines(text))
    if ";" in lines[0] and is_talpas_line(lines[0]):
        return _rows(_json_lines(text.replace(";", ",")))
    try:
        document = json.loads(text)
    except json.JSONDecodeError as problem:
        what = problem.msg.removesuffix(" at")
        raise TableError(
            f"is not JSON: {what} at line {problem.lineno} column {problem.colno}; "
            "write the file again if it is cut off"
        ) from None
    except RecursionError:
        raise TableError(f"is JSON nested too deeply for a table; give {KINDS}") from None
    return _objects(document) if isinstance(document, list) else _document(document)


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
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise TableError(
                f"is a JSON list whose item {number} is no object, but {json.dumps(row):.40}; "
                'give a list of rows such as [{"n": 128, "time_s": 0.5}]'
            )
    return jmh_contents(rows) if is_jmh(rows) else _rows(rows)


def _rows(rows: list[dict[str, Any]]) -> Contents:
    if rows and is_extra_p_line(rows[0]):
        return extra_p_lines_contents(rows)
    return Contents(frame=pd.DataFrame(rows))


def _document(document: dict[str, Any]) -> Contents:
    for is_it, read in _DOCUMENTS:
        if is_it(document):
            return read(document)
    if isinstance(document.get("benchmarks"), list):
        raise TableError(
            'is JSON with a list "benchmarks", but neither of pytest-benchmark nor of '
            f"google/benchmark or nvbench; give {KINDS}"
        )
    if is_half_a_benchmark(document):
        raise TableError(
            "is one of the two files that criterion has for a benchmark; give the directory "
            "target/criterion, or the output of critcmp --export"
        )
    if "schema" in document and "machine" in document:
        raise TableError("describes a run, but holds no records; give its directory instead")
    if document and not any(isinstance(value, list) for value in document.values()):
        flat = not any(isinstance(value, dict) for value in document.values())
        if flat or is_extra_p_line(document):
            return _rows([document])
    raise TableError(
        f'is JSON, but has no list "benchmarks" or "results" and is no list of rows; give {KINDS}'
    )
