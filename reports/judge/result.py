"""What judging a group of cells yields: exponents, terms, regimes and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from reports.cells.scatter import Scatter
from reports.laws.grammar import parse_monomial
from reports.text.interval import Interval

if TYPE_CHECKING:
    from reports.cells.call_tensors import CallTensors
    from reports.cells.cells import Cells
    from reports.cells.moving_sizes import Moving
    from reports.cells.slopes import Step
    from reports.cells.unnamed_columns import Mixed
    from reports.judge.compatible.crossovers import Crossover
    from reports.judge.compatible.ensemble import Ensemble
    from reports.judge.exact.recorded_law import RecordedLaw
    from reports.judge.models.error_scale import Setting
    from reports.judge.models.fitted import Fitted


class Verdict(StrEnum):
    """The answer to a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One monomial of the fitted law; the share is of the fitted cost at the largest cell."""

    term: str
    coefficient: float
    share_at_largest: float


@dataclass(frozen=True, kw_only=True)
class Leading:
    """A claimed leading term as it was found.

    `exponents` has its sizes: an interval for each exponent that was estimated, None for one that
    was held as claimed, since another leading term carries that size. `share` is its part of the
    fitted cost at the largest cell, `most` in the cell where it weighs most.
    """

    term: str
    exponents: Mapping[str, Interval | None]
    share: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a fit was judged on, from which predictions are drawn.

    `cells` are those that came to the judge, `names` the sizes that it tested. `setting` has the
    cells that it chose and weighed; of a cost that was counted it is sought when somebody asks.
    """

    cells: Cells
    names: tuple[str, ...]
    exact: bool
    seek: Callable[[], tuple[Setting, Fitted]] = field(repr=False)

    @cached_property
    def _chosen(self) -> tuple[Setting, Fitted]:
        return self.seek()

    @property
    def setting(self) -> Setting:
        """What was judged."""
        return self._chosen[0]

    @property
    def fitted(self) -> Fitted:
        """The explanation that is shown."""
        return self._chosen[1]


@dataclass(frozen=True, kw_only=True)
class Regime:
    """A range of sizes where one mechanism dominates.

    `start` and `end` are values of the first size variable (n), inclusive; `evidence` is one
    plain sentence.
    """

    name: str
    start: float
    end: float
    evidence: str

    @classmethod
    def over(cls, sizes: npt.NDArray[np.float64], name: str, evidence: str) -> Regime:
        """The range of these values."""
        start, end = float(sizes.min()), float(sizes.max())
        return cls(name=name, start=start, end=end, evidence=evidence)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A claim judged on one group of cells.

    `terms` are the fitted law: its cost at sizes s is the sum of coefficient * term(s); `leading`
    are the claimed ones. `sizes` maps the law's letters to the table's columns, `value` names the
    cost column, `ranges` has the smallest and largest judged value of each size, `levels` the
    number of its values; `cells` counts the judged cells. `statistic` made the cells' values of
    `readings` readings (of `quiet`: of processes), of which `set_aside` were not used;
    `other_verdict` is what the other statistic would have led to, where that is another verdict.
    `scatter` is how readings of a cell differ. `overhead` is the fixed part of the cost at the
    largest cell. `mixed` are settings that vary among readings of the same sizes, and `moving`
    sizes that the claim does not name and that move as its own rise; `held` names sizes whose
    power was taken as claimed, since others leave them no freedom. `counted` is the polynomial
    of a cost without noise, and where it holds. `judged` is the claim in the sizes that were swept,
    None where it is the claim itself: m*d of decoding is n*d, as n stands for the keys. `tensors`
    are inputs and outputs beside a workspace, `recorded` is the law of the workspace that the run
    counted.
    """

    claim: str
    verdict: Verdict
    judged: str | None = None
    group: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    exponents: Mapping[str, Interval] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    regimes: tuple[Regime, ...] = ()
    cells: int = 0
    rms_residual: float | None = None
    confidence: float = 0.95
    tolerance: float = 0.1
    sizes: Mapping[str, str] = field(default_factory=dict)
    value: str = "time_s"
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)
    leading: tuple[Leading, ...] = ()
    overhead: float | None = None
    statistic: str = "median"
    other_verdict: Verdict | None = None
    readings: int = 0
    set_aside: int = 0
    censored: int = 0
    scatter: Scatter = field(default_factory=Scatter)
    mixed: tuple[Mixed, ...] = ()
    moving: tuple[Moving, ...] = ()
    held: tuple[str, ...] = ()
    counted: str | None = None
    basis: Basis | None = field(default=None, repr=False, compare=False)
    tensors: CallTensors | None = field(default=None, repr=False, compare=False)
    recorded: RecordedLaw | None = field(default=None, repr=False, compare=False)

    def of(self, cells: Cells) -> Self:
        """The fit with what there is to say of the cells that it was judged on."""
        ends = {name: (float(v.min()), float(v.max())) for name, v in cells.sizes.items() if v.size}
        return replace(
            self,
            cells=len(cells),
            ranges={name: pair for name, pair in ends.items() if all(map(math.isfinite, pair))},
            levels={name: int(cells.distinct(name).size) for name in cells.sizes},
            readings=int(cells.visits.sum()) + cells.set_aside,
            set_aside=cells.set_aside,
            censored=cells.censored,
            scatter=cells.scatter,
        )

    @cached_property
    def ensemble(self) -> Ensemble | None:
        """Laws that are all compatible with the cells; None where nothing was fitted."""
        if self.basis is None or not self.terms:
            return None
        from reports.judge.compatible.ensemble import draw, one_law

        basis = self.basis
        if self.counted is None:
            return draw(basis.setting, basis.fitted)
        terms = {parse_monomial(one.term): one.coefficient for one in self.terms}
        return one_law(terms, basis.cells, basis.names, exact=basis.exact)

    @cached_property
    def crossovers(self) -> tuple[Crossover, ...]:
        """Where one term of the fitted law overtakes another, with intervals."""
        if self.ensemble is None or self.counted is not None:
            return ()
        from reports.judge.compatible.crossovers import crossovers

        return crossovers(self.ensemble, confidence=self.confidence)

    @cached_property
    def local_slopes(self) -> tuple[Step, ...]:
        """The growth from each size to the next, with intervals by the error of a cell."""
        if self.basis is None:
            return ()
        from reports.cells.slopes import steps_of

        setting, fitted = self.basis.setting, self.basis.fitted
        return steps_of(
            setting.cells,
            setting.names,
            error=setting.error(fitted.solution.sse, fitted.free),
            free=fitted.free,
            confidence=self.confidence,
        )

    def predict(self, sizes: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
        """The fitted cost at these sizes, in the unit of the cost column: the sum of the terms.

        Where there are regimes, the terms are those of the largest cell's regime, so that smaller
        sizes are what this regime would cost there, not what was measured.

        Raises:
            ValueError: nothing was fitted, or a size that a term names is missing.

        """
        if not self.terms:
            raise ValueError("nothing was fitted, so nothing can be predicted; see the reasons")
        values = [
            term.coefficient * parse_monomial(term.term).evaluate(sizes) for term in self.terms
        ]
        return np.asarray(np.sum(np.broadcast_arrays(*values), axis=0), dtype=np.float64)

    @property
    def law(self) -> str:
        """The law whose exponents were put to the test."""
        return self.claim if self.judged is None else self.judged

    def to_dict(self) -> dict[str, Any]:
        """The object of `fit --json`: JSON numbers or null, never NaN."""
        document = {
            "group": self.group,
            "claim": self.claim,
            "verdict": str(self.verdict),
            "reasons": self.reasons,
            "exponents": {name: asdict(interval) for name, interval in self.exponents.items()},
            "terms": [asdict(term) for term in self.terms],
            "regimes": [
                {"name": one.name, "from": one.start, "to": one.end, "evidence": one.evidence}
                for one in self.regimes
            ],
            "cells": self.cells,
            "rms_residual": self.rms_residual,
            "confidence": self.confidence,
            "tolerance": self.tolerance,
            "value": self.value,
            "sizes": self.sizes,
            "leading": [
                {
                    "term": one.term,
                    "exponents": {n: i and asdict(i) for n, i in one.exponents.items()},
                    "share_at_largest": one.share,
                    "largest_share": one.most,
                }
                for one in self.leading
            ],
            "overhead_share_at_largest": self.overhead,
            "statistic": self.statistic,
            "other_verdict": self.other_verdict and str(self.other_verdict),
            "readings": self.readings,
            "set_aside": self.set_aside,
            "scatter": {
                "reading": self.scatter.reading,
                "between_rounds": self.scatter.rounds,
                "between_workers": self.scatter.workers,
            },
            "mixed": [
                {"column": one.column, "values": one.values, "factor": one.factor}
                for one in self.mixed
            ],
            "moving": [asdict(one) for one in self.moving],
            "held": self.held,
            "counted": self.counted,
            "local_slopes": [asdict(one) for one in self.local_slopes],
            "crossovers": [asdict(one) for one in self.crossovers],
        }
        return {key: _finite(value) for key, value in document.items()}


def _finite(value: Any) -> Any:
    """The value as JSON has it: null where a number is none, a list for a tuple."""
    if isinstance(value, Mapping):
        return {name: _finite(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
