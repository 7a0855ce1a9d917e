"""Costs at sizes that were not measured, and the largest size that a budget allows.

A new cell costs what the law says times an error of its own. The laws that the cells leave open
are an `Ensemble`; a cell's error is what the measured cells had, known by ν degrees of freedom, so
that the chance of a cost of at most y at the sizes x is

    P(y | x) = mean over the laws T of F((log y - log T(x)) / s),   F: Student's t with ν

The interval of a prediction lies between the costs of chance α/2 and 1 - α/2, and that of a largest
size between the sizes at which the budget has these chances: each is the inverse of the other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from reports.cells.case_columns import LARGEST_SIZE
from reports.judge.compatible.ensemble import Ensemble
from reports.laws.monomials import Floats
from reports.predict.questions import PredictionError, checked_size, quoted
from reports.tables.units import NO_UNIT, Unit, show

_ROUNDING = 1e-9  # of the coefficients of a counted cost, and of the logarithm of a cost
_LAST_BITS = 1e-12  # of a sum whose coefficients are known exactly
_ASSUMED = "this assumes that the law goes on so far"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a newly measured cell would cost: an estimate and its prediction interval.

    `beyond` says by how many times each size lies outside the measured range, above or below; it is
    empty inside. `text` is a plain sentence.
    """

    sizes: Mapping[str, float]
    estimate: float
    low: float
    high: float
    confidence: float
    beyond: Mapping[str, float]
    text: str

    def to_dict(self) -> dict[str, Any]:
        """JSON numbers and text, never NaN."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Largest:
    """The largest whole value of one size whose cost stays within a budget, with its interval.

    An end of 0 says that not even 1 does, and None that there is no bound up to 2^60. `estimate` is
    None in both cases, and `reason` says which. `at` holds the other sizes; `beyond` says by how
    many times each size lies outside the measured range, the estimate included. `of` says what the
    budget is for, where that is more than the cost column: inputs, output and workspace.
    """

    name: str
    budget: float
    at: Mapping[str, float]
    estimate: int | None
    low: int
    high: int | None
    confidence: float
    beyond: Mapping[str, float]
    of: str | None
    reason: str | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """JSON numbers, null and text, never NaN."""
        return asdict(self)


def predict(
    ensemble: Ensemble,
    sizes: Mapping[str, float],
    *,
    confidence: float,
    unit: Unit = NO_UNIT,
) -> Prediction:
    """Predict what one new cell would cost at these sizes, in the unit of the cost column.

    The interval holds a cell measured as the others were, so the error of one cell is in it. It
    widens away from the measured sizes, as the exponents and coefficients that fit drift apart. It
    does not know what only happens out there: a cache or a memory that no longer suffices, another
    kernel, a term that was too small to be seen at any measured size. Where the cost jumps it takes
    the place of the jump for granted, and predicts for the regime of the largest sizes. The
    estimate is the median.

    Raises:
        PredictionError: a size is missing, unknown or impossible, or the law gives no cost there.

    """
    asked = _asked(ensemble, sizes)
    if ensemble.costs(asked).max() <= 0:
        raise PredictionError(f"the law gives no cost at {_named(asked)}; give larger sizes")
    low, best, high = (_cost(ensemble, asked, chance) for chance in _chances(confidence))
    beyond = _beyond(ensemble, asked)
    ends = f"{100 * confidence:.3g} % of new cells: {show(low, unit)} to {show(high, unit)}"
    return Prediction(
        sizes=asked,
        estimate=best,
        low=low,
        high=high,
        confidence=confidence,
        beyond=beyond,
        text=f"{_named(asked)} would cost {_about(ensemble, show(best, unit), ends)}; "
        f"{_where(ensemble, asked, beyond)}",
    )


def largest(
    ensemble: Ensemble,
    budget: float,
    at: Mapping[str, float],
    name: str,
    *,
    confidence: float,
    unit: Unit = NO_UNIT,
    of: str | None = None,
    lengths: range | None = None,
) -> Largest:
    """Find the largest whole value of the size `name` that stays within a budget, others held `at`.

    The inverse of `predict`, with the same limits. The estimate is where half of all new cells
    would exceed the budget. `of` says what costs so much, for the sentence. `lengths` are the
    values for which a counted law holds.

    Raises:
        PredictionError: a size is missing, unknown or impossible, or the budget is not positive.

    """
    if not 0 < budget < math.inf:
        raise PredictionError(f"a budget must be positive and finite, got {budget:g}; try 24GiB")
    held = {n: v for n, v in _asked(ensemble, {**at, name: 1.0}).items() if n != name}
    if len(held) == len(ensemble.names):
        raise PredictionError(_unknown(ensemble, name))

    def fits(n: int, chance: float) -> bool:
        costs = ensemble.costs({**held, name: float(n)})
        if ensemble.certain:
            rounding = _ROUNDING if lengths is None else _LAST_BITS
            return float(costs[0]) <= budget * (1 + rounding)
        return _chance(ensemble, _logs(costs), math.log(budget)) >= chance

    def reached(chance: float) -> int:
        """The last number that fits, 0 where none does: all up to some number do."""
        numbers = range(1, LARGEST_SIZE + 1) if lengths is None else lengths
        fitting = bisect_left(numbers, True, key=lambda n: not fits(n, chance))
        return numbers[fitting - 1] if fitting else 0

    chances = _chances(confidence)
    # By count there is one answer, whatever the chance.
    high, best, low = [reached(0.5)] * 3 if ensemble.certain else map(reached, chances)
    sizes = {**held, name: float(max(best, 1))}
    others, amount = f" at {_named(held)}" if held else "", show(budget, unit)
    counted = f" ({of})" if of else ""
    reason = {
        0: f"even {name} = 1{others} exceeds {amount}{counted}",
        LARGEST_SIZE: f"{amount}{others} is enough even for {name} = 2^60{counted}",
    }.get(best)
    beyond = {} if reason else _beyond(ensemble, sizes)
    most = f"{high:,}" if high < LARGEST_SIZE else "no bound"
    ends = f"{100 * confidence:.3g} % interval: {low:,} to {most}"
    return Largest(
        name=name,
        budget=budget,
        at=held,
        estimate=None if reason else best,
        low=low,
        high=None if high == LARGEST_SIZE else high,
        confidence=confidence,
        beyond=beyond,
        of=of,
        reason=reason,
        text=reason
        or f"{name} up to {_about(ensemble, f'{best:,}{others} stays within {amount}', ends, of)}; "
        f"{_where(ensemble, sizes, beyond)}",
    )


def open_size(ensemble: Ensemble, at: Mapping[str, float]) -> tuple[str, dict[str, float]]:
    """The size that a budget is to bound, and the values of the others.

    It is the first size without a value; others without one stand at the largest measured value.

    Raises:
        PredictionError: every size has a value.

    """
    rest = [name for name in ensemble.names if name not in at]
    if not rest:
        held = ", ".join(ensemble.names)
        raise PredictionError(f"a budget bounds one size, but {held} are all given; leave one out")
    return rest[0], {**at, **{name: ensemble.ranges[name][1] for name in rest[1:]}}


def _cost(ensemble: Ensemble, sizes: Mapping[str, float], chance: float) -> float:
    """The cost that a new cell stays below with a chance."""
    from scipy.optimize import brentq

    costs = ensemble.costs(sizes)
    if ensemble.certain:
        return float(costs[0])
    logs = _logs(costs)
    far = ensemble.error * float(stdtrit(ensemble.free, max(chance, 1 - chance))) + _ROUNDING
    ends = float(logs.min()) - far, float(logs.max()) + far
    return math.exp(
        brentq(lambda log: _chance(ensemble, logs, log) - chance, *ends, xtol=_ROUNDING)
    )


def _chance(ensemble: Ensemble, logs: Floats, log_cost: float) -> float:
    """The chance that a new cell costs at most so much, by the logarithm of each law's cost."""
    return float(stdtr(ensemble.free, (log_cost - logs) / ensemble.error).mean())


def _logs(costs: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(costs, 1e-300)))


def _chances(confidence: float) -> tuple[float, float, float]:
    if not 0.5 <= confidence < 1:
        raise PredictionError(f"confidence must be from 0.5 to below 1, got {confidence}; try 0.95")
    return (1 - confidence) / 2, 0.5, (1 + confidence) / 2


def _about(ensemble: Ensemble, what: str, ends: str, of: str | None = None) -> str:
    told = f"{of}; " if of else ""
    return f"{what} ({told}by count)" if ensemble.certain else f"about {what} ({told}{ends})"


def _asked(ensemble: Ensemble, sizes: Mapping[str, float]) -> dict[str, float]:
    """The sizes of the law among those given, all of them possible."""
    for name, value in sizes.items():
        checked_size(name, value)
        still = ensemble.still.get(name)
        if name in ensemble.names:
            continue
        if still is None:
            raise PredictionError(_unknown(ensemble, name))
        if not math.isclose(value, still):
            raise PredictionError(
                f"{name} was {still:g} in every cell, so nothing is known of {name} = {value:g}; "
                f"measure other values of it, or leave it out"
            )
    for name in ensemble.names:
        if name not in sizes:
            given = ", ".join(sizes) or "nothing"
            raise PredictionError(f"the cost depends on {name}, got {given}; give {name}=… as well")
        logarithmic = any(term.factor(name).log_power for term in ensemble.terms)
        if logarithmic and sizes[name] < 1:
            raise PredictionError(f"log({name}) needs {name} of at least 1, got {sizes[name]:g}")
    return {name: float(sizes[name]) for name in ensemble.names}


def _unknown(ensemble: Ensemble, name: str) -> str:
    known = ", ".join(ensemble.names)
    return f"{quoted(name)} is no size that the fitted law depends on; those are {known}"


def _beyond(ensemble: Ensemble, sizes: Mapping[str, float]) -> dict[str, float]:
    """By how many times each size lies outside the measured range, above or below."""
    ranges = ensemble.ranges.items()
    times = {n: max(sizes[n] / high, low / sizes[n]) for n, (low, high) in ranges}
    return {name: outside for name, outside in times.items() if outside > 1 + _ROUNDING}


def _where(ensemble: Ensemble, sizes: Mapping[str, float], beyond: Mapping[str, float]) -> str:
    """How far from the measured cells it is, and what is assumed."""
    ratios = np.array([sizes[name] for name in ensemble.names]) / ensemble.cells
    reach = float(ratios.max(axis=1).min())
    if beyond:
        far = " and ".join(
            f"{name} is {_times(times)} times the largest measured"
            if sizes[name] > ensemble.ranges[name][1]
            else f"the smallest measured {name} is {_times(times)} times as large"
            for name, times in beyond.items()
        )
        return f"{far}, and {_ASSUMED}"
    if not ensemble.last[np.abs(np.log(ratios)).sum(axis=1).argmin()]:
        return (
            "sizes measured near here lie before a jump of the cost, and this is the law beyond it"
        )
    if reach > 1 + _ROUNDING:
        return (
            f"no measured cell was so large in every size, the nearest by a factor {reach:.3g}, "
            f"and {_ASSUMED}"
        )
    return "this lies inside the measured range"


def _named(sizes: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.10g}" for name, value in sizes.items())


def _times(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 100 else f"{factor:.3g}"
