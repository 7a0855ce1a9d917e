"""A card for each implementation: is it right, what is its law, how fast, how much memory?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from reports.cells.case_columns import SIZES
from reports.cells.readings import REPLAYED
from reports.comparison.ratios import Finding, Ratio
from reports.conditions.checks import check_table, failed
from reports.figures.drawing.dark import DARK
from reports.figures.drawing.size_names import OUR_SIZES
from reports.figures.drawing.view import Series, View
from reports.figures.speed_against_n import SpeedAgainstN
from reports.judge.result import Fit
from reports.laws.grammar import LawError, parse_declared
from reports.page.forest_plot import ForestRow, forest_rows
from reports.predict.memory import largest_in_memory
from reports.ranking.ranking import (
    COST,
    RankedSize,
    RankedTime,
    Ranking,
    interval_of,
    is_to_itself,
    rankings,
    size_in_words,
)
from reports.tables.json_values import an_object
from reports.text import wording
from reports.text.labels import label_of
from reports.verdicts.doubts import MARK, is_marked
from reports.verdicts.reasons import COSTS
from reports.verdicts.table import SIGNS

_TIMES = "\u2009×\u2009"  # thin spaces
_SHORTEST = 0.5  # of a factor e: what the bar of the smallest value is long


@dataclass(frozen=True, kw_only=True)
class Right:
    """Whether an implementation is right: `outcome` is pass, fail or unasked."""

    outcome: str
    words: str


@dataclass(frozen=True, kw_only=True)
class CardLaw:
    """A claim on one cost, its verdict, and its exponents as a forest plot."""

    cost: str
    claim: str
    verdict: str
    sign: str
    forest: tuple[ForestRow, ...]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Time and memory at one size; bars are parts of the longest bar of all cards.

    `size` is `4096 × 64`, and `detail` what else is special about it, `2 heads`. `ratio` is the
    time over that of the reference, and `beside` its interval, or what it says.
    `is_asked`: the run has a record of it.
    """

    size: str
    detail: str
    time: str
    time_bar: float
    ratio: str
    beside: str
    memory: str
    memory_bar: float
    is_fastest: bool
    is_asked: bool


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the page says of one implementation under one condition.

    `largest` says which n the machine's memory holds, empty where that is not known.
    """

    name: str
    title: str
    colour: str
    right: Right
    laws: tuple[CardLaw, ...]
    largest: str
    readings: tuple[Reading, ...]


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The cards of one ranking, the fastest first.

    `name` tells it from others of the same view. `reference` is what times are divided by, empty
    where there is only one implementation. `axes` are the letters of the sizes, `n × d`;
    `time` says which time it is. `ranking` is what they show.
    """

    name: str
    cards: tuple[Card, ...]
    reference: str
    axes: str
    time: str
    ranking: Ranking


def cards_of(view: View) -> list[Cards]:
    """The cards of every condition that shares the figures of a view."""
    records = view.records
    if "implementation" not in records:  # a table of others, whose series have other names
        records = view.cells.assign(implementation=view.cells["series"])
    reference = SpeedAgainstN().of(view)
    found = rankings(
        records,
        [] if reference is None else [reference.removesuffix(MARK)],
        judged=[REPLAYED if view.is_gpu_time else COST],
    )
    return [_cards(view, _as_called(view, ranking)) for ranking in found]


def _as_called(view: View, ranking: Ranking) -> Ranking:
    """The ranking with the letters of its sizes as a table of others calls them."""
    if view.sizes == OUR_SIZES:
        return ranking

    def called(size: RankedSize) -> RankedSize:
        letters = {name: view.sizes[name].letter for name in size.sizes if name in view.sizes}
        words = (f"{letters.get(name, name)} = {value:g}" for name, value in size.sizes.items())
        return replace(size, words=", ".join(words))

    return replace(
        ranking,
        sizes=tuple(map(called, ranking.sizes)),
        elsewhere=tuple(map(called, ranking.elsewhere)),
    )


def _cards(view: View, ranking: Ranking) -> Cards:
    shown = [one for size in (*ranking.sizes, *ranking.elsewhere) for one in size.timed]
    bars = _Bars(one.time_s for one in shown), _Bars(one.workspace_bytes for one in shown)
    untimed = (one for size in ranking.sizes for one in size.times if one.time_s is None)
    elsewhere = (one for size in ranking.elsewhere for one in size.times)
    others = (one.implementation for one in (*elsewhere, *untimed))
    names = dict.fromkeys((*ranking.implementations, *others))
    found = tuple(_card(view, ranking, name, bars) for name in names)
    return Cards(
        name=label_of(ranking.conditions) if ranking.conditions else "",
        cards=found,
        reference=ranking.reference if len(found) > 1 else "",
        axes=_TIMES.join(view.size(name).letter for name in _axes(ranking)),
        time="GPU time" if ranking.is_gpu_time else "time",
        ranking=ranking,
    )


def _card(view: View, ranking: Ranking, name: str, bars: tuple[_Bars, _Bars]) -> Card:
    series = _series_of(view, ranking, name)
    info = view.info if series is None else series.info
    known = an_object(an_object(info.get("implementations")).get(name.removesuffix(MARK)))
    sizes = (*ranking.sizes, *(size for size in ranking.elsewhere if size.of(name)))
    return Card(
        name=name,
        title=wording.one_line(known.get("title") or ""),
        colour=_colour(series),
        right=_right(name, check_table({"": info})),
        laws=() if series is None else tuple(_laws(series)),
        largest="" if series is None else _largest(series, ranking),
        readings=tuple(_reading(name, size, _axes(ranking), bars) for size in sizes),
    )


def _axes(ranking: Ranking) -> list[str]:
    """The columns of the sizes that every row of a card begins with."""
    return [name for name in SIZES.values() if all(name in size.sizes for size in ranking.sizes)]


def _series_of(view: View, ranking: Ranking, name: str) -> Series | None:
    """The series of an implementation in the run of the ranking, which knows its look and fits.

    None of one that has no time.
    """
    run = ranking.conditions.get("run")
    return next(
        (
            series
            for series in view.series
            if name in (series.implementation, series.label) and run in (None, series.run)
        ),
        None,
    )


def _colour(series: Series | None) -> str:
    """The colour of its line in the figures, as CSS for a light and a dark page."""
    if series is None:
        return "var(--quiet)"
    light = series.look.colour.lower()
    return f"light-dark({light}, {DARK.get(light, light)})"


def _largest(series: Series, ranking: Ranking) -> str:
    """The largest n whose call the machine's memory holds; empty where that is not known."""
    width = ranking.sizes[-1].sizes.get("d_model") if ranking.sizes else None
    at = {} if width is None else {"d": width}
    found = largest_in_memory(series.cells, series.workspace_fit, series.info, at=at)
    if found is None or found.estimate is None:
        return ""
    others = "".join(f" at {letter} = {value:g}" for letter, value in found.at.items())
    about = "" if found.low == found.high else "about "
    memory = wording.byte_size(found.budget)
    return (
        f"largest {found.name} in {memory}{others}: {about}{wording.rounded(found.estimate):,.0f}"
    )


def _right(name: str, checks: pd.DataFrame) -> Right:
    own = checks[checks["implementation"] == name]
    wrong = int(failed(own).sum())
    if wrong:
        return Right(outcome="fail", words=f"✗ wrong in {wording.count(wrong, 'check')}")
    if is_marked(name):
        return Right(outcome="fail", words="✗ wrong in a timed call")
    passed = int(own["pass"].sum())
    if not passed:
        return Right(outcome="unasked", words="not checked")
    return Right(outcome="pass", words=f"✓ right in {wording.count(passed, 'check')}")


def _laws(series: Series) -> Iterator[CardLaw]:
    """The claims on its time and on its workspace."""
    for fit in (series.fit, series.workspace_fit):
        if fit is None:
            continue
        yield CardLaw(
            cost=COSTS.get(fit.value, fit.value),
            claim=claim_of(fit),
            verdict=str(fit.verdict),
            sign=SIGNS[fit.verdict],
            forest=tuple(forest_rows(fit)),
        )


def claim_of(fit: Fit) -> str:
    """The claim for people, `n²·d`; as it was given where it is no law."""
    try:
        return parse_declared(fit.claim, fit.sizes).unicode()
    except LawError:
        return fit.claim


class _Bars:
    """Lengths on a logarithmic scale, the same for all cells that the cards show."""

    def __init__(self, values: Iterable[float | None]) -> None:
        known = [math.log(value) for value in values if value]
        self._low = min(known, default=0.0) - _SHORTEST
        self._high = max(known, default=0.0)

    def length(self, value: float | None) -> float:
        """The part of the longest bar; 0 for what is zero or unknown."""
        if not value:
            return 0.0
        share = (math.log(value) - self._low) / (self._high - self._low)
        return round(min(max(share, 0.0), 1.0), 3)


def _reading(
    name: str, size: RankedSize, axes: Sequence[str], bars: tuple[_Bars, _Bars]
) -> Reading:
    found = size.of(name) or RankedTime(implementation=name, time_s=None, without=wording.NOTHING)
    times, memories = bars
    compared = len(size.timed) > 1
    return Reading(
        size=_TIMES.join(f"{size.sizes[axis]:g}" for axis in axes if axis in size.sizes),
        detail=", ".join(size_in_words(*one) for one in size.sizes.items() if one[0] not in axes),
        time=found.without if found.time_s is None else wording.seconds(found.time_s),
        time_bar=times.length(found.time_s),
        ratio="" if found.ratio is None else _estimate(found.ratio),
        beside="" if found.ratio is None else _beside(found.ratio),
        memory=wording.byte_size(found.workspace_bytes),
        memory_bar=memories.length(found.workspace_bytes),
        is_asked=size.of(name) is not None,
        is_fastest=compared and size.timed[0].implementation == name,
    )


def _estimate(ratio: Ratio) -> str:
    """The ratio; 1 for the reference itself, which is exact."""
    return "1" if is_to_itself(ratio) else wording.times(ratio.estimate)


def _beside(ratio: Ratio) -> str:
    """The interval of a ratio, or that it is the same; nothing for the reference itself."""
    if is_to_itself(ratio):
        return ""
    return "same" if ratio.finding is Finding.SAME else interval_of(ratio)
