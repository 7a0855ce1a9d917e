"""What fits say of sizes that were not measured: predictions, and what a budget allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.cells.case_columns import KNOWN_SIZES, SIZE_COLUMNS
from reports.judge.compatible.ensemble import Ensemble
from reports.judge.proposals import compatible
from reports.judge.result import Fit
from reports.laws.grammar import parse
from reports.predict.memory import all_memory
from reports.predict.prediction import Largest, Prediction, largest, open_size, predict
from reports.predict.questions import Budget, PredictionError, parse_budget, parse_sizes
from reports.tables.units import in_unit, unit_of
from reports.text.wording import by_text, listed
from reports.verdicts.verdict_rows import labels

MEMORY = "workspace_bytes"


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What `--predict` and `--budget` ask: sizes, and budgets.

    Budgets of memory are for inputs, outputs and workspace together, where their bytes are known;
    with `of_workspace` for the workspace alone.
    """

    sizes: tuple[Mapping[str, float], ...] = ()
    budgets: tuple[Budget, ...] = ()
    of_workspace: bool = False

    @classmethod
    def of(
        cls,
        predict: Sequence[str],
        budget: Sequence[str],
        sizes: Mapping[str, str] | None,
        claim: str | None = None,
        budget_of: str = "memory",
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
            of_workspace=budget_of == "workspace",
        )

    @property
    def asked(self) -> tuple[Mapping[str, float] | Budget, ...]:
        """All that is asked, in order."""
        return (*self.sizes, *self.budgets)

    @property
    def cost(self) -> str | None:
        """The cost column that the budgets are about: the workspace for amounts of memory."""
        return MEMORY if any(b.quantity.kind == "memory" for b in self.budgets) else None

    def check(self, value: str) -> None:
        """See that budgets can be compared with a cost column, before anything is fitted.

        Raises:
            UnitError: a budget is in another unit than the cost.

        """
        for budget in self.budgets:
            in_unit(budget.quantity, unit_of(value))


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
        for key, some in zip(("consistent_with", "excluded"), laws or (), strict=False):
            document[key] = [str(law) for law in some]
        answers, problems = answers_of(fit, questions)
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
    said: list[tuple[str, str]] = []
    for label, fit in zip(labels(fits), fits, strict=True):
        claimed = {one.term for one in fit.leading}
        for crossover in fit.crossovers:  # `--json` has all of them
            known = fit.exponents.get(crossover.size)
            told = known is None or known.estimate is not None  # a size that is not told tells none
            if crossover.faster in claimed and crossover.where == "inside" and told:
                said.append((crossover.text, label))
        answers, problems = answers_of(fit, questions)
        said += [(text, label) for text in [*(answer.text for answer in answers), *problems]]
    for text, who in by_text(said).items():
        console.print(Text.assemble((listed(who), "bold"), f": {text}"))


def answers_of(fit: Fit, questions: Questions) -> tuple[list[Prediction | Largest], list[str]]:
    """The answers of a fit, and why there are none to the other questions."""
    answers: list[Prediction | Largest] = []
    problems: list[str] = []
    confidence, unit = fit.confidence, unit_of(fit.value)
    for one in questions.asked:
        try:
            if isinstance(one, Budget):
                ensemble, of = _laws_for(fit, questions)
                name, at = open_size(ensemble, one.at)
                most = in_unit(one.quantity, unit)
                answers.append(
                    largest(ensemble, most, at, name, confidence=confidence, unit=unit, of=of)
                )
            else:
                answers.append(predict(_laws(fit), one, confidence=confidence, unit=unit))
        except PredictionError as problem:
            problems.append(str(problem))
    return answers, list(dict.fromkeys(problems))


def _laws_for(fit: Fit, questions: Questions) -> tuple[Ensemble, str | None]:
    """The laws that a budget is compared with, and what they are the cost of.

    Raises:
        PredictionError: nothing is known of it.

    """
    if fit.tensors is None:
        return _laws(fit), None
    if questions.of_workspace:
        return _laws(fit), "workspace"
    return all_memory(fit.ensemble, fit.tensors) or (_laws(fit), None)


def _laws(fit: Fit) -> Ensemble:
    """The laws of the cost that was judged.

    Raises:
        PredictionError: there are none.

    """
    if fit.ensemble is not None:
        return fit.ensemble
    if fit.tensors is not None and fit.tensors.is_all:
        raise PredictionError("no measured cell needed any workspace")
    if fit.held and fit.terms:
        raise PredictionError(
            f"the part of {listed(list(fit.held))} was taken as claimed, since it moves with "
            "another size, so that nothing is told of other sizes"
        )
    if fit.tensors is not None and not fit.cells:
        raise PredictionError("no cell has a known workspace, so nothing can be predicted")
    raise PredictionError("nothing was fitted, so nothing can be predicted")


def check_answerable(fits: Sequence[Fit], questions: Questions) -> None:
    """See that some fit can answer each question: what none can is a wrong request.

    Raises:
        PredictionError: none of those that found something can, since a size is missing.
        UnitError: a budget is in another unit than the cost.

    """
    able = [fit for fit in fits if fit.ensemble is not None]
    for one in questions.asked:
        alone = replace(
            questions,
            sizes=() if isinstance(one, Budget) else (one,),
            budgets=(one,) if isinstance(one, Budget) else (),
        )
        found = [answers_of(fit, alone) for fit in able]
        if found and not any(answers for answers, _ in found):
            raise PredictionError(f"--predict, --budget: {found[0][1][0]}")
