"""Splits records into views: which cells can honestly share a figure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from reports.cells.case_columns import APART
from reports.cells.cell_table import ALL_ROWS, cell_table, measured
from reports.cells.gpu_time import time_column, with_gpu_time
from reports.cells.readings import REPLAYED
from reports.figures.drawing.looks import Look, looks_for, looks_of_series
from reports.figures.drawing.size_names import OUR_SIZES, SizeName
from reports.figures.drawing.view import Series, View, run_of
from reports.judge.result import Fit
from reports.text.labels import label_of, text_of, unless_told, worded

# These make figures apart only where one implementation has several; else they go in the label.
_APART_WITHIN = ("growth", "batch", "threads", "kind")
_CONDITIONS = (*APART, *_APART_WITHIN)
# What a run has one of is told with its name. These are the conditions that a reader asks about.
_OF_RUNS = ("device", "dtype", "kv_heads", *_APART_WITHIN)
_MOST_LINES = 4  # series of the only implementation that are told apart by their lines
_MOST_SHARED = 12  # series of several runs in one figure; more make its legend unreadable


def views(
    records: pd.DataFrame,
    fits: Sequence[Fit] = (),
    info: Mapping[str, Any] | None = None,
    runs: Mapping[str, Mapping[str, Any]] | None = None,
    sizes: Mapping[str, SizeName] = OUR_SIZES,
) -> tuple[View, ...]:
    """Split records into what can honestly share a figure.

    Device, dtype, pass, mask and heads of keys always make figures apart; growth, batch, threads
    and kind do where one implementation has several of them, and are told in the labels otherwise.
    Runs share a figure unless it would have too many series, also where each has a device or dtype
    of its own, as a run on a CPU beside one on a GPU. `info` is `run.json`; where `runs` has one
    for the run of a series, that one is used. Sizes of the fits that are no axis of a figure tell
    series apart. On a GPU, times are those of the GPU alone where all cells have them
    (`graph_time_s`).
    """
    records, is_gpu_time = with_gpu_time(records, {fit.value for fit in fits})
    grouping = [name for fit in fits for name in (*fit.group, *fit.sizes.values())]
    by = [name for name in grouping if name in records.columns and name not in OUR_SIZES]
    timed = measured(cell_table(records, by=by))
    if timed.empty:
        return ()
    extra = (name for name in by if name in timed.columns and name not in _CONDITIONS)
    names = list(dict.fromkeys(("implementation", *extra)))
    known = [name for name in _CONDITIONS if name in timed.columns]
    varying = [name for name in known if timed[name].nunique(dropna=False) > 1]
    names, apart, of_runs = _runs_together(timed, names, varying) or (
        names,
        _apart(timed, names, varying),
        [],
    )
    told = [name for name in varying if name not in (*apart, *of_runs, *names)]
    usual = {name: _usual(timed, names, name) for name in told}
    keyed = _keyed_parts(timed, names)
    labels = {key: _label(rows, names, usual) for key, rows in keyed.items()}
    everybody = records.get("implementation", pd.Series(dtype=object)).dropna().astype(str)
    looks = _looks({labels[key]: key[0] for key in keyed}, everybody.unique().tolist())
    rows_of = _keyed_parts(records, apart)
    found = []
    for part_key, part in _keyed_parts(timed, apart).items():
        series = tuple(
            Series(
                label=labels[key],
                look=looks[labels[key]],
                cells=rows.reset_index(drop=True),
                fit=fit_of(rows, fits, time_column(rows, is_gpu_time)),
                workspace_fit=fit_of(rows, fits, "workspace_bytes"),
                info=(runs or {}).get(run_of(rows), info or {}),
            )
            for key, rows in _keyed_parts(part, names).items()
        )
        conditions = {
            name: text_of(part[name].iloc[0])
            for name in known
            if name not in (*told, *of_runs, *names) and part[name].notna().all()
        }
        conditions |= {name: value for name, value in usual.items() if value}
        told_apart = {one: conditions.get(one) or unless_told(one) for one in apart}
        found.append(
            View(
                series=series,
                conditions=conditions,
                suffix="-".join(slug(value, "none") for value in told_apart.values()),
                name=", ".join(worded(one, value) for one, value in told_apart.items()),
                info=series[0].info,
                sizes=sizes,
                runs=_told_of_runs(part, of_runs),
                by=tuple(by),
                records=rows_of.get(part_key, records.iloc[:0]),
                is_gpu_time=any(time_column(one.cells, is_gpu_time) == REPLAYED for one in series),
            )
        )
    suffixes = distinct([view.suffix for view in found])
    return tuple(replace(view, suffix=one) for view, one in zip(found, suffixes, strict=True))


def fit_of(rows: pd.DataFrame, fits: Sequence[Fit], value: str = "time_s") -> Fit | None:
    """The fit of `value` whose group is what these rows have; None where there is none."""
    for fit in fits:
        shared = [name for name in fit.group if name in rows.columns]
        if fit.value == value and all(_holds(rows[name], fit.group[name]) for name in shared):
            return fit
    return None


def _label(rows: pd.DataFrame, names: Sequence[str], usual: Mapping[str, str]) -> str:
    """The name of a series, with the conditions in which it is not like most others."""
    first = rows.iloc[0]
    values = {name: first[name] for name in names if not pd.isna(first[name])}
    if values.get("implementation") == ALL_ROWS and len(values) > 1:
        del values["implementation"]
    odd = {name: first[name] for name, value in usual.items() if text_of(first[name]) != value}
    return label_of(values | {name: value for name, value in odd.items() if not pd.isna(value)})


def _looks(implementation_of: Mapping[str, str], implementations: Sequence[str]) -> dict[str, Look]:
    """The look of every series, by its label; colours tell implementations apart where they can."""
    number = Counter(implementation_of.values())
    alone = len(number) == 1 and max(number.values()) > _MOST_LINES
    by_label = {
        label: label if alone or name == ALL_ROWS else name
        for label, name in implementation_of.items()
    }
    return looks_of_series(by_label, looks_for([*implementations, *by_label.values()]))


def _runs_together(
    cells: pd.DataFrame, names: Sequence[str], varying: Sequence[str]
) -> tuple[list[str], list[str], list[str]] | None:
    """What names a series, what makes figures apart, and of which conditions every run has one.

    None where there is one run, or where a figure of all would have too many series.
    """
    if "run" not in varying:
        return None
    by_run = cells.groupby("run")
    of_runs = [
        name
        for name in varying
        if name in _OF_RUNS and by_run[name].nunique(dropna=False).max() == 1
    ]
    of_series = [*names, "run"]
    apart = _apart(cells, of_series, [one for one in varying if one not in ("run", *of_runs)])
    most = max(len(_keyed_parts(part, of_series)) for part in _keyed_parts(cells, apart).values())
    return (of_series, apart, of_runs) if most <= _MOST_SHARED else None


def _told_of_runs(cells: pd.DataFrame, of_runs: Sequence[str]) -> dict[str, dict[str, str]]:
    """What each run has of the conditions in which they differ."""
    return {
        text_of(run): {name: text_of(rows[name].iloc[0]) for name in of_runs}
        for run, rows in (cells.groupby("run") if of_runs else ())
    }


def _apart(cells: pd.DataFrame, names: Sequence[str], varying: Sequence[str]) -> list[str]:
    """The conditions that make figures apart."""
    parts = _keyed_parts(cells, names).values()
    return [
        name
        for name in varying
        if name in APART or any(rows[name].nunique(dropna=False) > 1 for rows in parts)
    ]


def _usual(cells: pd.DataFrame, names: Sequence[str], name: str) -> str:
    """The value that most series have; of several, the one with most cells."""
    series = Counter(text_of(rows[name].iloc[0]) for rows in _keyed_parts(cells, names).values())
    number = Counter(text_of(value) for value in cells[name])
    return max(series, key=lambda value: (bool(value), series[value], number[value], value))


def _keyed_parts(cells: pd.DataFrame, names: Sequence[str]) -> dict[tuple[str, ...], pd.DataFrame]:
    """The rows of each combination of values, in the order in which text sorts them."""
    if not names:
        return {(): cells}
    grouped = cells.groupby([cells[name].map(text_of) for name in names])
    return {tuple(map(str, key)): rows for key, rows in grouped}


def _holds(column: pd.Series, wanted: object) -> bool:
    return {text_of(value) for value in column.unique()} == {text_of(wanted)}


def slug(text: str, otherwise: str) -> str:
    """A text as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-").lower() or otherwise


def distinct(names: Sequence[str]) -> list[str]:
    """Names of files, with a number behind those that have come before."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name}-{seen[name]}" if seen[name] > 1 else name)
    return found
