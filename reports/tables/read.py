"""Reads what was measured into one table: runs, journals, tables, files of benchmark programs.

One row is one record, or all records of a cell and process (`reports.cells.readings`), and the
columns are those of `bench.records.Record` as the file names them (`pass`, not `pass_`); a foreign
table keeps its own columns. Files are told apart by their content (see `reports.tables.formats`).
"""

from __future__ import annotations

import operator
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.records import (
    RECORDS_FILE,
    RUN_FILE,
    STATUSES,
    Record,
    RunError,
    read_info,
    read_records,
    read_run,
)
from reports.tables.benchmarks.rows import Contents
from reports.tables.columns import (
    FILES,
    TableError,
    TableWarning,
    is_text,
    measured_rows,
    numbers,
    row_of,
)
from reports.tables.formats import MOST_BYTES, is_journal, read_contents, read_folder
from reports.tables.rounds import TURNS, TYPICAL, of_processes, turns_of
from reports.tables.unread import KINDS, no_such_file
from reports.text.telling import Tell, tell_nobody
from reports.text.wording import one_line

__all__ = ["Table", "TableError", "read_table", "read_tables"]

TIME_COLUMNS = ("time_s", "time_min_s", TYPICAL)
NUMBER_COLUMNS = (
    *TIME_COLUMNS,
    *(
        one.name
        for one in fields(Record)
        if str(one.type).startswith(("int", "float"))
        and one.name not in (*TIME_COLUMNS, "schema", "worker", "round")
    ),
)
"""Columns of a record that hold numbers; text in them is an error."""
_MOST_INSIDE = 200  # names in the objects of a column; more is no list of parameters
_DEEPEST = 4


@dataclass(frozen=True, kw_only=True)
class Table:
    """Records and what is known about the run they come from.

    `frame` has one row a record; `info` is the object of `run.json`, as far as the file tells it,
    else empty; `path` is the (first) file. `runs` maps each run's name to its own `info`; when
    there are several, the column `run` of the frame holds that name, and makes groups.
    `parameters` are the columns that the file states to be sizes of a benchmark (arguments in
    google/benchmark, numeric parameters in pytest-benchmark): rows that differ in one of them are
    different cells, whether or not a law names it.
    """

    frame: pd.DataFrame = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)
    path: Path
    runs: Mapping[str, Mapping[str, Any]] = field(repr=False)
    parameters: tuple[str, ...] = ()

    @property
    def shared_info(self) -> Mapping[str, Any]:
        """What is known of every row: the run's `info` if there is one run, else nothing.

        Caches and peaks of one machine say nothing about the regimes of another.
        """
        return self.info if len(self.runs) < 2 else {}

    def groups_by(self, columns: Sequence[str] | None) -> Sequence[str] | None:
        """The columns that make groups: of several runs the `run` too, lest two become one."""
        if columns is None or len(self.runs) < 2 or "run" in columns:
            return columns
        return [*columns, "run"]


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a run directory, a journal, a table, or what a benchmark program wrote.

    A line of a journal that is not a record is left out with a `CorruptRecordWarning`.

    Raises:
        TableError: the file is missing, empty, of another kind or broken, or no row is measured;
            in records of ours, also if a number column holds text, or a time is not positive and
            finite. Of other tables `reports.cells.asked` looks at the columns that are judged.

    """
    source = Path(path)
    if not source.exists():
        raise TableError(no_such_file(source))
    try:
        contents = _contents(source)
    except OSError as problem:
        raise TableError(f"{source} cannot be read: {problem.strerror or problem}") from None
    frame = _flattened(contents.frame.reset_index(drop=True))
    frame.attrs[FILES] = [(0, str(source))]
    _check(frame, source)
    return Table(
        frame=frame,
        info=contents.info,
        path=source,
        runs={_name(source): contents.info},
        parameters=contents.parameters,
    )


def read_tables(paths: Sequence[str | os.PathLike[str]], tell: Tell = tell_nobody) -> Table:
    """Read several files into one table; with more than one, the column `run` tells them apart.

    A run is called by its directory or file; equal names are numbered. `info` is the first one's.

    Raises:
        TableError: no path is given, or one of them cannot be read.

    """
    if not paths:
        raise TableError(f"expected at least one file, got none; give {KINDS}")
    tables = []
    for done, path in enumerate(paths):
        tell("reading runs and tables", done, len(paths))
        tables.append(read_table(path))
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
    frame = frame.reindex(columns=columns)
    starts = np.cumsum([0, *(len(f) for f in frames[:-1])])
    frame.attrs[FILES] = [
        (int(start), str(table.path)) for start, table in zip(starts, tables, strict=True)
    ]
    return Table(
        frame=frame,
        info=tables[0].info,
        path=tables[0].path,
        runs=runs,
        parameters=tuple(dict.fromkeys(name for table in tables for name in table.parameters)),
    )


def _contents(source: Path) -> Contents:
    is_folder = source.is_dir() and not (source / RECORDS_FILE).is_file()
    if not is_folder and (source.is_dir() or source.name == RECORDS_FILE):
        return _run(source)
    try:
        if is_folder:
            return read_folder(source) or _run(source)
        with source.open("rb") as file:
            data = file.read(MOST_BYTES + 1)  # a pipe or a device may have no end
        if len(data) > MOST_BYTES:
            raise TableError(
                f"has more than {MOST_BYTES >> 20} MiB; keep one row for each size, such as the "
                "median of its readings"
            )
        return _run(source) if is_journal(data) else read_contents(data)
    except TableError as problem:
        raise TableError(f"{source} {problem}") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as problem:
        # Whatever a parser makes of a file that nobody thought of, it is the file's fault.
        what = one_line(f"{type(problem).__name__}: {problem}")
        raise TableError(f"{source} cannot be read ({what}); give {KINDS}") from None


def _run(source: Path) -> Contents:
    """A run directory, or a journal with or without its `run.json` beside it."""
    try:
        if source.is_dir():
            if not (source / RECORDS_FILE).is_file():
                raise TableError(
                    f"is a directory, but no run: it has no {RECORDS_FILE}; run "
                    f'"attnscale sweep --out {source}" first, or give one of its files'
                )
            if not (source / RUN_FILE).is_file():
                told = (
                    f"{source} has no {RUN_FILE}, so that nothing is known of its machine, its "
                    "checks and its plan"
                )
                warnings.warn(told, TableWarning, stacklevel=2)
                return _run(source / RECORDS_FILE)
            run = read_run(source)
            return Contents(frame=frame_of(run.records), info=run.info)
        has_info = source.name == RECORDS_FILE and (source.parent / RUN_FILE).is_file()
        info = read_info(source.parent) if has_info else {}
        return Contents(frame=frame_of(tuple(read_records(source))), info=info)
    except RunError as problem:
        raise TableError(str(problem)) from None


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """One row a record or process, column by column: row by row takes twice as long."""
    if not records:
        return pd.DataFrame()
    columns: dict[str, Any] = {}
    for one in fields(Record):
        values = [getattr(record, one.name) for record in records]
        # Few and short as they are, texts of Arrow take several times as long as objects.
        text = str(one.type).startswith("str")
        columns[one.name.rstrip("_")] = pd.Series(values, dtype=object) if text else values
    columns[TURNS] = [turns_of(record) for record in records]
    return of_processes(pd.DataFrame(columns))


def _check(frame: pd.DataFrame, source: Path) -> None:
    """See that there is something to judge; records of ours hold numbers where numbers belong."""
    if frame.empty:
        raise TableError(f"{source} has no rows; measure something first, then judge it")
    measured = measured_rows(frame)
    if not measured.any() and frame["status"].dropna().isin(STATUSES).all():
        counts = frame["status"].value_counts().items()
        found = ", ".join(f"{count} {status}" for status, count in counts)
        raise TableError(
            f"{source} has no measured row, only {found}; see their reasons, then measure again"
        )
    if "schema" not in frame.columns:
        return
    for column in frame.columns.intersection(list(NUMBER_COLUMNS)):
        values = numbers(frame, column)
        wrong = measured & ~np.isnan(values) & ~((values > 0) & (values < np.inf))
        if column in TIME_COLUMNS and wrong.any():
            at = int(np.argmax(wrong))
            file, row = row_of(frame, at)
            raise TableError(
                f"{file}{column} must be positive and finite, got {values[at]:g}{row}; remove "
                "such rows, or measure them again"
            )


def _name(source: Path) -> str:
    run = source if source.is_dir() else source.parent if source.name == RECORDS_FILE else source
    return run.resolve().name if run.is_dir() else run.stem


def _flattened(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with objects as columns, and lists and text that cannot be printed as plain text.

    Records of ours are left alone: they have lists where lists belong.
    """
    if "schema" in frame.columns:
        return frame
    changed: dict[str, Any] = {}
    for column in frame.columns:
        values = frame[column]
        if not is_text(values):
            continue
        cells = list(values)
        plain = [_scalar(cell) for cell in cells]
        if any(map(operator.is_not, plain, cells)):
            changed[column] = plain
        for name, found in _inside(cells).items():
            for free in (f"{column}.{name}", name):
                if free not in frame.columns:
                    changed.setdefault(free, found)
    if not changed:
        return frame
    # As a whole: hundreds of columns, one put in after another, are slow.
    whole = {column: changed.pop(str(column), frame[column]) for column in frame.columns}
    return pd.DataFrame(whole | changed)


def _inside(cells: Sequence[Any]) -> dict[str, list[Any]]:
    """The columns that a column of objects, such as `params`, holds, if they are not too many."""
    rows = [dict(_named(cell)) if isinstance(cell, dict) else {} for cell in cells]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > _MOST_INSIDE:
        return {}
    return {name: [_scalar(row.get(name, np.nan)) for row in rows] for name in names}


def _named(inside: Mapping[str, Any], deeper: int = _DEEPEST) -> Iterator[tuple[str, Any]]:
    """What an object holds, objects in it included, each by a name with points in between."""
    for name, value in inside.items():
        if isinstance(value, dict) and deeper:
            yield from ((f"{name}.{more}", one) for more, one in _named(value, deeper - 1))
        else:
            yield name, value


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list | dict | set | tuple | np.ndarray):
        return one_line(value)
    return value
