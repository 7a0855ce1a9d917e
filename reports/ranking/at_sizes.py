"""A ranking at sizes that somebody names: measured where they were, else predicted by the laws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from reports.cells.case_columns import CONDITIONS, KNOWN_SIZES, SIZE_COLUMNS, SIZE_NAMES
from reports.cells.cell_table import measured
from reports.cells.gpu_time import time_column, with_gpu_time
from reports.cells.readings import REPLAYED
from reports.comparison.ratios import Finding, Ratio, finding_of
from reports.judge.every_cost import fit_beside
from reports.judge.result import Fit
from reports.predict.memory import counted_law
from reports.predict.prediction import Prediction, predict
from reports.predict.questions import MEMORY, PredictionError, of_option, parse_sizes
from reports.ranking.ranking import (
    COST,
    NEEDED,
    RankedSize,
    RankedTime,
    Ranking,
    Ratios,
    described,
    numbered,
    parts_of_conditions,
    ranked_size,
    reference_among,
    size_in_words,
)
from reports.tables.read import Table
from reports.text import wording
from reports.text.labels import label_of, text_of

_NOTHING = "nothing was measured there, and no implementation has a fit that predicts it"
_TOLD = (*KNOWN_SIZES.values(), *SIZE_COLUMNS, *CONDITIONS)


def time_to_judge(frame: pd.DataFrame) -> str:
    """The time that is ranked: that of the GPU alone where all rows are of a GPU and have it."""
    frame, is_gpu_time = with_gpu_time(frame)
    on_gpu = is_gpu_time and frame["device"].astype(str).str.startswith("cuda").all()
    return REPLAYED if on_gpu else COST


def rankings_at(
    table: Table, fits: Sequence[Fit], text: str, named: Sequence[str] = ()
) -> list[Ranking]:
    """The ranking at sizes such as `n=4096,d=512`, for each condition of a run.

    d is d_model, and `head_dim` goes by its name. `fits` are those of the time, which predict what
    was not measured. See `reports.ranking.ranking.rankings` for `named`.

    Raises:
        PredictionError: the sizes cannot be read, do not name one cell, or nothing is known there.

    """
    frame = table.frame
    judged = {fit.value for fit in fits}
    if others := judged - {COST, REPLAYED}:
        raise PredictionError(f"--at ranks by {COST}, got --value {min(others)}; leave it out")
    missing = [column for column in NEEDED if column not in frame]
    if missing:
        raise PredictionError(f"--at ranks the implementations of a run; there is no {missing[0]}")
    sizes = _sizes(text, frame)
    frame, is_gpu_time = with_gpu_time(frame)
    beside = [MEMORY, REPLAYED] if is_gpu_time and REPLAYED not in judged else [MEMORY]
    fits = [*fits, *(fit for value in beside for fit in fit_beside(table, value))]
    found = [
        _ranking(rows, conditions, fits, sizes, named, time_column(rows, is_gpu_time))
        for conditions, rows in parts_of_conditions(frame)
    ]
    if not any(size.timed for ranking in found for size in ranking.sizes):
        reasons = (one.reason for ranking in found for size in ranking.sizes for one in size.times)
        raise PredictionError(f"--at {text}: {next(reasons, _NOTHING)}")
    return found


def _sizes(text: str, frame: pd.DataFrame) -> dict[str, float]:
    """The sizes by column.

    Raises:
        PredictionError: they cannot be read, two are the same, or the records lack one.

    """
    sizes: dict[str, float] = {}
    for name, value in of_option("--at", parse_sizes, text, SIZE_NAMES).items():
        column = KNOWN_SIZES.get(name, name)
        if column in sizes:
            raise PredictionError(f"--at {text}: {column} is given by two names; leave {name} out")
        if column not in frame:
            raise PredictionError(f"--at {text}: the records have no {column}; leave {name} out")
        sizes[column] = value
    return sizes


def _ranking(
    rows: pd.DataFrame,
    conditions: Mapping[str, Any],
    fits: Sequence[Fit],
    sizes: Mapping[str, float],
    named: Sequence[str],
    cost: str,
) -> Ranking:
    cells = measured(numbered(rows))
    times = {_name(fit, conditions): fit for fit in fits if _is_of(fit, cost, conditions, cells)}
    reference = reference_among(dict.fromkeys(cells["implementation"]), named)
    there = _cells_at(cells, sizes)
    ratios = Ratios(rows, cells)
    ranked = _measured(there, ratios)
    predicted = [
        _predicted(name, fit, _of_memory(fit, fits), cells, sizes)
        for name, fit in times.items()
        if fit.group.get("implementation") not in {one.implementation for one in ranked}
    ]
    every = sorted((*ranked, *predicted), key=lambda one: (one.time_s is None, one.time_s or 0.0))
    fastest = every[0] if every else None
    reference = reference or (fastest.implementation if fastest else "")
    base = next((one for one in every if one.implementation == reference), None)
    row_of = {row["implementation"]: row for row in there.to_dict("records")}

    def over(one: RankedTime, other: RankedTime | None) -> Ratio | None:
        row = row_of.get(one.implementation)
        paired = ratios.of(row, other.implementation) if row and other else None
        return paired or _between(one, other)

    return Ranking(
        conditions=conditions,
        described=described(cells, conditions),
        reference=reference,
        sizes=(
            RankedSize(
                sizes=sizes,
                words=", ".join(size_in_words(name, of) for name, of in sizes.items()),
                times=tuple(
                    replace(
                        one,
                        ratio=over(one, base),
                        behind=over(one, fastest),
                    )
                    for one in every
                ),
            ),
        ),
        is_gpu_time=cost != COST,
    )


def _is_of(fit: Fit, value: str, conditions: Mapping[str, Any], cells: pd.DataFrame) -> bool:
    """Whether a fit judges the cost under these conditions."""
    alike = all(
        text_of(fit.group[name]) == text_of(of)
        for name, of in conditions.items()
        if name in fit.group
    )
    names = set(cells["implementation"])
    return fit.value == value and alike and fit.group.get("implementation") in names


def _name(fit: Fit, conditions: Mapping[str, Any]) -> str:
    return label_of({name: of for name, of in fit.group.items() if name not in conditions})


def _of_memory(fit: Fit, fits: Sequence[Fit]) -> Fit | None:
    return next((one for one in fits if one.value == MEMORY and one.group == fit.group), None)


def _cells_at(cells: pd.DataFrame, sizes: Mapping[str, float]) -> pd.DataFrame:
    """The measured cells of these sizes, one an implementation.

    Raises:
        PredictionError: an implementation has several, which other sizes tell apart.

    """
    there = cells
    for column, value in sizes.items():
        there = there[there[column] == value]
    several = there[there.duplicated("implementation", keep=False)]
    if len(several):
        name = several["implementation"].iloc[0]
        own = several[several["implementation"] == name]
        column = next(one for one in _TOLD if one in own and own[one].nunique(dropna=False) > 1)
        values = wording.listed([text_of(one) for one in own[column].unique()], most=4)
        letter = next((a for a, b in KNOWN_SIZES.items() if b == column), column)
        how = f"add {letter}=…" if letter in SIZE_NAMES else f"add --where {column}=…"
        raise PredictionError(f"--at leaves open the {column} of {name} ({values}); {how}")
    return there


def _measured(there: pd.DataFrame, ratios: Ratios) -> list[RankedTime]:
    places = there["place"].unique()
    return [one for place in places for one in ranked_size(there, int(place), "", ratios).times]


def _predicted(
    name: str, fit: Fit, memory: Fit | None, cells: pd.DataFrame, sizes: Mapping[str, float]
) -> RankedTime:
    own = cells[cells["implementation"] == fit.group["implementation"]]
    try:
        time = _prediction(fit, own, sizes)
    except PredictionError as problem:
        return RankedTime(implementation=name, time_s=None, without="unknown", reason=str(problem))
    workspace = None
    if memory is not None and memory.ensemble is not None:
        try:
            workspace = _prediction(memory, own, sizes).estimate
        except PredictionError:
            workspace = None
    return RankedTime(
        implementation=name,
        time_s=time.estimate,
        low_s=time.low,
        high_s=time.high,
        workspace_bytes=workspace,
    )


def _prediction(fit: Fit, own: pd.DataFrame, sizes: Mapping[str, float]) -> Prediction:
    """What a new cell would cost; sizes that the law does not name must be those of all cells.

    Raises:
        PredictionError: nothing was fitted, or nothing is known of such sizes.

    """
    if fit.ensemble is None:
        raise PredictionError("nothing was fitted, so nothing can be predicted")
    letters = {column: letter for letter, column in fit.sizes.items()}
    for column in sizes.keys() - letters.keys():
        values = set(own[column].dropna()) if column in own else set()
        if len(values) != 1 or not math.isclose(values.pop(), sizes[column]):
            raise PredictionError(f"nothing is known of {column} = {sizes[column]:g} by itself")
    asked = {letters[column]: of for column, of in sizes.items() if column in letters}
    return predict(counted_law(fit, asked) or fit.ensemble, asked, confidence=fit.confidence)


def _between(one: RankedTime, other: RankedTime | None) -> Ratio | None:
    """The ratio of two times that were not measured as a pair, their errors being independent.

    Of two measured ones nobody knows the interval. Beside the error of a prediction that of a
    measured time does not count.
    """
    if other is None or not one.time_s or not other.time_s:
        return None
    ratio = one.time_s / other.time_s
    if one is other:
        return Ratio(estimate=1.0, low=1.0, high=1.0, finding=Finding.SAME)
    if not (one.is_predicted or other.is_predicted):
        return Ratio(estimate=ratio, low=None, high=None, finding=Finding.UNTOLD)
    away = math.hypot(_half_width(one), _half_width(other))
    low, high = ratio * math.exp(-away), ratio * math.exp(away)
    return Ratio(estimate=ratio, low=low, high=high, finding=finding_of(low, high))


def _half_width(time: RankedTime) -> float:
    """Half the width of the interval of the logarithm; 0 of a time that was measured."""
    return math.log(time.high_s / time.low_s) / 2 if time.low_s and time.high_s else 0.0
