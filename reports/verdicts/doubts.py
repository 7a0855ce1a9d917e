"""Who failed somewhere: in a check, or in a timed call. The name has a mark wherever it is shown.

Of such an implementation some cells may be timed all the same, those of conditions that its
failures do not touch: a reader of their times must not miss what else is known of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.records import CELL, WRONG
from reports.conditions.checks import check_table, failed
from reports.judge.result import Fit
from reports.tables.read import Table
from reports.text import wording

MARK = " †"
_MOST_AREAS = 4
_CASE = tuple(name for name in CELL if name not in ("implementation", "kind"))
T = TypeVar("T")


def doubts(frame: pd.DataFrame, info: Mapping[str, Any]) -> dict[str, str]:
    """By implementation, a sentence on what failed, what has no time for it, and what has one.

    `frame` are the records of one run, `info` is its `run.json`. Who failed nowhere is left out.
    """
    if not {"implementation", "status"} <= set(frame.columns):
        return {}
    checks = check_table({"": info})
    bad = dict(iter(checks[failed(checks) > 0].groupby("implementation")))
    found = {}
    for called, own in frame.groupby("implementation", sort=False):
        name = str(called)
        wrong = own[own["status"].isin(WRONG)]
        if name in bad or len(wrong):
            marked = name if is_marked(name) else name + MARK
            found[name] = f"{marked} {_checks(bad.get(name))}{_cells(own)}"
    return found


def is_marked(name: str) -> bool:
    """Whether the name has its mark."""
    return name.endswith(MARK)


def marked_table(table: Table) -> Table:
    """The table with a mark behind the names of those that failed somewhere in the same run."""
    frame, runs = table.frame, {}
    if "implementation" not in frame:
        return table
    names = frame["implementation"].astype(object)
    for run, info in table.runs.items():
        own = _rows_of(table, run)
        marks = {name: name + MARK for name in doubts(frame[own], info) if not is_marked(name)}
        names = names.where(~own, names.replace(marks))
        runs[run] = _renamed(info, marks)
    first = next(iter(runs.values())) if table.info else table.info
    return replace(table, frame=frame.assign(implementation=names), runs=runs, info=first)


def marked_fits(fits: Sequence[Fit], table: Table) -> list[Fit]:
    """The fits with the marks in the names of their groups."""
    names = {
        name
        for run, info in table.runs.items()
        for name in doubts(table.frame[_rows_of(table, run)], info)
    }
    return [
        replace(fit, group={**fit.group, "implementation": f"{fit.group['implementation']}{MARK}"})
        if fit.group.get("implementation") in names
        else fit
        for fit in fits
    ]


def _rows_of(table: Table, run: str) -> npt.NDArray[np.bool_]:
    """Which rows are of one run of the table."""
    if "run" in table.frame and len(table.runs) > 1:
        return (table.frame["run"] == run).to_numpy(dtype=np.bool_)
    return np.ones(len(table.frame), dtype=np.bool_)


def _checks(bad: pd.DataFrame | None) -> str:
    if bad is None:
        return "passed the checks before timing, but "
    areas = wording.listed(list(dict.fromkeys(bad["area"])), most=_MOST_AREAS)
    return f"failed {wording.count(int(failed(bad).sum()), 'check')} ({areas}): "


def _cells(records: pd.DataFrame) -> str:
    """`3 of its 12 cells have no time (incorrect: …); the others are timed`."""
    case = [name for name in _CASE if name in records]
    # Whatever else a cell's rounds say, one that is wrong withdraws its times.
    order = records["status"].map({status: place for place, status in enumerate(WRONG)})
    cells = records.assign(_order=order).sort_values("_order", kind="stable")
    cells = cells.drop_duplicates(subset=case) if case else cells
    without = cells[cells["status"] != "measured"]
    if without.empty:
        return f"all {wording.count(len(cells), 'cell')} of other conditions are timed."
    statuses = Counter(str(status) for status in without["status"])
    words = wording.listed([f"{number} {status}" for status, number in statuses.most_common()])
    first = next((str(one) for one in without["reason"].dropna()), "")
    why = f", such as: {wording.one_line(first)}" if first else ""
    if len(without) == len(cells):
        return f"none of its {wording.count(len(cells), 'cell')} is timed ({words}{why})."
    have = "has" if len(without) == 1 else "have"
    return (
        f"{len(without)} of its {wording.count(len(cells), 'cell')} {have} no time ({words}{why}); "
        "the others are timed."
    )


def _renamed(info: Mapping[str, Any], marks: Mapping[str, str]) -> dict[str, Any]:
    """`run.json` with the marked names wherever it names an implementation in a row."""
    found = dict(info)
    checks = info.get("verification")
    if isinstance(checks, Mapping):
        found["verification"] = {**checks, "matrix": _rows(checks.get("matrix"), marks)}
    told = info.get("implementations")
    if isinstance(told, Mapping):
        found["implementations"] = {marks.get(name, name): of for name, of in told.items()}
    if "workspace_laws" in info:
        found["workspace_laws"] = _rows(info["workspace_laws"], marks)
    return found


def _rows(rows: T, marks: Mapping[str, str]) -> T | list[Any]:
    if not isinstance(rows, list):
        return rows
    return [
        {**row, "implementation": marks.get(str(row.get("implementation")), row["implementation"])}
        if isinstance(row, Mapping) and "implementation" in row
        else row
        for row in rows
    ]
