"""Tables as people bring them: few sizes, decades, settings among the readings, moving sizes.

Each family draws its law's coefficients, the noise (0.5 to 3 % a reading, half of it shared by a
cell's readings), the number of readings (1, 3 or 5), and what is special about it, at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd

from reports.judge.fit import fit
from reports.laws.grammar import parse_monomial
from reports.laws.monomials import Floats
from tests.calibration.tally import Outcome, covered_by

NOISES = (0.005, 0.01, 0.02, 0.03)
READINGS = (1, 3, 5)
FALSE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "1": ("n", "n^2"),
        "n": ("n*log(n)", "n^2", "n^1.5", "1"),
        "n*log(n)": ("n", "n^2", "n^1.5"),
        "n^1.5": ("n", "n^2"),
        "n^2": ("n", "n^3", "n^1.5", "n*log(n)", "n^2*log(n)"),
        "n^2*log(n)": ("n^2", "n^3"),
        "n^3": ("n^2", "n"),
    }
)
"""The laws, and claims that are false of each."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of table: how its sizes are drawn, and what is done to its costs and readings."""

    name: str
    sizes: Callable[[np.random.Generator], Floats]
    laws: tuple[str, ...] = tuple(FALSE)
    beside: Mapping[str, str] = field(default_factory=dict)
    dearer_end: bool = False
    digits: bool = False
    setting: bool = False
    tokens: bool = False


def _decades(rng: np.random.Generator) -> Floats:
    return np.asarray(10.0 ** np.arange(1, 9) * rng.choice([1, 2, 5]))


def _fours(rng: np.random.Generator) -> Floats:
    return np.asarray(16 * 4.0 ** np.arange(int(rng.integers(7, 10))))


def _long(rng: np.random.Generator) -> Floats:
    if rng.random() < 0.5:
        return np.asarray(10.0 ** np.arange(2, 9))
    return np.asarray(128 * 2.0 ** np.arange(int(rng.integers(8, 18))))


def _doublings(count: int) -> Callable[[np.random.Generator], Floats]:
    return lambda rng: np.asarray(256 * 2.0 ** np.arange(count))


_LINEAR = MappingProxyType({"n*log(n)": "n", "n^2*log(n)": "n^2"})
FAMILIES = (
    Family(name="decades", sizes=_decades),
    Family(name="sizes times 4", sizes=_fours),
    Family(name="decades, the last cell dearer", sizes=_decades, dearer_end=True),
    Family(name="sizes times 4, the last cell dearer", sizes=_fours, dearer_end=True),
    Family(name="logarithms beside as much without", sizes=_long, beside=_LINEAR),
    Family(name="five doublings, few digits", sizes=_doublings(5), digits=True),
    Family(name="six doublings, few digits", sizes=_doublings(6), digits=True),
    Family(name="a setting among the readings", sizes=_doublings(8), setting=True),
    Family(
        name="constant tokens",
        sizes=_doublings(8),
        laws=("n", "n*log(n)", "n^1.5", "n^2", "n^3"),
        tokens=True,
    ),
)


@dataclass(frozen=True, kw_only=True)
class ForeignTrial:
    """One table of a family, by its name, and one claim on it."""

    family: str
    law: str
    seed: int
    claim: str
    named: bool = False

    @property
    def true(self) -> bool:
        """Whether the claim is true of the table."""
        return self.claim.removeprefix("b*") == self.law


def foreign_trials(sweeps: int, *, first_seed: int = 0) -> Iterator[ForeignTrial]:
    """For every family and law so many tables, each with the true claim and one false one.

    A claim on constant tokens is made with the batch and without it in turn.
    """
    for place, family in enumerate(FAMILIES):
        for number, law in enumerate(family.laws):
            for sweep in range(sweeps):
                seed = first_seed + 10**6 * place + 10**4 * number + sweep
                named = family.tokens and sweep % 2 == 0
                for claim in (law, FALSE[law][sweep % len(FALSE[law])]):
                    told = f"b*{claim}" if named else claim
                    yield ForeignTrial(
                        family=family.name, law=law, seed=seed, claim=told, named=named
                    )


def foreign_table(family: Family, law: str, seed: int) -> pd.DataFrame:
    """The table: `n`, `time_s`, and `heads` or `batch` where the family has one."""
    rng = np.random.default_rng(seed)
    noise, readings = float(rng.choice(NOISES)), int(rng.choice(READINGS))
    n = family.sizes(rng)
    middle = n.size // 2

    def value(term: str) -> Floats:
        found = parse_monomial(term).evaluate({"n": n}) * np.ones(n.size)
        return np.asarray(found / found[middle])

    cost = value(law)
    if law in family.beside:
        cost = cost + rng.uniform(0.2, 2) * value(family.beside[law])
    cost = cost + rng.uniform(0, 0.3) * cost[int(rng.integers(0, 3))]
    batch = np.asarray(n.max() / n)
    if family.tokens:
        cost = cost * batch
    if family.dearer_end:
        cost[-1] *= rng.uniform(1.05, 1.6)
    cost = cost * np.exp(rng.normal(0, noise / 2, n.size))
    factors = [1.0, float(rng.uniform(1.5, 6))] if family.setting else [1.0]
    rows = []
    for place, factor in enumerate(factors):
        for _ in range(readings):
            times = factor * cost * np.exp(rng.normal(0, noise, n.size))
            rows.append(pd.DataFrame({"n": n, "time_s": times, "heads": 4 + 12 * place}))
            if family.tokens:
                rows[-1]["batch"] = batch
    table = pd.concat(rows, ignore_index=True)
    if family.digits and rng.random() < 0.6:
        places = int(rng.integers(2, 4))
        table["time_s"] = [float(f"{one:.{places}g}") for one in table["time_s"]]
    return table


def foreign_tried(trial: ForeignTrial) -> Outcome[ForeignTrial]:
    """Make the table, judge, and compare. A setting is averaged over in every second table."""
    family = next(one for one in FAMILIES if one.name == trial.family)
    table = foreign_table(family, trial.law, trial.seed)
    sizes = {"n": "n", "b": "batch"} if trial.named else {"n": "n"}
    averaged = ["heads"] if family.setting and trial.seed % 2 else []
    found = fit(table, sizes=sizes, claim=trial.claim, other=False, average=averaged)
    counts = trial.true and (trial.named or not family.tokens)
    covered, stated = covered_by(found, trial.claim) if counts else (0, 0)
    return Outcome(
        trial=trial, verdict=found.verdict, reasons=found.reasons, covered=covered, stated=stated
    )
