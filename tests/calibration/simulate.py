"""One simulated sweep: costs that follow a known law, read on a disturbed machine."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.laws.grammar import parse, parse_monomial
from reports.laws.monomials import Floats, Monomial, lower_terms
from tests.calibration.scenarios import Design, Disturbance, Truth

COLUMNS = {"n": "seq_len", "d": "d_model", "w": "window", "b": "batch"}


def simulate(truth: Truth, design: Design, noise: Disturbance, seed: int) -> pd.DataFrame:
    """A row a reading, with the sizes, `round` and `time_s`; the same for the same seed.

    The ratio of two leading terms, the lower-order terms that are there, the window, the place of
    the jump, and how a workspace leaves a cache are drawn at random.
    """
    rng = np.random.default_rng(seed)
    sizes = design.cells()
    workspace = None
    if truth.workspace is not None:
        workspace = 8 * parse_monomial(truth.workspace).evaluate(sizes)
    cost = _true_cost(truth, sizes, noise, rng, workspace)
    cost = cost * np.exp(rng.normal(0, noise.shared, cost.size))
    parts = []
    for number in range(noise.rounds):
        reading = cost * np.exp(rng.normal(0, noise.reading, cost.size))
        slow = rng.random(cost.size) < noise.outliers
        reading = np.where(slow, reading * rng.uniform(1.3, 4.0, cost.size), reading)
        columns = {COLUMNS[name]: values for name, values in sizes.items()}
        if workspace is not None:
            columns["workspace_bytes"] = workspace
        if noise.numbered:
            columns["round"] = np.full(cost.size, number)
        parts.append(pd.DataFrame({**columns, "time_s": 1e-9 * reading}))
    return pd.concat(parts, ignore_index=True)


def _true_cost(
    truth: Truth,
    sizes: dict[str, Floats],
    noise: Disturbance,
    rng: np.random.Generator,
    workspace: Floats | None = None,
) -> Floats:
    count = next(iter(sizes.values())).size
    leading = [parse_monomial(term) for term in truth.terms]
    cost = np.zeros(count)
    for term in leading:
        value = _value(term, truth, sizes, rng) * np.ones(count)
        # Several leading terms: each leads somewhere, and they are equal inside the grid.
        cost += value / np.exp(np.mean(np.log(value))) * np.exp(rng.uniform(-0.7, 0.7))
    lower = tuple(parse_monomial(t) for t in truth.lower) or lower_terms(parse(truth.true))
    smallest = int(np.argmin(cost))
    if lower and noise.lower > 0:  # those of the claim: n² is none beside a full window
        chosen = rng.choice(
            len(lower), size=min(len(lower), int(rng.integers(1, 3))), replace=False
        )
        share = rng.uniform(0, noise.lower)
        parts = rng.dirichlet(np.ones(len(chosen))) * share / (1 - share) * cost[smallest]
        for part, which in zip(parts, chosen, strict=True):
            value = lower[which].evaluate(sizes) * np.ones(count)
            cost = cost + part * value / value[smallest]
    if truth.jump != 1.0:
        working_set = [sizes["n"] ** 2, sizes["n"] ** 2 * sizes["d"], sizes["n"] * sizes["d"]]
        by = working_set[int(rng.integers(3))]
        cost = np.where(by > np.quantile(by, rng.uniform(0.25, 0.75)), truth.jump * cost, cost)
    if truth.spill and workspace is not None:
        cost = cost * _leaving_cache(workspace, rng)
    return cost + noise.overhead / (1 - noise.overhead) * float(np.median(cost))


def _leaving_cache(workspace: Floats, rng: np.random.Generator) -> Floats:
    """By what a cost rises with the workspace: by the misses' part, or evenly over octaves."""
    capacity = np.exp(np.quantile(np.log(workspace), rng.uniform(0.25, 0.6)))
    if rng.random() < 0.5:
        part = np.maximum(0.0, 1.0 - capacity / workspace)
    else:
        part = np.clip(np.log2(workspace / capacity) / rng.uniform(1.0, 3.0), 0.0, 1.0)
    return np.asarray(1.0 + rng.uniform(0.1, 0.5) * part)


def _value(
    term: Monomial, truth: Truth, sizes: dict[str, Floats], rng: np.random.Generator
) -> Floats:
    if not truth.window:
        return term.evaluate(sizes)
    n = sizes["n"]
    levels = np.unique(n)
    window = float(levels[int(rng.integers(1, max(2, levels.size - 3)))])
    return n * np.minimum(n, window) * sizes["d"]
