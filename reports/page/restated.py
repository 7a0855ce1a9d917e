"""A foreign table in the columns that the figures know: its sizes, and its time in seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from reports.cells.asked import COST, asked
from reports.cells.case_columns import KNOWN_SIZES, SIZE_NAMES, SIZES
from reports.figures.drawing.size_names import OUR_SIZES, SizeName
from reports.judge.fit import columns_of
from reports.judge.fit_groups import present_sizes
from reports.laws.grammar import LawError, parse, parse_declared
from reports.tables.columns import numbers
from reports.tables.read import Table
from reports.tables.rounds import TURNS
from reports.tables.units import unit_of


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a report is asked to judge; what is None is as in `fit_groups`."""

    sizes: Mapping[str, str] | None = None
    values: Sequence[str] | None = None
    by: Sequence[str] | None = None
    where: Sequence[str] = ()
    claim: str | None = None


EVERYTHING = Question()
"""All that a table declares itself, as runs of ours do."""


@dataclass(frozen=True, kw_only=True)
class Restated:
    """A table as a report shows it, the question in its columns, and what its sizes are called.

    `without_figures` says why no figure shows the cost, where its column states no unit of time.
    """

    table: Table
    question: Question = EVERYTHING
    names: Mapping[str, SizeName] = field(default_factory=lambda: OUR_SIZES)
    without_figures: str = ""


def restated(table: Table, question: Question) -> Restated:
    """The rows in question, with the first two sizes as `seq_len` and `d_model`, time as `time_s`.

    A table that has these columns, and is asked about them, keeps them.

    Raises:
        TableError: what is asked does not fit the table (see `reports.cells.asked`).

    """
    request = asked(
        table.frame,
        sizes=question.sizes,
        values=question.values or (COST,),
        by=table.groups_by(question.by),
        where=question.where,
        claim=question.claim,
    )
    frame, cost = request.frame, request.value
    table = replace(table, frame=frame)
    if request.sizes is None:
        by = request.by or ()
        sizes = {name: column for name, column in present_sizes(frame).items() if column not in by}
    else:
        sizes = {**_declared_sizes(frame, question), **request.sizes}
    if question.claim is not None and sizes:
        law = parse(question.claim, names={*sizes, *SIZE_NAMES})
        sizes = columns_of(frame, law, sizes)
    shown = _shown(sizes)
    changed = {column: frame[sizes[letter]] for letter, column in shown.items()}
    without = ""
    if unit_of(cost).kind == "time":
        if cost != COST:  # it would be a setting beside, and the turns are of another time
            frame = frame.drop(columns=[cost, TURNS], errors="ignore")
        changed[COST] = pd.Series(
            numbers(request.frame, cost) * unit_of(cost).factor, index=frame.index
        )
        values = [COST]
    else:
        values = [cost]
        without = (
            f"Time: the cost in question, {cost}, is no time, and figures show times."
            if unit_of(cost).kind is not None
            else f"Time: the column {cost} states no unit; if it is a time, call it {cost}_s, "
            f"{cost}_ms or the like."
        )
    if question == EVERYTHING and all(sizes[letter] == one for letter, one in shown.items()):
        return Restated(table=table)
    # As columns of their own they would make groups.
    twice = {sizes[letter] for letter, column in shown.items() if sizes[letter] != column}
    twice -= {*(request.by or ()), *changed}
    frame = frame.drop(columns=[column for column in twice if column in frame])
    return Restated(
        table=replace(table, frame=frame.assign(**changed)),
        question=replace(question, sizes=sizes | shown, values=values, by=request.by),
        names={
            column: OUR_SIZES[column]
            if sizes[letter] == column
            else SizeName(letter=letter, name=sizes[letter], column=sizes[letter])
            for letter, column in shown.items()
        },
        without_figures=without,
    )


def _declared_sizes(frame: pd.DataFrame, question: Question) -> dict[str, str]:
    """The usual sizes of the laws that records declare, which are judged where none is claimed."""
    if question.claim is not None or "claim" not in frame or "schema" not in frame:
        return {}
    names: set[str] = set()
    for claim in frame["claim"].dropna().unique():
        with contextlib.suppress(LawError):  # its own group is told of it
            names |= set(parse_declared(str(claim), set(KNOWN_SIZES)).names)
    return {name: column for name, column in SIZES.items() if name in names}


def _shown(sizes: Mapping[str, str]) -> dict[str, str]:
    """Which letters are the axes of figures; n and d keep theirs, whatever else there is."""
    usual = {name.letter: column for column, name in OUR_SIZES.items()}
    found = {letter: usual[letter] for letter in sizes if letter in usual}
    free = [column for column in OUR_SIZES if column not in found.values()]
    others = [letter for letter in sizes if letter not in found]
    return found | dict(zip(others, free, strict=False))
