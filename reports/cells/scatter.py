"""How readings of one cell differ; light to import."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.laws.monomials import Floats

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """The relative scatter of readings of one cell, in parts; None where it cannot be known.

    `reading` is what is left of it within a round, `rounds` what all readings of a round share,
    and `workers` what those of one process share. A round that has a worker of its own cannot be
    told from it: then `workers` is None.
    """

    reading: float | None = None
    rounds: float | None = None
    workers: float | None = None


def deviations(logs: Floats, cell: Numbers) -> Floats:
    """Standard deviation of the logarithms in each cell, 0 for a single reading."""
    about = logs - means(logs, cell)[cell]
    squares = np.bincount(cell, weights=about**2)
    return np.asarray(np.sqrt(squares / np.maximum(np.bincount(cell) - 1, 1)), dtype=np.float64)


def scatter_of(
    logs: Floats, cell: Numbers, rounds: Numbers | None = None, workers: Numbers | None = None
) -> Scatter:
    """The parts of the scatter, by the analysis of variance of a two-way layout.

    `rounds` and `workers` number the round and the worker of each reading, from 0.
    """
    free = cell.size - np.unique(cell).size
    if free < 1:
        return Scatter()
    rest, parts = logs, dict[str, float | None]()
    for name, of in (("workers", workers), ("rounds", rounds)):
        if of is None or np.unique(of).size < 2 or (name == "workers" and _one_each(rounds, of)):
            parts[name] = None
            continue
        rest, parts[name], spent = _without(rest, cell, of)
        free -= spent
    about = rest - means(rest, cell)[cell]
    reading = math.sqrt(float(about @ about) / free) if free >= 1 else None
    return Scatter(reading=reading, rounds=parts["rounds"], workers=parts["workers"])


def _without(logs: Floats, cell: Numbers, of: Numbers) -> tuple[Floats, float, int]:
    """The logarithms without what each round shares, its standard deviation, and its freedom."""
    about = logs - means(logs, cell)[cell]
    effects = means(about, of)
    sizes = np.bincount(of)
    spent = int((sizes > 0).sum()) - 1
    rest = about - effects[of]
    free = cell.size - np.unique(cell).size - spent
    within = float(rest @ rest) / max(free, 1)
    between = float(sizes @ effects**2) / spent
    share = math.sqrt(max(between - within, 0.0) / float(sizes[sizes > 0].mean()))
    return logs - effects[of], share, spent


def _one_each(rounds: Numbers | None, workers: Numbers) -> bool:
    """Whether every worker served one round only."""
    if rounds is None:
        return False
    pairs = np.unique(np.column_stack([rounds, workers]), axis=0)
    return len(pairs) == np.unique(workers).size


def means(values: Floats, of: Numbers) -> Floats:
    """The mean of the values of each number, 0 where there are none."""
    count = np.bincount(of)
    return np.asarray(np.bincount(of, weights=values) / np.maximum(count, 1), dtype=np.float64)
