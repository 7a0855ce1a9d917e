"""How near is an exponent to its claim? The numbers of a forest plot: claim, tolerance, interval.

Every plot reaches as far on both sides of its claim, so that plots of different sizes compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reports.judge.result import Fit
from reports.text import wording
from reports.verdicts.exponents import allowed_exponents_of

WIDTH, HEIGHT = 160, 16  # CSS pixels
_REACH = 0.5  # of an exponent, on each side of the claim


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One exponent: its text, and where on the plot its claim, tolerance and interval lie.

    Places are CSS pixels from the left. `dot` is None where the estimate lies beyond the plot;
    `beyond_left` and `beyond_right` say that the interval goes on there.
    """

    letter: str
    text: str
    spoken: str
    claim: float
    band: tuple[float, float]
    line: tuple[float, float]
    dot: float | None
    beyond_left: bool
    beyond_right: bool


def forest_rows(fit: Fit) -> Iterator[ForestRow]:
    """A row for each exponent that was estimated, in the order of the law's sizes."""
    for letter, claimed, (least, most) in allowed_exponents_of(fit):
        found = fit.exponents[letter]
        if found.estimate is None:
            continue
        left, right = claimed - _REACH, claimed + _REACH
        low = left - 1 if found.low is None else found.low
        high = right + 1 if found.high is None else found.high
        text = wording.interval(found)
        yield ForestRow(
            letter=letter,
            text=text,
            spoken=f"exponent of {letter}: {text}; claimed {claimed:g}, "
            f"allowed {wording.exponent(least)} to {wording.exponent(most)}",
            claim=_place(claimed, claimed),
            band=(_place(least, claimed), _place(most, claimed)),
            line=(_place(low, claimed), _place(high, claimed)),
            dot=_place(found.estimate, claimed) if left <= found.estimate <= right else None,
            beyond_left=low < left,
            beyond_right=high > right,
        )


def _place(value: float, claimed: float) -> float:
    """Pixels from the left, within the plot."""
    share = (value - claimed + _REACH) / (2 * _REACH)
    return round(min(max(share, 0.0), 1.0) * WIDTH, 1)
