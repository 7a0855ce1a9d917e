"""What one figure shows: the cells measured under one condition, as labelled series with looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from reports.figures.drawing.looks import Look
from reports.figures.drawing.size_names import HEADS, OUR_SIZES, SizeName
from reports.judge.result import Fit
from reports.text.labels import conditions_in_words, text_of

# growth in the records -> the column that stays fixed, and what makes d_model larger
_GROWTHS = {
    "heads": ("head_dim", "more heads of head_dim {}"),
    "head_dim": ("num_heads", "wider heads, num_heads {}"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """The measured cells of one implementation in one view, and its fits where there are any.

    `time_s` of the cells is the time of the GPU alone where the view `is_gpu_time`; `info` is the
    `run.json` of their run.
    """

    label: str
    look: Look
    cells: pd.DataFrame = field(repr=False)
    fit: Fit | None = None
    workspace_fit: Fit | None = None
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def implementation(self) -> str:
        """The implementation that was measured."""
        return str(self.cells["implementation"].iloc[0])

    @property
    def run(self) -> str:
        """The run of its cells, of several; empty where there is one."""
        return run_of(self.cells)


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """The series of one condition: what one figure of each kind shows.

    `conditions` are the columns that its cells share, as text (where series differ, what most
    have: the others say so in their labels); `name` and `suffix` tell the view and its files from
    others, and are empty where there is only one; `info` is `run.json`; `sizes` says what the
    columns `seq_len` and `d_model` are called, which hold other sizes in a foreign table. `runs`
    has the conditions in which runs differ that share the view. `records` are the rows behind the
    cells, which `by` tells apart beside the columns of a case. Where it `is_gpu_time`, times of a
    GPU are those of calls replayed without their launch.
    """

    series: tuple[Series, ...]
    conditions: Mapping[str, str]
    suffix: str
    name: str
    info: Mapping[str, Any] = field(repr=False)
    sizes: Mapping[str, SizeName] = field(default_factory=lambda: OUR_SIZES, repr=False)
    runs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    records: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    by: tuple[str, ...] = ()
    is_gpu_time: bool = False

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The cells of all series, with a `series` column that holds the label."""
        parts = [one.cells.assign(series=one.label) for one in self.series]
        return pd.concat(parts, ignore_index=True)

    def size(self, column: str) -> SizeName:
        """What the size in a column is called."""
        return self.sizes.get(column) or {**OUR_SIZES, HEADS.column: HEADS}[column]

    def described(self) -> str:
        """The conditions in one line, for the subtitle of a figure."""
        words = [*conditions_in_words(self.conditions), self._growth()]
        if "run" in self.conditions:
            words.append(f"run {self.conditions['run']}")
        parts = [", ".join(word for word in words if word)]
        for run, conditions in self.runs.items():
            parts.append(f"run {run}: {', '.join(conditions_in_words(conditions))}")
        return "; ".join(part for part in parts if part)

    def stated(self) -> list[str]:
        """What a caption says of the time; the conditions stand below the title of a figure."""
        told = "On a GPU it is the time of the GPU alone, without the launch of the call."
        return [told] * self.is_gpu_time

    def _growth(self) -> str:
        """How d_model grows, with what stays fixed; the two ways cost differently."""
        growth = self.conditions.get("growth", "")
        if growth not in _GROWTHS:
            return ""
        if "d_model" in self.cells and self.cells["d_model"].nunique() == 1:
            return f"d_model {self.cells['d_model'].iloc[0]:g}"
        fixed, words = _GROWTHS[growth]
        rows = self.cells[self.cells["growth"] == growth]
        values = rows[fixed].dropna().unique().tolist() if fixed in rows else []
        amount = f"{values[0]:g}" if len(values) == 1 else "various"
        return f"d_model grows by {words.format(amount)}"


def run_of(cells: pd.DataFrame) -> str:
    """The run of cells that have one; empty where there is no column of runs."""
    return text_of(cells["run"].iloc[0]) if "run" in cells else ""
