"""Counts verdicts on simulated sweeps: how often they are wrong, and what intervals cover."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

from reports.judge.fit import fit
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import parse
from tests.calibration.scenarios import Design, Disturbance, Truth
from tests.calibration.simulate import COLUMNS, simulate


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One simulated sweep and one claim on it; `true` says whether the claim is."""

    truth: Truth
    design: Design
    noise: Disturbance
    seed: int
    claim: str

    @property
    def true(self) -> bool:
        """Whether the claim is true of the sweep."""
        return self.claim == self.truth.true


class Tried(Protocol):
    """A claim on simulated costs."""

    @property
    def true(self) -> bool:
        """Whether the claim is true of them."""


T = TypeVar("T", bound=Tried, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[T]):
    """What came of a trial: `covered` and `stated` count intervals with both ends, if it is true.

    A window has no exponent that holds everywhere, so that its intervals are not counted.
    """

    trial: T
    verdict: Verdict
    reasons: tuple[str, ...]
    covered: int
    stated: int


@dataclass(kw_only=True)
class Tally:
    """Outcomes of one kind: verdicts on true and on false claims, reasons, and intervals."""

    true: Counter[Verdict] = field(default_factory=Counter)
    false: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    covered: int = 0
    stated: int = 0

    def add(self, outcome: Outcome[Tried]) -> None:
        """Count one more."""
        (self.true if outcome.trial.true else self.false)[outcome.verdict] += 1
        self.covered += outcome.covered
        self.stated += outcome.stated
        if outcome.trial.true and outcome.verdict is not Verdict.CONFIRMED:
            self.reasons.update(outcome.reasons)

    @property
    def wrong(self) -> int:
        """True claims refuted and false ones confirmed."""
        return self.true[Verdict.REFUTED] + self.false[Verdict.CONFIRMED]

    @property
    def confirmed(self) -> float:
        """The part of the true claims that were confirmed."""
        return self.true[Verdict.CONFIRMED] / max(self.true.total(), 1)

    @property
    def refuted(self) -> float:
        """The part of the false claims that were refuted."""
        return self.false[Verdict.REFUTED] / max(self.false.total(), 1)

    @property
    def coverage(self) -> float:
        """The part of the intervals that hold the true exponent."""
        return self.covered / self.stated if self.stated else float("nan")


def trials(
    truths: Sequence[Truth],
    designs: Sequence[Design],
    noises: Sequence[Disturbance],
    sweeps: int,
    *,
    first_seed: int = 0,
) -> Iterator[Trial]:
    """For every law, grid and noise so many sweeps, each with the true claim and one false one."""
    for truth in truths:
        for design in designs:
            for level, noise in enumerate(noises):
                # No two kinds share their noise: what one draw does to all would count as many.
                kind = zlib.crc32(f"{truth.name} {design.name} {level}".encode()) % 10**6
                for number in range(sweeps):
                    seed = first_seed + 1000 * kind + number
                    false = truth.false[number % len(truth.false)]
                    for claim in (truth.true, false):
                        yield Trial(truth=truth, design=design, noise=noise, seed=seed, claim=claim)


def tried(trial: Trial) -> Outcome[Trial]:
    """Simulate, judge, and compare."""
    sizes = {name: COLUMNS[name] for name in trial.design.sizes}
    table = simulate(trial.truth, trial.design, trial.noise, trial.seed)
    found = fit(table, sizes=sizes, claim=trial.claim, other=False)
    told = trial.true and not trial.truth.window
    covered, stated = covered_by(found, trial.claim) if told else (0, 0)
    return Outcome(
        trial=trial, verdict=found.verdict, reasons=found.reasons, covered=covered, stated=stated
    )


def covered_by(found: Fit, claim: str) -> tuple[int, int]:
    """How many intervals with both ends hold the claimed exponent, and how many there are."""
    law = parse(claim)
    covered = stated = 0
    for name, interval in found.exponents.items():
        if interval.low is not None and interval.high is not None:
            power = max(float(term.power(name)) for term in law.leading)
            stated += 1
            covered += bool(interval.low <= power <= interval.high)
    return covered, stated


def tally(outcomes: Iterable[Outcome[Tried]]) -> Tally:
    """Count them."""
    found = Tally()
    for outcome in outcomes:
        found.add(outcome)
    return found


def margin(part: float, count: int) -> float:
    """Half the 95 % interval of a part that was seen in so many trials."""
    return 1.96 * float(np.sqrt(max(part * (1 - part), 1 / max(count, 1)) / max(count, 1)))
