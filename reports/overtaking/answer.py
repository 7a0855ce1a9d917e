"""What a run says of who overtakes whom: terms of one law, and implementations among each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from reports.cells.cell_table import cell_table, measured
from reports.judge.fit_groups import fit_groups
from reports.laws.grammar import parse
from reports.overtaking.crossings import Crossing, every_crossing, in_words
from reports.tables.columns import TableError
from reports.tables.units import NO_UNIT, show
from reports.text.interval import Interval
from reports.text.telling import Tell, tell_nobody
from reports.text.wording import NOTHING

COUNTED = "flops_executed"


@dataclass(frozen=True, kw_only=True)
class TermCrossing:
    """From where on one claimed term of an implementation costs more than another.

    `measured` is the factor of `size` = factor · `of`, and its interval; `counted` the same factor
    for the operations, None where they were not counted. `conditions` says for which cells it
    holds, where the implementation has several sorts: `batch 32`.
    """

    implementation: str
    conditions: str
    faster: str
    slower: str
    size: str
    of: str
    measured: Interval
    counted: float | None


@dataclass(frozen=True, kw_only=True)
class Overtaking:
    """The answer of a run, and the cells that it is read off."""

    terms: tuple[TermCrossing, ...]
    implementations: tuple[Crossing, ...]
    cells: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """JSON data: `terms` and `implementations`."""
        return {
            "terms": [asdict(one) for one in self.terms],
            "implementations": [asdict(one) for one in self.implementations],
        }


def overtaking_in(
    frame: pd.DataFrame, info: Mapping[str, Any], tell: Tell = tell_nobody
) -> Overtaking:
    """The answer, from the records of a run and its description.

    Raises:
        TableError: no cell has a time, or there are no lengths and widths to compare.

    """
    missing = [name for name in ("implementation", "seq_len", "d_model") if name not in frame]
    if missing:
        raise TableError(f"crossovers are read off runs of ours; the table has no {missing[0]}")
    cells = measured(cell_table(frame))
    if cells.empty:
        raise TableError("no cell has a time; see the reasons of the records, then measure again")
    return Overtaking(
        terms=tuple(_of_terms(frame, info, tell)),
        implementations=tuple(every_crossing(cells)),
        cells=cells,
    )


def _of_terms(frame: pd.DataFrame, info: Mapping[str, Any], tell: Tell) -> list[TermCrossing]:
    found = []
    counts = frame[frame[COUNTED].notna()] if COUNTED in frame else frame.iloc[:0]
    for fit in fit_groups(frame, info=info, compare=False, tell=tell):
        claimed = set(map(str, parse(fit.claim)))
        own = counts
        for column, value in fit.group.items():
            own = own[own[column].isna() if value is None else own[column] == value]
        exact = {} if own.empty or len(claimed) < 2 else _coefficients(own, fit.claim)
        conditions = {k: value for k, value in fit.group.items() if k != "implementation"}
        for one in fit.crossovers:
            if not {one.faster, one.slower} <= claimed:
                continue
            fast, slow = exact.get(one.faster, 0.0), exact.get(one.slower, 0.0)
            found.append(
                TermCrossing(
                    implementation=str(fit.group["implementation"]),
                    conditions=in_words(conditions),
                    faster=one.faster,
                    slower=one.slower,
                    size=one.size,
                    of="·".join(one.powers),
                    measured=Interval(estimate=one.factor, low=one.low, high=one.high),
                    counted=slow / fast if fast and slow else None,
                )
            )
    return found


def _coefficients(own: pd.DataFrame, claim: str) -> dict[str, float]:
    """Those of the counted operations, by term."""
    (fit,) = fit_groups(own, value=COUNTED, by=["implementation"], claim=claim)
    return {str(term.term): term.coefficient for term in fit.terms}


def print_overtaking(found: Overtaking, console: Console) -> None:
    """Two tables for people."""
    if found.terms:
        console.print(_terms_table(found.terms))
    if found.implementations:
        console.print(_implementations_table(found.implementations))
    if not found.terms and not found.implementations:
        console.print("Nothing overtakes anything among the measured cells.")


def _terms_table(terms: Sequence[TermCrossing]) -> Table:
    headings = ("implementation", "term", "overtakes", "measured", "by operations")
    rows = [
        (
            one.implementation,
            one.faster,
            one.slower,
            f"{one.size} = {_interval(one.measured, one.of)}",
            NOTHING if one.counted is None else f"{_number(one.counted)}·{one.of}",
        )
        for one in terms
    ]
    return _table("Within a law", headings, rows, [one.conditions for one in terms])


def _implementations_table(crossings: Sequence[Crossing]) -> Table:
    headings = ("from this n on", "is slower than", "d", "measured", "by operations", "at n")
    rows = []
    for one in crossings:
        low = "below" if one.low is None else _number(one.low)
        high = "beyond" if one.high is None else _number(one.high)
        estimate = NOTHING if one.estimate is None else _number(one.estimate)
        row = (
            one.slower,
            one.quicker,
            _number(one.d_model),
            f"{estimate} [{low}, {high}]",
            NOTHING if one.predicted is None else _number(one.predicted),
            f"{_number(one.ratio)} times as long at {_number(one.last)}",
        )
        rows.append(row)
    return _table("Between implementations", headings, rows, [one.conditions for one in crossings])


def _table(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    conditions: Sequence[str],
) -> Table:
    """The rows, each with its conditions behind it where there are any."""
    table = Table(*headings, title=title, title_justify="left", box=None)
    if any(conditions):
        table.add_column("where")
    for row, where in zip(rows, conditions, strict=True):
        table.add_row(*row, *((where,) if any(conditions) else ()))
    return table


def _interval(value: Interval, of: str) -> str:
    return f"{_number(value.estimate)}·{of} [{_number(value.low)}, {_number(value.high)}]"


def _number(value: float | None) -> str:
    return "?" if value is None else show(value, NO_UNIT)
