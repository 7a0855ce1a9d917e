"""Each implementation's time, ratio and workspace at a few sizes: what terminal and page show.

`rankings` makes one ranking for each condition of a run (pass, dtype, device, …). A ranking has a
few sizes, the largest last, and each size has the times of all implementations, the fastest first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd

from reports.cells.case_columns import APART, CASE_COLUMNS, SIZES, SPECIAL
from reports.cells.cell_table import cell_table, measured
from reports.cells.gpu_time import time_column, with_gpu_time
from reports.cells.groups import groups
from reports.comparison.ratios import Finding, Ratio, ratios_to
from reports.ranking.few_places import MOST_PLACES, few_places
from reports.tables.columns import measured_rows, numbers_or_nan
from reports.text import wording
from reports.text.labels import conditions_in_words, text_of, unless_told, worded
from reports.verdicts.doubts import MARK

USUAL_REFERENCE = "sdpa"
COST = "time_s"
NEEDED = ("implementation", "seq_len", COST)
LETTERS: Mapping[str, str] = {column: letter for letter, column in SIZES.items()}
_LENGTHS = ("seq_len", "d_model")
_BESIDE = ("num_heads", "batch", "growth", "threads")
_NOT_OF_A_PLACE = {*APART, "implementation", "claim", "workspace_claim"}
_UNTIMED = {"measured": "no time", "out_of_memory": "out of memory"}


@dataclass(frozen=True, kw_only=True)
class RankedTime:
    """What one implementation takes at one size.

    `time_s` is None where there is none: `without` says why in a word or two, and `reason` at
    length. `ratio` is the time over that of the reference, `behind` over that of the fastest; None
    where one has no time. `low_s` and `high_s` are the interval of a time that is predicted, None
    of one that was measured.
    """

    implementation: str
    time_s: float | None
    workspace_bytes: float | None = None
    ratio: Ratio | None = None
    behind: Ratio | None = None
    low_s: float | None = None
    high_s: float | None = None
    without: str = ""
    reason: str = ""

    @property
    def is_predicted(self) -> bool:
        """Whether the time is a prediction."""
        return self.low_s is not None


@dataclass(frozen=True, kw_only=True)
class RankedSize:
    """One size, by column and in words (`n = 4096, d = 512`), and all times at it, fastest first.

    Those without a time come last.
    """

    sizes: Mapping[str, float]
    words: str
    times: tuple[RankedTime, ...]

    def of(self, implementation: str) -> RankedTime | None:
        """What an implementation takes; None where it has no record at this size."""
        return next((one for one in self.times if one.implementation == implementation), None)

    @property
    def timed(self) -> tuple[RankedTime, ...]:
        """Those that have a time."""
        return tuple(one for one in self.times if one.time_s is not None)

    @property
    def sentence(self) -> str:
        """`fastest at n = 4096, d = 512: sdpa, 12.3 ms; matmul takes 1.90 times as long`."""
        if not self.timed:
            return ""
        first, *others = self.timed
        about = "about " if first.is_predicted else ""
        time = f"{first.implementation}, {about}{wording.seconds(first.time_s)}"
        if not others:
            return f"{self.words}: {time}"
        told = f"fastest at {self.words}: {time}"
        return f"{told}; {second_in_words(others[0])}" if others[0].behind else told

    @property
    def apart(self) -> str:
        """`loop, at its own sizes: 101 ms at n = 256, d = 16`, of the first."""
        first = self.timed[0]
        name, time = first.implementation, wording.seconds(first.time_s)
        return f"{name}, at its own sizes: {time} at {self.words}"


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The ranking under one condition.

    `conditions` are the columns by which it differs from other rankings of the run, empty where
    there is only one; `described` says all conditions in words. `reference` is what times are
    divided by. `is_gpu_time`: the times are those of the GPU alone, without the launch of a call.
    `sizes` are few, the largest last. `elsewhere` has the largest size of each implementation that
    was measured at none of them.
    """

    conditions: Mapping[str, Any]
    described: str
    reference: str
    sizes: tuple[RankedSize, ...]
    elsewhere: tuple[RankedSize, ...] = ()
    is_gpu_time: bool = False

    @property
    def implementations(self) -> tuple[str, ...]:
        """All that have a time at one of the sizes, in the order of the largest that has theirs."""
        ranked = (one.implementation for size in reversed(self.sizes) for one in size.timed)
        return tuple(dict.fromkeys(ranked))

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)


def rankings(
    frame: pd.DataFrame,
    named: Sequence[str] = (),
    *,
    most: int = MOST_PLACES,
    judged: Collection[str] = (),
) -> list[Ranking]:
    """The rankings of a run, that with the most cells first; empty where there is nothing to rank.

    `frame` is that of `reports.tables.read`. The reference is the first of `named` that has a time,
    else SDPA, else the fastest at the largest size.
    On a GPU, times are those of the GPU alone: see `reports.cells.gpu_time.with_gpu_time`, also for
    `judged`.
    """
    frame, is_gpu_time = with_gpu_time(frame, judged)
    return [
        replace(
            _ranking(rows, conditions, named, most),
            is_gpu_time=time_column(rows, is_gpu_time) != COST,
        )
        for conditions, rows in parts_of_conditions(frame)
    ]


def parts_of_conditions(frame: pd.DataFrame) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each condition that has a time, with the columns by which they differ."""
    if not set(NEEDED) <= set(frame.columns):
        return []
    timed = frame[measured_rows(frame) & (numbers_or_nan(frame, COST) > 0)]
    apart = [one for one in APART if one in timed and timed[one].nunique(dropna=False) > 1]
    if timed.empty or not apart:
        return [] if timed.empty else [({}, frame)]
    parts = [
        (int(rows.index.isin(timed.index).sum()), conditions, rows)
        for conditions, rows in groups(frame, apart)
    ]
    parts.sort(key=lambda part: -part[0])
    return [(conditions, rows) for number, conditions, rows in parts if number]


def _ranking(
    rows: pd.DataFrame, conditions: Mapping[str, Any], named: Sequence[str], most: int
) -> Ranking:
    cells = numbered(rows)
    timed = measured(cells)
    shared = timed.groupby("place")["implementation"].nunique()
    where = timed.drop_duplicates("place").set_index("place").sort_index()[place_columns(timed)]
    chosen = few_places(where, shared, most)
    largest = timed[timed["place"] == chosen[-1]].sort_values(COST)
    reference = reference_among(dict.fromkeys(timed["implementation"]), named)
    reference = reference or str(largest["implementation"].iloc[0])
    ratios = Ratios(rows, cells)
    lengths = list(_present(where, _LENGTHS))
    near = where.merge(where.loc[chosen, lengths].drop_duplicates(), on=lengths)
    alike = near[near[lengths].duplicated(keep=False)]
    beside = [one for one in _BESIDE if one in alike and alike[one].nunique() > 1]
    there = set(timed.loc[timed["place"].isin(chosen), "implementation"])
    own = timed[~timed["implementation"].isin(there)]
    last = own.sort_values(place_columns(own), kind="stable").drop_duplicates(
        "implementation", keep="last"
    )
    return Ranking(
        conditions=conditions,
        described=described(timed, conditions),
        reference=reference,
        sizes=tuple(ranked_size(cells, place, reference, ratios, beside) for place in chosen),
        elsewhere=tuple(
            ranked_size(own[own["implementation"] == name], place, reference, ratios)
            for name, place in zip(last["implementation"], last["place"], strict=True)
        ),
    )


def described(cells: pd.DataFrame, differing: Collection[str] = ()) -> str:
    """The conditions that all cells share, in words: `cpu, float32, forward, 1 thread`.

    Those that differ elsewhere are told where they are the usual ones, too.
    """
    columns = [one for one in (*APART, "threads", "batch") if one in cells]
    alike = [one for one in columns if cells[one].nunique(dropna=False) == 1]
    shown = {one: text_of(cells[one].iloc[0]) for one in alike}
    shown |= {one: unless_told(one) for one in SPECIAL if one in differing and not shown.get(one)}
    usual = shown.get("batch") == "1"
    return ", ".join(conditions_in_words({**shown, "batch": ""} if usual else shown))


def reference_among(names: Iterable[str], named: Sequence[str]) -> str | None:
    """What times are divided by: the first of `named`, else SDPA, marked or not; else None."""
    by_name = {name.removesuffix(MARK): name for name in names}
    return next((by_name[one] for one in (*named, USUAL_REFERENCE) if one in by_name), None)


def numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """The cell table with a column `place`: cells of equal number are the same problem."""
    cells = cell_table(rows)
    return cells.assign(place=cells.groupby(place_columns(cells), dropna=False).ngroup())


def place_columns(cells: pd.DataFrame) -> list[str]:
    """The columns that make a place, sequence length and width first."""
    present = _present(cells, (*_LENGTHS, *CASE_COLUMNS))
    return [one for one in dict.fromkeys(present) if one not in _NOT_OF_A_PLACE]


def _present(cells: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    return [one for one in columns if one in cells]


@dataclass
class Ratios:
    """Ratios of the cells of one condition, looked up by whom they are divided by."""

    rows: pd.DataFrame
    cells: pd.DataFrame
    _known: dict[str, dict[tuple[str, ...], Ratio]] = field(default_factory=dict)

    def of(self, cell: Mapping[Any, Any], reference: str) -> Ratio | None:
        """The ratio of a cell to the same cell of the reference; None where it has no time."""
        if cell["implementation"] == reference:
            return Ratio(estimate=1.0, low=1.0, high=1.0, finding=Finding.SAME)
        if reference not in self._known:
            found = ratios_to(self.rows, reference, cells=self.cells)
            columns = place_columns(found)
            self._known[reference] = {
                _key(row, columns): row["as_ratio"] for row in found.to_dict("records")
            }
        return self._known[reference].get(_key(cell, [one for one in cell if one in _CASE]))


_CASE = frozenset(CASE_COLUMNS) - _NOT_OF_A_PLACE


def _key(row: Mapping[Any, Any], columns: Iterable[str]) -> tuple[str, ...]:
    return (str(row["implementation"]), *(f"{one}={text_of(row[one])}" for one in sorted(columns)))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def ranked_size(
    cells: pd.DataFrame, place: int, reference: str, ratios: Ratios, beside: Sequence[str] = ()
) -> RankedSize:
    """The times of all cells at a place; `beside` are columns that tell it beside its lengths."""
    rows = cells[cells["place"] == place].sort_values([COST, "implementation"]).to_dict("records")
    fastest = str(rows[0]["implementation"])
    told = [one for one in (*_LENGTHS, *beside) if one in rows[0] and not pd.isna(rows[0][one])]
    sizes = {one: rows[0][one] for one in told}
    return RankedSize(
        sizes={one: of for one, of in sizes.items() if one != "growth"},
        words=", ".join(size_in_words(one, value) for one, value in sizes.items()),
        times=tuple(_ranked_time(row, reference, fastest, ratios) for row in rows),
    )


def _ranked_time(
    row: Mapping[Any, Any], reference: str, fastest: str, ratios: Ratios
) -> RankedTime:
    name, time_s = str(row["implementation"]), _known(row[COST])
    if time_s is None:
        status = str(row["status"])
        without = _UNTIMED.get(status, status)
        reason = "" if pd.isna(row["reason"]) else wording.one_line(row["reason"])
        return RankedTime(implementation=name, time_s=None, without=without, reason=reason)
    return RankedTime(
        implementation=name,
        time_s=time_s,
        workspace_bytes=_known(row["workspace_bytes"]),
        ratio=ratios.of(row, reference),
        behind=ratios.of(row, fastest),
    )


def size_in_words(column: str, value: Any) -> str:
    """`n = 4096`, or `8 heads`."""
    if column == "num_heads":
        return wording.count(int(value), "head")
    if column not in _BESIDE:
        return f"{LETTERS.get(column, column)} = {value:g}"
    return worded(column, value)


def second_in_words(second: RankedTime) -> str:
    """How far the second is behind the fastest: `matmul takes 1.90 times as long`."""
    name, behind = wording.shortened(second.implementation), second.behind
    if behind is None:
        return ""
    about = "about " if second.is_predicted else ""
    times = f"{about}{wording.times(behind.estimate)} times"
    if behind.finding is Finding.SAME:
        return f"{name} is as fast ({times} the time)"
    if behind.finding is Finding.UNTOLD and (interval := interval_of(behind)):
        return f"{name} may be as fast ({times} the time, {interval})"
    return f"{name} takes {times} as long"


def is_to_itself(ratio: Ratio) -> bool:
    """Whether it is the ratio of the reference to itself, which is exactly 1."""
    return ratio.low == ratio.high == 1


def interval_of(ratio: Ratio) -> str:
    """`[0.93, 1.12]`; nothing where it is unknown."""
    if ratio.low is None or ratio.high is None:
        return ""
    return f"[{wording.times(ratio.low)}, {wording.times(ratio.high)}]"
