"""What disturbed a run, and what the measuring itself cost, in plain sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from reports.cells.cell_table import measured
from reports.cells.readings import marked_noisy
from reports.tables.columns import measured_rows, numbers_or_nan
from reports.tables.json_values import float_or_none
from reports.tables.rounds import TYPICAL
from reports.text import wording

# What a record may bear before a reader should hear of it, and the words for it.
_LIMITS: tuple[tuple[str, float, str], ...] = (
    ("other_load", 0.25, "other processes kept at least {:.2g} cores busy (up to {:.2g})"),
    (
        "waiting_share",
        0.05,
        "threads that were ready waited for a core at least {:.0%} of the time (up to {:.0%})",
    ),
    (
        "steal_share",
        0.02,
        "the host gave at least {:.0%} of the cores' time to other machines (up to {:.0%})",
    ),
)
# Limits of a GPU's clock that do not lower it below what was set, or while it works.
_HARMLESS = frozenset(
    {"idle", "application clock setting", "display clock setting", "voltage ceiling"}
)
_WIDE_SPREAD = 0.10  # of the median; beyond it the rounds of a cell disagree visibly
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:\s?%)?")
_MOST_OF_READING = 1e-3  # of the shortest reading: what the harness may cost, or not tell apart


def disturbances(frame: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Sentences on noise: what it added, the cells it is in, and its causes.

    `frame` are the records, `cells` their cell table.
    """
    visits = frame[measured_rows(frame)]
    return [
        *_slowed(cells),
        *_noisy_cells(visits, cells),
        *_beyond_limits(visits),
        *_throttling(visits),
    ]


def harness(frame: pd.DataFrame, info: Mapping[str, object]) -> list[str]:
    """A sentence where the clock is coarse, or the loop costly, against the shortest reading."""
    costs = info.get("harness")
    reading_s, calls = shortest_reading(frame)
    if not isinstance(costs, Mapping) or reading_s is None:
        return []
    resolution, clock, loop = (
        max(float_or_none(costs.get(name)) or 0.0, 0.0)
        for name in ("clock_resolution_s", "clock_cost_s", "loop_cost_s")
    )
    own = clock + loop * calls
    if max(resolution, own) < _MOST_OF_READING * reading_s:
        return []
    return [
        f"The shortest reading lasts {wording.seconds(reading_s)} ({wording.count(calls, 'call')}"
        f"): the clock's resolution is {wording.percent(resolution / reading_s)} of it, and clock "
        f"and loop cost {wording.percent(own / reading_s)} of it, which is taken off."
    ]


def shortest_reading(frame: pd.DataFrame) -> tuple[float | None, int]:
    """The shortest time between two looks at the clock, and how many calls it held."""
    rows = frame[measured_rows(frame)]
    calls = numbers_or_nan(rows, "calls_per_sample")
    lasted = calls * numbers_or_nan(rows, "time_min_s")
    if not lasted.notna().any():
        return None, 0
    at = int(np.nanargmin(lasted.to_numpy(dtype=np.float64)))
    return float(lasted.iloc[at]), int(calls.iloc[at])


def _slowed(cells: pd.DataFrame) -> list[str]:
    """What the machine added to the undisturbed cost, where enough readings tell the two apart."""
    timed = measured(cells)
    if TYPICAL not in timed or timed[TYPICAL].isna().all():
        return []
    added = (timed[TYPICAL] / timed["time_s"] - 1.0).fillna(0.0)
    worst = timed.loc[int(added.to_numpy().argmax())]
    where = wording.one_line(worst["implementation"])
    sizes = [
        f"{called} {worst[name]:g}"
        for name, called in (("seq_len", "n"), ("d_model", "d_model"))
        if name in worst and not pd.isna(worst[name])
    ]
    fewest = int(timed["readings"].min())
    return [
        f"A typical call took {added.median():.0%} longer than the quiet cost that is shown and "
        f"judged, in nine of ten cells at most {added.quantile(0.9):.0%}, at worst "
        f"{added.max():.0%} ({' at '.join([where, ', '.join(sizes)] if sizes else [where])}). "
        "Other work on this machine, or beside it, added that. Waiting for a core is taken off. "
        f"Each cell was read at least {wording.count(fewest, 'time')}."
    ]


def _noisy_cells(visits: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    timed = measured(cells)
    lines = []
    noisy = int(timed["noisy"].sum())
    if noisy:
        why = _counted(_noise_causes(visits))
        lines.append(
            f"{noisy} of {wording.count(len(timed), 'timed cell')} had a noisy round, which counts "
            f"only where the cell has no quiet one{f': {why}' if why else ''}."
        )
    wide = int((timed["spread"] > _WIDE_SPREAD).sum())
    if wide:
        lines.append(
            f"In {wide} of {wording.count(len(timed), 'timed cell')} the slowest round or process "
            f"took at least {_WIDE_SPREAD:.0%} longer than the fastest."
        )
    return lines


def _noise_causes(visits: pd.DataFrame) -> Counter[str]:
    """How many noisy visits name each cause, whatever its numbers."""
    if "noise_reasons" not in visits:
        return Counter()
    reasons = visits.loc[marked_noisy(visits), "noise_reasons"].map(lines_in)
    return Counter(
        cause for lines in reasons for cause in {_NUMBER.sub("…", line) for line in lines}
    )


def _beyond_limits(visits: pd.DataFrame) -> list[str]:
    lines = []
    for name, limit, words in _LIMITS:
        values = numbers_or_nan(visits, name)
        beyond = int((values >= limit).sum())
        if beyond:
            lines.append(
                f"In {beyond} of {wording.count(int(values.notna().sum()), 'record')} "
                f"{words.format(limit, values.max())}."
            )
    return lines


def _throttling(visits: pd.DataFrame) -> list[str]:
    if "throttle_reasons" not in visits:
        return []
    reasons = [set(lines_in(one)) - _HARMLESS for one in visits["throttle_reasons"]]
    slowed = sum(map(bool, reasons))
    if not slowed:
        return []
    why = _counted(Counter(reason for some in reasons for reason in some))
    return [f"In {slowed} of {wording.count(len(visits), 'record')} the GPU was slowed: {why}."]


def _counted(causes: Counter[str]) -> str:
    return wording.listed([f"{name} ({number})" for name, number in ranked(causes)], most=5)


def lines_in(value: object) -> list[str]:
    """The items of a list as lines of text; nothing where the value is no list."""
    items = value if isinstance(value, list | tuple) else ()
    return [wording.one_line(item) for item in items]


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was counted, the most first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
