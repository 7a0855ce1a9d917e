"""The section of the page that says whether what was timed is right, run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reports.conditions.caveats import gate_findings
from reports.conditions.checks import Matrix, check_table, matrix
from reports.figures import CORRECTNESS
from reports.figures.drawing.split import distinct, slug
from reports.figures.drawing.view import View
from reports.figures.error_against_allowed import Checked, looks_of
from reports.page.pictures import Picture, absence, draw_picture
from reports.text import wording
from reports.verdicts.doubts import doubts

ALLOWED = (
    "The error of a check is the largest absolute difference from the plain formula in float64, on "
    "inputs already rounded to the tested dtype, or between two answers that must agree. Allowed "
    "is twice the error that the plain formula itself makes in that dtype, plus what one rounding "
    "step of the dtype makes of terms and scores as large as these, and what sums of so many terms "
    "lose in float32; in float64, a bound from the number of terms."
)
"""What the allowed error is, for readers of the page."""
_MOST_FAILURES = 10  # lines on the page; a kernel that is wrong throughout fails hundreds of checks


@dataclass(frozen=True, kw_only=True)
class Correctness:
    """What the page says about one run: the gate in a sentence, its failures, matrix and figure.

    `doubts` says of each that failed somewhere what is timed of it all the same, and what is not;
    `doubtful` are their names;
    `more` is how many failures were too many to list; `matrix` and `picture` are None where the
    run recorded nothing to show, and `left_out` then says why there is no picture, if the run
    was checked at all.
    """

    name: str
    gate: str
    doubts: tuple[str, ...]
    doubtful: tuple[str, ...]
    failures: tuple[str, ...]
    more: int
    matrix: Matrix | None
    picture: Picture | None
    left_out: str


def correctness(
    infos: Mapping[str, Mapping[str, Any]], frame: pd.DataFrame, seen: Sequence[View], out: Path
) -> list[Correctness]:
    """What each run's gate found, its figure drawn into `out`; `frame` are the records of all.

    `seen` are the views whose figures are on the same page, so that an implementation looks the
    same in all.
    """
    looks = looks_of(check_table(infos)["implementation"], seen)
    found = []
    several = len(infos) > 1
    suffixes = distinct([slug(name, "run") if several else "" for name in infos])
    for (name, info), suffix in zip(infos.items(), suffixes, strict=True):
        own = check_table({name: info})
        shown = Checked(checks=own, looks=looks)
        reason = CORRECTNESS.missing(shown)
        sentence, failures = gate_findings(info)
        where = [wording.one_line(name)] if several else []
        records = frame[frame["run"] == name] if several and "run" in frame else frame
        failing = doubts(records, info)
        was_checked = isinstance(info.get("verification"), Mapping)
        found.append(
            Correctness(
                name=wording.one_line(name),
                gate=sentence,
                doubts=tuple(failing.values()),
                doubtful=tuple(failing),
                failures=tuple(failures[:_MOST_FAILURES]),
                more=max(0, len(failures) - _MOST_FAILURES),
                matrix=None if own.empty else matrix(own),
                picture=None if reason else draw_picture(CORRECTNESS, shown, suffix, out),
                left_out=absence(CORRECTNESS.stem, reason, where) if reason and was_checked else "",
            )
        )
    return found
