"""Rows that carry no measurement: without a size, without a cost, or with a status that says so.

Such rows get one of the words of `bench.records` as their status, so that they are counted as
cells that were wanted and have no value, and the verdict says so (`censored_cells`).
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from bench.records import STATUSES
from reports.tables.columns import FARTHEST, TableWarning, no_number, row_of, shown
from reports.text.wording import count

Statuses = npt.NDArray[np.object_]

_TRUTH_COLUMNS = frozenset({"success", "successful", "succeeded", "ok", "passed"})
_TRUTH_COLUMNS |= {"finite", "finite_output", "correct", "valid"}
_WORD_COLUMNS = frozenset({"status", "state", "outcome", "result"}) | _TRUTH_COLUMNS
_MEMORY = re.compile(r"\boom\b|out.of.memory", re.IGNORECASE)
_LATE = re.compile(r"\btime[d-]?[ _-]?out\b", re.IGNORECASE)
_SKIPPED = re.compile(r"skip(?:ped)?", re.IGNORECASE)
_NOTHING = re.compile(r"n/?a|na|none|null|-+|–|—|\.+|\?+|x|/", re.IGNORECASE)
_FAILED = re.compile(
    r"false|no|not ok|nok|bad|fail(?:ed|ure|s)?|err(?:or(?:ed|s)?)?|crash(?:ed)?|killed|"
    r"abort(?:ed)?|invalid|incorrect|wrong|unsupported|[-+]?nan|[-+]?inf(?:inity)?|exception",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"true|yes|ok|okay|pass(?:ed)?|success(?:ful)?|succeeded|done|measured|completed?|finished|"
    r"valid|correct|good|1|1\.0",
    re.IGNORECASE,
)


def failure_in(text: str) -> str | None:
    """The status that a word says if it plainly says that there is no measurement; else None."""
    text = text.strip()
    if _MEMORY.search(text):
        return "out_of_memory"
    if _LATE.search(text):
        return "timeout"
    if _SKIPPED.fullmatch(text) or _NOTHING.fullmatch(text):
        return "skipped"
    return "crashed" if _FAILED.fullmatch(text) else None


def by_status(frame: pd.DataFrame) -> tuple[Statuses, list[str]]:
    """Each row's status by what the table's own columns of statuses say, and these columns.

    Rows that plainly failed are said, and so are words of which nobody knows what they say. A
    column of another name than `status` speaks of failures only if some word in it plainly does:
    a state may be `none` or `warm`.
    """
    statuses = np.full(len(frame), "measured", dtype=object)
    spoken = []
    for column in map(str, frame.columns):
        name = column.casefold().strip()
        values = frame[column] if name in _WORD_COLUMNS else None
        if not isinstance(values, pd.Series):
            continue
        if types.is_numeric_dtype(values) and not types.is_bool_dtype(values):
            if name not in _TRUTH_COLUMNS or not values.dropna().isin([0, 1]).all():
                continue
            values = values.map({0: "False", 1: "True"})
        texts = values.map(lambda one: "" if pd.isna(one) else str(one).strip())
        ours = bool(texts.eq("measured").any())
        known = {text: _status_of(text, ours=ours) for text in texts.unique()}
        unknown = [text for text, status in known.items() if status is None and text]
        speaking = [text for text, status in known.items() if status is not None]
        if name != "status" and all(map(_NOTHING.fullmatch, speaking)):
            continue
        if not speaking and len(unknown) < 2:
            continue
        spoken.append(column)
        told = np.array([known[text] or "measured" for text in texts], dtype=object)
        lost = (told != "measured") & (statuses == "measured")
        statuses[lost] = told[lost]
        if lost.any() and not ours:
            _say_lost(frame, column, lost, f"have no measurement by their {column}")
        if unknown:
            what = ", ".join(shown(text) for text in unknown[:3])
            warnings.warn(
                f"{column} varies and says {what}, whose rows are judged with the others; "
                f"if they should not, add --where {column}=VALUE",
                TableWarning,
                stacklevel=4,
            )
    return statuses, spoken


def _status_of(text: str, *, ours: bool) -> str | None:
    if ours and text in STATUSES:
        return text
    return "measured" if _DONE.fullmatch(text) else failure_in(text) if text else None


def without_number(
    frame: pd.DataFrame,
    column: str,
    numbers: npt.NDArray[np.float64],
    words: npt.NDArray[np.bool_],
    statuses: Statuses,
    *,
    zero: bool = False,
) -> Statuses:
    """The statuses, with those rows lost whose number is missing, a word, negative or too far.

    Rows with a 0 are lost too, unless `zero` is a number like any other.

    Raises:
        TableError: at least half of the cells that are filled hold words that say no failure.

    """
    values = frame[column]
    wanted = statuses == "measured"
    within = (numbers >= 1 / FARTHEST) & (numbers <= FARTHEST)
    usable = ~words & (within | (zero & (numbers == 0)))
    lost = wanted & ~usable
    if not lost.any():
        return statuses
    at = np.flatnonzero(lost).tolist()
    reasons = [failure_in(str(values.iloc[i])) if words[i] else "skipped" for i in at]
    odd = [i for i, reason in zip(at, reasons, strict=True) if reason is None]
    filled = int((wanted & (words | ~np.isnan(numbers))).sum())
    if odd and 2 * len(odd) >= filled:
        raise no_number(frame, column, odd[0])
    statuses = statuses.copy()
    statuses[at] = [reason or "crashed" for reason in reasons]
    _say_lost(frame, column, lost, f"have no usable {column}")
    return statuses


def _say_lost(frame: pd.DataFrame, column: str, lost: npt.NDArray[np.bool_], told: str) -> None:
    at = int(np.argmax(lost))
    file, row = row_of(frame, at)
    value = frame[column].iloc[at]
    example = "an empty cell" if pd.isna(value) or value == "" else shown(value)
    some = int(lost.sum())
    told, verb = (told, "are") if some > 1 else (told.replace("have ", "has ", 1), "is")
    warnings.warn(
        f"{file}{count(some, 'row')} {told} and {verb} left out, such as {example}{row}",
        TableWarning,
        stacklevel=5,
    )
