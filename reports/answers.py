"""What fits say of sizes that were not measured: predictions, and what a budget allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.fit import KNOWN_SIZES
from reports.judgement import Fit
from reports.prediction import (
    Budget,
    Largest,
    Prediction,
    PredictionError,
    largest,
    open_size,
    parse_budget,
    parse_sizes,
    predict,
)
from reports.units import in_unit, unit_of
from reports.verdict_table import verdict_rows

MEMORY = "workspace_bytes"


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What `--predict` and `--budget` ask: sizes, and budgets."""

    sizes: tuple[Mapping[str, float], ...] = ()
    budgets: tuple[Budget, ...] = ()

    @classmethod
    def of(
        cls, predict: Sequence[str], budget: Sequence[str], sizes: Mapping[str, str] | None
    ) -> Questions:
        """Read the texts of the options; `sizes` are the letters that `--size` named.

        Raises:
            PredictionError: one of them cannot be read.

        """
        names = list(sizes) if sizes else list(KNOWN_SIZES)
        return cls(
            sizes=tuple(parse_sizes(text, names) for text in predict),
            budgets=tuple(parse_budget(text, names) for text in budget),
        )

    @property
    def cost(self) -> str | None:
        """The cost column that the budgets are about: the workspace for amounts of memory."""
        return MEMORY if any(b.quantity.kind == "memory" for b in self.budgets) else None

    def asked_of(self, fit: Fit) -> Iterator[Prediction | Largest]:
        """The answers of one fit, in the order of the questions.

        Raises:
            PredictionError: the fit cannot answer, since a size is missing or nothing was fitted.
            UnitError: a budget is in another unit than the cost.

        """
        if not (self.sizes or self.budgets):
            return
        ensemble = fit.ensemble
        if ensemble is None:
            raise PredictionError("nothing was fitted, so nothing can be predicted")
        unit = unit_of(fit.value)
        for sizes in self.sizes:
            found = predict(ensemble, sizes, confidence=fit.confidence, unit=unit)
            yield predict(
                ensemble,
                sizes,
                confidence=fit.confidence,
                estimate=float(fit.predict(found.sizes)),
                unit=unit,
            )
        for budget in self.budgets:
            name, at = open_size(ensemble, budget.at)
            yield largest(
                ensemble,
                in_unit(budget.quantity, unit),
                at,
                name,
                confidence=fit.confidence,
                law=lambda asked: float(fit.predict(asked)),
                unit=unit,
            )


def documents(fits: Sequence[Fit], questions: Questions) -> list[dict[str, Any]]:
    """The objects of `fit --json`, with `predictions` and `budgets` where they were asked for.

    Raises:
        UnitError: a budget is in another unit than the cost.

    """
    found = []
    for fit in fits:
        document = fit.to_dict()
        answers: list[Prediction | Largest] = []
        try:
            answers = list(questions.asked_of(fit))
        except PredictionError as problem:
            document["unanswered"] = str(problem)
        if questions.sizes:
            document["predictions"] = [a.to_dict() for a in answers if isinstance(a, Prediction)]
        if questions.budgets:
            document["budgets"] = [a.to_dict() for a in answers if isinstance(a, Largest)]
        found.append(document)
    return found


def print_answers(fits: Sequence[Fit], questions: Questions, console: Console) -> None:
    """A line for each crossover, prediction and budget, below the verdicts.

    Raises:
        UnitError: a budget is in another unit than the cost.

    """
    for row, fit in zip(verdict_rows(fits), fits, strict=True):
        claimed = {one.term for one in fit.leading}
        for crossover in fit.crossovers:  # `--json` has all of them
            if crossover.faster in claimed and crossover.where == "inside":
                console.print(Text.assemble((row.label, "bold"), f": {crossover.text}"))
        try:
            for answer in questions.asked_of(fit):
                console.print(Text.assemble((row.label, "bold"), f": {answer.text}"))
        except PredictionError as problem:
            console.print(Text.assemble((row.label, "bold"), f": {problem}"))
