"""Which sizes to show: few panels, chosen so that every series appears and most can be compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from reports.figures.drawing.view import Series

MOST_PANELS = 3
_FEWEST = 3
_NEARLY = 0.6  # of the most series that any one value shows


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Series at one value of the size that is held fixed; None where there is no such size."""

    value: float | None
    members: tuple[tuple[Series, pd.DataFrame], ...]


@lru_cache(maxsize=64)
def choose_panels(
    series: tuple[Series, ...], *, along: str, fixed: str, reading: str = "time_s"
) -> tuple[Panel, ...]:
    """Panels over the size `along`, at as few values of `fixed` as show every series.

    The largest value (small ones show overhead) at which nearly as many series as anywhere have
    three sizes with a positive `reading`, and nearly as many as anywhere reach their largest
    size, since a grid may be cut off where cells cost too much; then likewise for the series still
    missing. Series with fewer sizes appear where others do; if none has enough, there are no
    panels. From left to right they are in the order of their values.
    """
    usable = {one.label: _usable(one, along, reading) for one in series}
    waiting = {one.label for one in series}
    chosen: list[float | None] = []
    while waiting and len(chosen) < MOST_PANELS:
        covered: dict[float | None, set[str]] = {}
        reaching: Counter[float | None] = Counter()
        for label in waiting:
            longest = usable[label][along].max() if len(usable[label]) else None
            for value, rows in _slices(usable[label], fixed):
                if rows[along].nunique() >= _FEWEST:
                    covered.setdefault(value, set()).add(label)
                    reaching[value] += rows[along].max() == longest
        if not covered:
            break
        most = max(len(labels) for labels in covered.values())
        wide = [value for value, labels in covered.items() if len(labels) >= _NEARLY * most]
        furthest = max(reaching[value] for value in wide)
        best = max(
            (value for value in wide if reaching[value] >= _NEARLY * furthest),
            key=lambda value: value or 0.0,
        )
        chosen.append(best)
        waiting -= covered[best]
    chosen.sort(key=lambda value: value or 0.0)
    return tuple(_panel(series, usable, value, along, fixed) for value in chosen)


def not_shown(series: Sequence[Series], panels: Sequence[Panel]) -> list[str]:
    """The labels of series that no panel shows."""
    shown = {one.label for panel in panels for one, _ in panel.members}
    return [one.label for one in series if one.label not in shown]


def _panel(
    series: Sequence[Series],
    usable: dict[str, pd.DataFrame],
    value: float | None,
    along: str,
    fixed: str,
) -> Panel:
    members = []
    for one in series:
        for found, rows in _slices(usable[one.label], fixed):
            if found == value:
                members.append((one, rows.sort_values(along, kind="stable")))
    return Panel(value=value, members=tuple(members))


def _usable(one: Series, along: str, reading: str) -> pd.DataFrame:
    if along not in one.cells or reading not in one.cells:
        return one.cells.iloc[0:0]
    within = one.cells[[reading, along]].gt(0) & one.cells[[reading, along]].lt(math.inf)
    return one.cells[within.all(axis=1)]


def _slices(rows: pd.DataFrame, fixed: str) -> list[tuple[float | None, pd.DataFrame]]:
    if rows.empty:
        return []
    if fixed not in rows or rows[fixed].isna().all():
        return [(None, rows)]
    values = sorted(float(value) for value in rows[fixed].dropna().unique())
    return [(value, rows[rows[fixed] == value]) for value in values]
