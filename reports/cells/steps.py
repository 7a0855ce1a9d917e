"""Local exponents of one group of cells: the growth of the cost from each size to the next.

`reports.cells.slopes` has those of single series for the figures; these are means over the series
that differ in the other sizes, with an interval by the error of a cell, in which what all readings
of a cell share is included.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import t as t_distribution

from reports.cells.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Step:
    """The slope of log cost over log size between two neighbouring values of one size.

    The mean over so many `series`, each a pair of cells alike in all other sizes.
    """

    size: str
    start: float
    end: float
    slope: float
    low: float
    high: float
    series: int

    def to_dict(self) -> dict[str, str | float | int]:
        """JSON numbers, never NaN."""
        return asdict(self)


def steps_of(
    cells: Cells, names: Sequence[str], *, error: float, free: int, confidence: float
) -> tuple[Step, ...]:
    """The steps of every size; `error` is the relative error of a cell, known by `free` degrees.

    Values without a cell in common with the next one are left out.
    """
    quantile = float(t_distribution.ppf((1 + confidence) / 2, max(free, 1)))
    logs = np.log(cells.cost)
    found = []
    for name in names:
        others = [other for other in cells.sizes if other != name]
        keys = list(zip(*(cells.sizes[other] for other in others), strict=True)) or [()] * len(
            cells
        )
        by_value: dict[float, dict[tuple[float, ...], list[float]]] = {}
        for key, value, log in zip(keys, cells.sizes[name], logs, strict=True):
            by_value.setdefault(float(value), {}).setdefault(key, []).append(float(log))
        for start, end in itertools.pairwise(sorted(by_value)):
            both = by_value[start].keys() & by_value[end].keys()
            if not both:
                continue
            span = math.log(end / start)
            rises = [
                np.mean(by_value[end][key]) - np.mean(by_value[start][key]) for key in sorted(both)
            ]
            half = quantile * error * math.sqrt(2 / len(both)) / span
            slope = float(np.mean(rises)) / span
            found.append(
                Step(
                    size=name,
                    start=start,
                    end=end,
                    slope=slope,
                    low=slope - half,
                    high=slope + half,
                    series=len(both),
                )
            )
    return tuple(found)
