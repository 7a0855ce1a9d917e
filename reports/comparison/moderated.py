"""The variance of few readings, moderated by that of all cells.

Two or three processes say little about the scatter of one cell. All cells together say how large
the scatter usually is, and how much it differs from cell to cell. Smyth 2004, "Linear models and
empirical Bayes methods for assessing differential expression in microarray experiments", section
6.2, derives how much weight each of the two deserves.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from reports.cells.cells import LEAST_SCATTER
from reports.laws.monomials import Floats

_MOST_PRIOR = 1e4  # degrees of freedom: the variances differ by no more than chance
FEWEST_CELLS = 3


def moderated(variances: Floats, freedom: Floats) -> tuple[Floats, Floats]:
    """Each cell's variance of logarithms drawn towards the usual one, and its degrees of freedom.

    `freedom` is the degrees of freedom of each variance, 0 where there is none: such a cell has
    the usual variance. Where no cell has any, all are NaN with no degree of freedom.
    """
    known = freedom > 0
    if not known.any():
        return np.full_like(variances, np.nan), np.zeros_like(freedom)
    at_least = np.maximum(variances, LEAST_SCATTER**2)
    usual, prior = _prior(at_least[known], freedom[known])
    own = np.where(known, freedom * np.where(known, at_least, 0.0), 0.0)
    drawn = (prior * usual + own) / np.where(prior + freedom > 0, prior + freedom, np.nan)
    return drawn, np.minimum(prior + freedom, freedom.sum())


def _prior(variances: Floats, freedom: Floats) -> tuple[float, float]:
    """The usual variance, and how many degrees of freedom its knowledge is worth."""
    pooled = float(freedom @ variances / freedom.sum())
    if variances.size < FEWEST_CELLS:
        return pooled, 0.0
    logs = np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if excess <= polygamma(1, _MOST_PRIOR / 2):
        return pooled, _MOST_PRIOR
    half = float(brentq(lambda x: polygamma(1, x) - excess, 1e-3, _MOST_PRIOR / 2))
    return float(np.exp(logs.mean() + digamma(half) - math.log(half))), 2 * half
