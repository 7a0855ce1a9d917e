"""Which sizes to show: few panels, chosen so that every series appears and most can be compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import pandas as pd

from reports.figures.drawing.view import Series

MOST_PANELS = 3
_FEWEST = 3
_NEARLY = 0.6  # of the most series that any one value shows
_SHARED = 0.5  # of the shorter range of sizes; series that share less would stretch the axis


Member: TypeAlias = tuple[Series, pd.DataFrame]
"""A series in a panel, with its cells there."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Series at one value of the size that is held fixed; None where there is no such size."""

    value: float | None
    members: tuple[Member, ...]


@lru_cache(maxsize=64)
def choose_panels(
    series: tuple[Series, ...], *, along: str, fixed: str, reading: str = "time_s"
) -> tuple[Panel, ...]:
    """Panels over the size `along`, at as few values of `fixed` as show every series.

    The largest value (small ones show overhead) at which nearly as many series as anywhere have
    three sizes with a positive `reading`, and nearly as many as anywhere reach their largest
    size, since a grid may be cut off where cells cost too much; then likewise for the series still
    missing. Series with fewer sizes appear where others do; if none has enough, there are no
    panels. Series whose sizes lie mostly outside those of the others get a panel beside theirs.
    From left to right panels are in the order of their values, then of their smallest sizes.
    """
    sizes = {one.label: _sizes(one, along, fixed, reading) for one in series}
    waiting = {one.label for one in series}
    chosen: list[float | None] = []
    while waiting and len(chosen) < MOST_PANELS:
        covered: dict[float | None, set[str]] = {}
        reaching: Counter[float | None] = Counter()
        for label in waiting:
            longest = max((one.max() for one in sizes[label].values()), default=None)
            for value, own in sizes[label].items():
                if own.nunique() >= _FEWEST:
                    covered.setdefault(value, set()).add(label)
                    reaching[value] += own.max() == longest
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
    panels: list[Panel] = []
    for at, value in enumerate(chosen):
        members = [
            (one, one.cells.loc[sizes[one.label][value].sort_values(kind="stable").index])
            for one in series
            if value in sizes[one.label]
        ]
        told = {label for panel in panels for label in _labels(panel.members)}
        parts = [part for part in _apart(members, along) if not _labels(part) <= told]
        if len(panels) + len(parts) + len(chosen) - at - 1 > MOST_PANELS:
            parts = [members]
        panels += [Panel(value=value, members=tuple(part)) for part in parts]
    return tuple(sorted(panels, key=lambda one: (one.value or 0.0, _range(one.members, along))))


def not_shown(series: Sequence[Series], panels: Sequence[Panel]) -> list[str]:
    """The labels of series that no panel shows."""
    shown = {label for panel in panels for label in _labels(panel.members)}
    return [one.label for one in series if one.label not in shown]


def _apart(members: list[Member], along: str) -> list[list[Member]]:
    """The members in groups, each of which shares a good part of its sizes with the others."""
    is_short = [rows[along].nunique() < _FEWEST for _, rows in members]
    short = [one for one, is_it in zip(members, is_short, strict=True) if is_it]
    group = [one for one, is_it in zip(members, is_short, strict=True) if not is_it]
    aside: list[Member] = []
    while len(group) > 1:
        shares = [
            _shared(_range([one], along), _range([*group[:k], *group[k + 1 :]], along))
            for k, one in enumerate(group)
        ]
        if min(shares) >= _SHARED:
            break
        aside.append(group.pop(shares.index(min(shares))))
    return [group + short, *_apart(aside, along)] if aside else [members]


def _shared(first: tuple[float, float], second: tuple[float, float]) -> float:
    """The part that two ranges have in common, of the shorter one, on a logarithmic scale."""
    low, high = max(first[0], second[0]), min(first[1], second[1])
    shorter = min(math.log(end / start) for start, end in (first, second))
    return max(0.0, math.log(high / low)) / shorter


def _range(members: Sequence[Member], along: str) -> tuple[float, float]:
    """The smallest and the largest size of these series."""
    sizes = pd.concat([rows[along] for _, rows in members])
    return float(sizes.min()), float(sizes.max())


def _labels(members: Sequence[Member]) -> set[str]:
    return {one.label for one, _ in members}


def _sizes(
    one: Series, along: str, fixed: str, reading: str
) -> dict[float | None, pd.Series[float]]:
    """The sizes with a positive reading, by the value of the size that is fixed, the least first.

    Columns alone: slices of whole cells would take longer than drawing them.
    """
    cells = one.cells
    if along not in cells or reading not in cells:
        return {}
    within = cells[[reading, along]].gt(0) & cells[[reading, along]].lt(math.inf)
    sizes = cells.loc[within.all(axis=1), along]
    if sizes.empty:
        return {}
    if fixed not in cells or cells.loc[sizes.index, fixed].isna().all():
        return {None: sizes}
    groups = sizes.groupby(cells.loc[sizes.index, fixed])
    return {float(str(value)): own for value, own in groups}
