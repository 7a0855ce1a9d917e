"""Reads JSON: lines or lists of rows, and the documents of benchmark programs, by their keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from reports.tables.benchmarks.asv import asv_contents, is_asv
from reports.tables.benchmarks.criterion import critcmp_contents, is_critcmp, is_half_a_benchmark
from reports.tables.benchmarks.extra_p import (
    extra_p_contents,
    extra_p_lines_contents,
    is_extra_p,
    is_extra_p_line,
    talpas_line,
)
from reports.tables.benchmarks.google_benchmark import google_contents, is_google_benchmark
from reports.tables.benchmarks.hyperfine import hyperfine_contents, is_hyperfine
from reports.tables.benchmarks.jmh import is_jmh, jmh_contents
from reports.tables.benchmarks.nvbench import is_nvbench, nvbench_contents
from reports.tables.benchmarks.pytest_benchmark import benchmark_contents, is_benchmark_json
from reports.tables.benchmarks.rows import Contents
from reports.tables.columns import TableError
from reports.tables.unread import KINDS


def read_json(text: str) -> Contents:
    """The table in a text that begins like JSON.

    Raises:
        TableError: it is no JSON, or JSON of no kind that is known.

    """
    lines = text.strip().split("\n")
    if len(lines) > 1 and _is_json(lines[0]):
        return _rows(_json_lines(text))
    if ";" in lines[0] and talpas_line(lines[0]) is not None:
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
    if isinstance(document, list):
        return _objects(document)
    return _document(document)


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
