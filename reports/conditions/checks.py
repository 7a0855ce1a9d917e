"""What the correctness gate found, area by area: the matrix of `run.json` as a table and in words.

Runs made before there was a matrix have none, and what is odd in one is left out, so that a run
can always be shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from reports.tables.json_values import a_list, an_object, float_or_none
from reports.text import wording

AREAS = (
    *("shapes", "scores", "causal", "masks", "memory", "gradients", "state", "dropout"),
    *("properties", "agreement"),
)
"""What is checked, in the order of the page; areas that a later version adds follow."""
DTYPES = ("float64", "float32", "float16", "bfloat16")
"""From fine to coarse rounding; others follow by name."""
_COUNTS = ("pass", "fail", "unsupported", "error")
COLUMNS = (
    *("run", "implementation", "dtype", "area", "check", *_COUNTS, "case", "worst_error"),
    *("worst_allowed", "share", "reason"),
)
"""Columns of the table of checks. `share` is the worst error over what it is allowed."""

Outcome = Literal["pass", "fail", "unsupported", "unasked"]

_NUMBERS = ("worst_error", "worst_allowed", "share")
_MOST_COUNTED = 2**40  # beyond it a count is a mistake; sums of such counts still fit 64 bits
_NOT_TOLD = "not told"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What an area says about one implementation; `words` also name the dtypes that fail."""

    outcome: Outcome
    words: str


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One implementation: a finding for each area, and how near it came to what is allowed."""

    implementation: str
    findings: tuple[Finding, ...]
    nearest: str


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Implementations by areas, those that fail first."""

    areas: tuple[str, ...]
    rows: tuple[MatrixRow, ...]


def check_table(infos: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row a run, implementation, dtype, area and check, from the `run.json` of each run.

    Has the columns of `COLUMNS`, also where it has no rows. Entries that are no objects are left
    out, texts that are missing are `not told`, counts that are missing are zero, and numbers that
    are missing, negative or not finite are NaN.
    """
    rows = [
        _row(wording.one_line(run), entry)
        for run, info in infos.items()
        for entry in a_list(an_object(info.get("verification")).get("matrix"))
        if isinstance(entry, Mapping)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    types = dict.fromkeys(_COUNTS, "int64") | dict.fromkeys(_NUMBERS, "float64")
    return table.astype(types)


def matrix(checks: pd.DataFrame) -> Matrix:
    """The checks of one run as implementations by areas, over all dtypes, failures first."""
    areas = ordered(checks["area"], AREAS, keep=True)
    rows = []
    for name, own in checks.groupby("implementation", sort=True):
        by_area = dict(iter(own.groupby("area")))
        findings = tuple(_finding_of(by_area.get(area, own.iloc[0:0])) for area in areas)
        row = MatrixRow(implementation=str(name), findings=findings, nearest=_nearest(own))
        rows.append((-int(failed(own).sum()), row))
    rows.sort(key=lambda item: (item[0], item[1].implementation))
    return Matrix(areas=areas, rows=tuple(row for _, row in rows))


def failed(checks: pd.DataFrame) -> pd.Series:
    """How many checks of each row failed; one that raised counts as failed."""
    return checks["fail"] + checks["error"]


def nearest(checks: pd.DataFrame) -> pd.Series | None:
    """The row that came nearest to its allowance or furthest beyond it; None without numbers."""
    known = checks[checks["share"].notna()]
    return None if known.empty else known.iloc[int(known["share"].argmax())]


def numberless(checks: pd.DataFrame) -> pd.DataFrame:
    """The rows with failures that no error tells of: what they have is within its allowance."""
    return checks[(failed(checks) > 0) & ~(checks["share"] > 1)]


def worst_in_words(checks: pd.DataFrame) -> str:
    """Who exceeds the allowance, where and by how much; else how near the nearest comes."""
    beyond, lost = checks[checks["share"] > 1], numberless(checks)
    uncounted = int(failed(lost).sum())
    if len(beyond):
        rest = f"; {wording.count(uncounted, 'more failure')} without a number"
        return _exceeded(beyond) + (rest if uncounted else "")
    if uncounted:
        names = sorted(set(lost["implementation"]))
        what = f"{wording.count(uncounted, 'check')} without a number"
        fail = "fails" if len(names) == 1 else "fail"
        return f"{_short(names)} {fail} {what}; every error is within its allowance"
    worst = nearest(checks)
    if worst is None:
        return "No check recorded an error"
    if worst["share"] == 0:
        return "Nothing exceeds its allowance: every error is exactly zero"
    who, used = _short([worst["implementation"]]), share_words(float(worst["share"]))
    dtype = _short([worst["dtype"]])
    return f"Nothing exceeds its allowance: the nearest, {who} in {dtype}, uses {used} of it"


def ordered(names: Iterable[str], first: Sequence[str], *, keep: bool = False) -> tuple[str, ...]:
    """The different names, those of `first` in its order and then the others by name.

    With `keep`, those of `first` are there whether named or not.
    """
    found = set(names)
    leading = [name for name in first if keep or name in found]
    return (*leading, *sorted(found.difference(first)))


def share_words(share: float) -> str:
    """How much of its allowance an error takes: `51 %`, or `3.1e6 times` where it exceeds it."""
    if share == 0:
        return "0 %"
    if share <= 1:
        return wording.percent(share)
    return "above an allowance of 0" if math.isinf(share) else f"{factor_words(share)} times"


def factor_words(share: float) -> str:
    """A factor above one with two or three figures: `1.02`, `340`, `3.1e6`."""
    if share < 999.5:
        text = f"{share:.3g}"
        return "just over 1" if text == "1" else text
    mantissa, _, power = f"{share:.1e}".partition("e")
    return f"{mantissa}e{int(power)}"


def _exceeded(beyond: pd.DataFrame) -> str:
    """`a exceeds its allowance in causal by a factor of 3.1e6 (float32)`."""
    ranked = beyond.sort_values(["share", "worst_error"], ascending=False, kind="stable")
    worst = ranked.iloc[0]
    names, areas = list(dict.fromkeys(ranked["implementation"])), ordered(beyond["area"], AREAS)
    at = [worst["implementation"]] * (len(names) > 1) + [worst["area"]] * (len(areas) > 1)
    place = ", ".join(_short([name]) for name in (*at, worst["dtype"]))
    most = "up to " if len(beyond) > 1 else ""
    if math.isinf(worst["share"]):
        size = f": {most}{worst['worst_error']:.2g} where none is allowed"
    else:
        size = f" by {most}a factor of {factor_words(float(worst['share']))}"
    verb = "exceeds its" if len(names) == 1 else "exceed their"
    return f"{_short(names)} {verb} allowance in {_short(areas)}{size} ({place})"


def _short(names: Sequence[str]) -> str:
    """A few names, none of which fills a title."""
    return wording.listed([wording.shortened(name) for name in names], most=4)


def _finding_of(checks: pd.DataFrame) -> Finding:
    broken = checks[failed(checks) > 0]
    if len(broken):
        dtypes = ", ".join(ordered(broken["dtype"], DTYPES))
        return Finding(outcome="fail", words=f"fail {failed(broken).sum():,} ({dtypes})")
    passed, unsupported = int(checks["pass"].sum()), int(checks["unsupported"].sum())
    if passed:
        some = f", {unsupported:,} unsupported" if unsupported else ""
        return Finding(outcome="pass", words=f"pass{some}")
    if unsupported:
        return Finding(outcome="unsupported", words="unsupported")
    return Finding(outcome="unasked", words=wording.NOTHING)


def _nearest(checks: pd.DataFrame) -> str:
    worst = nearest(checks)
    if worst is None:
        return wording.NOTHING
    if worst["share"] == 0:
        return "0 %"  # and so is every other: no one of them is the nearest
    return f"{share_words(float(worst['share']))} ({worst['dtype']} {worst['area']})"


def _row(run: str, entry: Mapping[str, Any]) -> dict[str, object]:
    error, allowed = _number(entry.get("worst_error")), _number(entry.get("worst_allowed"))
    texts = {name: _text(entry.get(name)) for name in COLUMNS}
    names = ("implementation", "dtype", "area", "check")
    return {
        "run": run,
        **{name: texts[name] or _NOT_TOLD for name in names},
        **{name: _count(entry.get(name)) for name in _COUNTS},
        **{name: texts[name] or None for name in ("case", "reason")},
        "worst_error": error,
        "worst_allowed": allowed,
        "share": _share(error, allowed),
    }


def _share(error: float, allowed: float) -> float:
    """Error over allowance; nothing of an allowance of zero is 0, anything of it infinite."""
    if math.isnan(error) or math.isnan(allowed):
        return math.nan
    if error == 0:
        return 0.0
    return error / allowed if allowed > 0 else math.inf


def _text(value: object) -> str:
    return wording.one_line(value) if isinstance(value, str) else ""


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value < _MOST_COUNTED else 0


def _number(value: object) -> float:
    number = float_or_none(value)
    return math.nan if number is None or number < 0 else number
