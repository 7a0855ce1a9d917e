"""What one figure shows: the cells measured under one condition, as labelled series with looks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from reports.cells.case_columns import APART
from reports.cells.cell_table import UNNAMED, cell_table, measured
from reports.figures.drawing.size_names import HEADS, OUR_SIZES, SizeName
from reports.judge.result import Fit
from reports.text.labels import conditions_in_words, label_of, text_of, unless_told, worded

Line = Literal["-", "--", "-.", ":"]

# These make figures apart only where one implementation has several; else they go in the label.
_APART_WITHIN = ("growth", "batch", "threads", "kind", "kv_heads")
_CONDITIONS = (*APART, *_APART_WITHIN)

# Okabe & Ito (2008), without the yellow that vanishes on white; ordered so that neighbours also
# differ in lightness, since a printed page is grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
# growth in the records -> the column that stays fixed, and what makes d_model larger
_GROWTHS = {
    "heads": ("head_dim", "more heads of head_dim {}"),
    "head_dim": ("num_heads", "wider heads, num_heads {}"),
}
_LINES: tuple[Line, ...] = ("-", "--", "-.", ":")


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a series is drawn; the same in every figure of a report."""

    colour: str
    marker: str
    line: Line

    @property
    def style(self) -> dict[str, Any]:
        """What matplotlib is told of it."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line}


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """The measured cells of one implementation in one view, and its fits where there are any."""

    label: str
    look: Look
    cells: pd.DataFrame = field(repr=False)
    fit: Fit | None = None
    workspace_fit: Fit | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """The series of one condition: what one figure of each kind shows.

    `conditions` are the columns that its cells share, as text (where series differ, what most
    have: the others say so in their labels); `name` and `suffix` tell the view and its files from
    others, and are empty where there is only one; `info` is `run.json`; `sizes` says what the
    columns `seq_len` and `d_model` are called, which hold other sizes in a foreign table.
    """

    series: tuple[Series, ...]
    conditions: Mapping[str, str]
    suffix: str
    name: str
    info: Mapping[str, Any] = field(repr=False)
    sizes: Mapping[str, SizeName] = field(default_factory=lambda: OUR_SIZES, repr=False)

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
        shown = self.conditions
        words = conditions_in_words(shown)
        words.append(self._growth())
        if "run" in shown:
            words.append(f"run {shown['run']}")
        return ", ".join(word for word in words if word)

    def stated(self) -> list[str]:
        """The sentence on the conditions for a caption; none where none is known."""
        described = self.described()
        return [f"Conditions: {described}."] if described else []

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


def views(
    records: pd.DataFrame,
    fits: Sequence[Fit] = (),
    info: Mapping[str, Any] | None = None,
    runs: Mapping[str, Mapping[str, Any]] | None = None,
    sizes: Mapping[str, SizeName] = OUR_SIZES,
) -> tuple[View, ...]:
    """Split records into what can honestly share a figure.

    Device, dtype, pass, mask and run always make figures apart; growth, batch, threads and kind
    do where one implementation has several of them, and are told in the labels otherwise. `info`
    is `run.json`; where `runs` has one for the view's own run, that one is used. Sizes of the fits
    that are no axis of a figure tell series apart.
    """
    grouping = [name for fit in fits for name in (*fit.group, *fit.sizes.values())]
    by = [name for name in grouping if name in records.columns and name not in OUR_SIZES]
    timed = measured(cell_table(records, by=by))
    if timed.empty:
        return ()
    extra = (name for name in by if name in timed.columns and name not in _CONDITIONS)
    names = list(dict.fromkeys(("implementation", *extra)))
    known = [name for name in _CONDITIONS if name in timed.columns]
    varying = [name for name in known if timed[name].nunique(dropna=False) > 1]
    apart = [
        name
        for name in varying
        if name in APART
        or any(rows[name].nunique(dropna=False) > 1 for rows in _keyed_parts(timed, names).values())
    ]
    told = [name for name in varying if name not in apart]
    usual = {name: _usual(timed, names, name) for name in told}
    labels = {key: _label(rows, names, usual) for key, rows in _keyed_parts(timed, names).items()}
    chosen = looks_for(labels.values())
    found = []
    for part in _keyed_parts(timed, apart).values():
        series = tuple(
            Series(
                label=labels[key],
                look=chosen[labels[key]],
                cells=rows.reset_index(drop=True),
                fit=fit_of(rows, fits),
                workspace_fit=fit_of(rows, fits, "workspace_bytes"),
            )
            for key, rows in _keyed_parts(part, names).items()
        )
        conditions = {
            name: text_of(part[name].iloc[0])
            for name in known
            if name not in told and part[name].notna().all()
        }
        conditions |= {name: value for name, value in usual.items() if value}
        told_apart = {one: conditions.get(one) or unless_told(one) for one in apart}
        suffix = "-".join(slug(value, "none") for value in told_apart.values())
        name = ", ".join(worded(one, value) for one, value in told_apart.items())
        found.append(
            View(
                series=series,
                conditions=conditions,
                suffix=suffix,
                name=name,
                info=(runs or {}).get(conditions.get("run", ""), info or {}),
                sizes=sizes,
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
    if values.get("implementation") == UNNAMED and len(values) > 1:
        del values["implementation"]
    odd = {name: first[name] for name, value in usual.items() if text_of(first[name]) != value}
    return label_of(values | {name: value for name, value in odd.items() if not pd.isna(value)})


def looks_for(labels: Iterable[str]) -> dict[str, Look]:
    """A colour and a marker for every label, the same ones for the same labels in this order."""
    return {
        label: Look(
            colour=_COLOURS[index % len(_COLOURS)],
            marker=_MARKERS[index % len(_MARKERS)],
            line=_LINES[index // len(_COLOURS) % len(_LINES)],
        )
        for index, label in enumerate(sorted(set(labels)))
    }


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
