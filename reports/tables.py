"""Reads what was measured into one table: runs, journals, CSV, JSON lines, Parquet, benchmarks.

One row is one record, and the columns are those of `bench.records.Record` as the file names them
(`pass`, not `pass_`); a foreign table keeps its own columns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.records import RECORDS_FILE, RUN_FILE, RunError, read_info, read_records, read_run
from reports.benchmark_json import benchmark_info, benchmark_rows

KINDS = "a run directory, .jsonl, .csv, .parquet or a pytest-benchmark .json"

TIME_COLUMNS = ("time_s", "time_min_s")
NUMBER_COLUMNS = (
    *TIME_COLUMNS,
    "batch",
    "num_heads",
    "seq_len",
    "key_len",
    "head_dim",
    "d_model",
    "threads",
    "cpu_time_s",
    "workspace_bytes",
    "flops",
    "bytes_moved",
    "minor_faults",
    "energy_j",
    "max_error",
    "allowed_error",
    "canary_s",
)
"""Columns of a record that hold numbers; text in them is an error, wherever the table came from."""


class TableError(ValueError):
    """A table that cannot be read or judged; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Records and what is known about the run they come from.

    `frame` has one row a record; `info` is the object of `run.json`, as far as the file tells it,
    else empty; `path` is the (first) file. `runs` maps each run's name to its own `info`; when
    there are several, the column `run` of the frame holds that name, and makes groups.
    """

    frame: pd.DataFrame = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)
    path: Path
    runs: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @property
    def shared_info(self) -> Mapping[str, Any]:
        """What is known of every row: the run's `info` if there is one run, else nothing.

        Caches and peaks of one machine say nothing about the regimes of another.
        """
        return self.info if len(self.runs) < 2 else {}


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read one run directory, journal, CSV, JSON-lines, Parquet or pytest-benchmark JSON file.

    A line of a journal that is not a record is left out with a `CorruptRecordWarning`.

    Raises:
        TableError: the file is missing, empty, of another kind or broken, a number column holds
            text, a time is not positive and finite, or no row is measured.

    """
    source = Path(path)
    if not source.exists():
        raise TableError(f"{source} does not exist; give {KINDS}")
    if source.is_dir() or source.name == RECORDS_FILE:
        rows, info = _read_run(source)
        frame = pd.DataFrame(rows)
    else:
        frame, info = _read_file(source)
    frame = _checked(frame, source)
    return Table(frame=frame, info=info, path=source, runs={_name(source): info})


def read_tables(paths: Sequence[str | os.PathLike[str]]) -> Table:
    """Read several files into one table; with more than one, the column `run` tells them apart.

    A run is called by its directory or file; equal names are numbered. `info` is the first one's.

    Raises:
        TableError: no path is given, or one of them cannot be read.

    """
    if not paths:
        raise TableError(f"expected at least one file, got none; give {KINDS}")
    tables = [read_table(path) for path in paths]
    if len(tables) == 1:
        return tables[0]
    runs: dict[str, Mapping[str, Any]] = {}
    frames = []
    for table in tables:
        wanted = _name(table.path)
        name, number = wanted, 2
        while name in runs:
            name, number = f"{wanted} ({number})", number + 1
        runs[name] = table.info
        frames.append(table.frame.assign(run=name))
    # A column that is empty in one of several runs would otherwise decide the type of the whole.
    columns = list(dict.fromkeys(column for frame in frames for column in frame.columns))
    frame = pd.concat([f.dropna(axis="columns", how="all") for f in frames], ignore_index=True)
    return Table(
        frame=frame.reindex(columns=columns), info=tables[0].info, path=tables[0].path, runs=runs
    )


def measured_rows(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows carry a measurement: those with status `measured`, or all without a status."""
    if "status" not in frame.columns:
        return np.ones(len(frame), dtype=np.bool_)
    return (frame["status"] == "measured").to_numpy(dtype=np.bool_)


def numbers(frame: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as floats, NaN where it is empty.

    Raises:
        TableError: the column does not exist or holds text.

    """
    if column not in frame.columns:
        have = ", ".join(map(str, frame.columns[:12]))
        raise TableError(f'there is no column "{column}"; the table has {have}')
    try:
        return pd.to_numeric(frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        bad = next(value for value in frame[column] if not _is_number(value))
        raise TableError(
            f'column "{column}" must hold numbers, got {bad!r}; correct the file, '
            "or name another column"
        ) from None


def _read_run(source: Path) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    try:
        if source.is_dir():
            run = read_run(source)
            return [record.to_dict() for record in run.records], run.info
        has_info = (source.parent / RUN_FILE).is_file()
        info = read_info(source.parent) if has_info else {}
        return [record.to_dict() for record in read_records(source)], info
    except RunError as problem:
        raise TableError(str(problem)) from None
    except OSError as problem:
        raise TableError(f"{source} cannot be read: {problem.strerror or problem}") from None


def _read_file(source: Path) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    suffix = source.suffix.lower()
    try:
        if source.stat().st_size == 0:
            raise TableError(f"{source} is empty; give {KINDS} with at least one row")
        if suffix == ".csv":
            return pd.read_csv(source, low_memory=False), {}
        if suffix in (".parquet", ".pq"):
            return pd.read_parquet(source), {}
        if suffix in (".jsonl", ".ndjson"):
            return pd.DataFrame(_json_lines(source)), {}
        if suffix == ".json":
            return _read_json(source)
    except TableError:
        raise
    except OSError as problem:
        raise TableError(f"{source} cannot be read: {problem.strerror or problem}") from None
    except ValueError as problem:  # pandas, pyarrow and json all raise subclasses of it
        raise TableError(f"{source} is not {suffix[1:]}: {_one_line(problem)}") from None
    raise TableError(f'{source} has the suffix "{suffix}"; give {KINDS}')


def _json_lines(source: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise TableError(f"{source} line {number} is not JSON: {problem}") from None
        if not isinstance(row, dict):
            raise TableError(f"{source} line {number} must hold one JSON object, got {row!r:.40}")
        rows.append(row)
    return rows


def _read_json(source: Path) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    document = json.loads(source.read_text(encoding="utf-8"))
    if isinstance(document, dict) and isinstance(document.get("benchmarks"), list):
        return pd.DataFrame(benchmark_rows(document)), benchmark_info(document)
    if isinstance(document, list) and document and all(isinstance(r, dict) for r in document):
        return pd.DataFrame(document), {}
    if source.name == RUN_FILE:
        raise TableError(f"{source} describes a run; give its directory {source.parent} instead")
    raise TableError(
        f'{source} is JSON, but has no "benchmarks" and is no list of objects; give {KINDS}'
    )


def _checked(frame: pd.DataFrame, source: Path) -> pd.DataFrame:
    if frame.empty:
        raise TableError(f"{source} has no rows; measure something first, then judge it")
    for column in NUMBER_COLUMNS:
        if column in frame.columns:
            try:
                numbers(frame, column)
            except TableError as problem:
                raise TableError(f"{source}: {problem}") from None
    measured = measured_rows(frame)
    if not measured.any():
        found = ", ".join(
            f"{count} {what}" for what, count in frame["status"].value_counts().items()
        )
        raise TableError(
            f"{source} has no measured row, only {found}; see their reasons, then measure again"
        )
    for column in TIME_COLUMNS:
        if column in frame.columns:
            _positive(numbers(frame[measured], column), column, source)
    return frame.reset_index(drop=True)


def _positive(values: npt.NDArray[np.float64], column: str, source: Path) -> None:
    wrong = np.flatnonzero(~np.isnan(values) & ~((values > 0) & (values < np.inf)))
    if wrong.size:
        raise TableError(
            f"{source}: {column} must be positive and finite, got {values[wrong[0]]:g} in measured "
            f"row {wrong[0] + 1}; remove such rows, or measure them again"
        )


def _is_number(value: object) -> bool:
    try:
        pd.to_numeric(pd.Series([value]))
    except (ValueError, TypeError):
        return False
    return True


def _name(source: Path) -> str:
    run = source if source.is_dir() else source.parent if source.name == RECORDS_FILE else source
    return run.resolve().name if run.is_dir() else run.stem


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__
