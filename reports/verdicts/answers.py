"""What fits say of sizes that were not measured: predictions, and what a budget allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.cells.case_columns import KNOWN_SIZES, SIZE_COLUMNS
from reports.judge.proposals import compatible
from reports.judge.result import Fit
from reports.laws.grammar import parse
from reports.predict.prediction import Largest, Prediction, largest, open_size, predict
from reports.predict.questions import Budget, PredictionError, parse_budget, parse_sizes
from reports.tables.units import in_unit, unit_of
from reports.text.wording import listed
from reports.verdicts.verdict_rows import labels

MEMORY = "workspace_bytes"


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What `--predict` and `--budget` ask: sizes, and budgets."""

    sizes: tuple[Mapping[str, float], ...] = ()
    budgets: tuple[Budget, ...] = ()

    @classmethod
    def of(
        cls,
        predict: Sequence[str],
        budget: Sequence[str],
        sizes: Mapping[str, str] | None,
        claim: str | None = None,
    ) -> Questions:
        """Read the texts of the options; `sizes` are the letters that `--size` named.

        A claim may name others.

        Raises:
            PredictionError: one of them cannot be read.
            LawError: the claim is none.

        """
        names = [*KNOWN_SIZES, *SIZE_COLUMNS]
        if sizes:
            named = parse(claim, names={*sizes, *names}).names if claim else ()
            names = list(dict.fromkeys((*sizes, *named)))
        return cls(
            sizes=tuple(parse_sizes(text, names) for text in predict),
            budgets=tuple(parse_budget(text, names) for text in budget),
        )

    @property
    def asked(self) -> bool:
        """Whether anything is asked."""
        return bool(self.sizes or self.budgets)

    @property
    def cost(self) -> str | None:
        """The cost column that the budgets are about: the workspace for amounts of memory."""
        return MEMORY if any(b.quantity.kind == "memory" for b in self.budgets) else None

    def single(self) -> list[Questions]:
        """Each question by itself."""
        return [
            *(Questions(sizes=(sizes,)) for sizes in self.sizes),
            *(Questions(budgets=(budget,)) for budget in self.budgets),
        ]

    def check(self, value: str) -> None:
        """See that budgets can be compared with a cost column, before anything is fitted.

        Raises:
            UnitError: a budget is in another unit than the cost.

        """
        for budget in self.budgets:
            in_unit(budget.quantity, unit_of(value))

    def asked_of(self, fit: Fit) -> Iterator[Prediction | Largest]:
        """The answers of one fit, in the order of the questions.

        Raises:
            PredictionError: a size is missing, or all are given where one is asked for.
            UnitError: a budget is in another unit than the cost.

        """
        ensemble = fit.ensemble if self.asked else None
        if ensemble is None:
            return
        unit = unit_of(fit.value)
        for sizes in self.sizes:
            yield predict(ensemble, sizes, confidence=fit.confidence, unit=unit)
        for budget in self.budgets:
            name, at = open_size(ensemble, budget.at)
            yield largest(
                ensemble,
                in_unit(budget.quantity, unit),
                at,
                name,
                confidence=fit.confidence,
                unit=unit,
            )


def documents(fits: Sequence[Fit], questions: Questions) -> list[dict[str, Any]]:
    """The objects of `fit --json`, with `predictions` and `budgets` where they were asked for.

    Raises:
        UnitError: a budget is in another unit than the cost.

    """
    check_answerable(fits, questions)
    found = []
    for fit in fits:
        document = fit.to_dict()
        laws = compatible(fit) if "too_few_sizes" in fit.reasons else None
        if laws is not None:
            open_laws, excluded = laws
            document["consistent_with"] = [str(law) for law in open_laws]
            document["excluded"] = [str(law) for law in excluded]
        answers, problems = _answered(fit, questions)
        if problems:
            document["unanswered"] = "; ".join(problems)
        if questions.sizes:
            document["predictions"] = [a.to_dict() for a in answers if isinstance(a, Prediction)]
        if questions.budgets:
            document["budgets"] = [a.to_dict() for a in answers if isinstance(a, Largest)]
        found.append(document)
    return found


def print_answers(fits: Sequence[Fit], questions: Questions, console: Console) -> None:
    """A line for each crossover, prediction and budget, below the verdicts; the same ones once.

    Raises:
        UnitError: a budget is in another unit than the cost.

    """
    check_answerable(fits, questions)
    said: dict[str, list[str]] = {}
    for label, fit in zip(labels(fits), fits, strict=True):
        claimed = {one.term for one in fit.leading}
        for crossover in fit.crossovers:  # `--json` has all of them
            known = fit.exponents.get(crossover.size)
            told = known is None or known.estimate is not None  # a size that is not told tells none
            if crossover.faster in claimed and crossover.where == "inside" and told:
                said.setdefault(crossover.text, []).append(label)
        answers, problems = _answered(fit, questions)
        for text in [*(answer.text for answer in answers), *problems]:
            said.setdefault(text, []).append(label)
    for text, who in said.items():
        console.print(Text.assemble((listed(who), "bold"), f": {text}"))


def _answered(fit: Fit, questions: Questions) -> tuple[list[Prediction | Largest], list[str]]:
    """The answers of a fit, and why there are none to the other questions."""
    if questions.asked and fit.ensemble is None:
        return [], [
            f"the part of {listed(list(fit.held))} was taken as claimed, since it moves with "
            "another size, so that nothing is told of other sizes"
            if fit.held and fit.terms
            else "nothing was fitted, so nothing can be predicted"
        ]
    answers: list[Prediction | Largest] = []
    problems = []
    for one in questions.single():
        try:
            answers.extend(one.asked_of(fit))
        except PredictionError as problem:
            problems.append(str(problem))
    return answers, problems


def check_answerable(fits: Sequence[Fit], questions: Questions) -> None:
    """See that some fit can answer each question: what none can is a wrong request.

    Raises:
        PredictionError: none of those that found something can, since a size is missing.

    """
    able = [fit for fit in fits if fit.ensemble is not None] if questions.asked else []
    for one in questions.single():
        found = [_answered(fit, one) for fit in able]
        if found and not any(answers for answers, _ in found):
            raise PredictionError(f"--predict, --budget: {found[0][1][0]}")
