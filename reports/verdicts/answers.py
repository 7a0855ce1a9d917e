"""What fits say of sizes that were not measured: predictions, and what a budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.judge.compatible.ensemble import Ensemble
from reports.judge.proposals import compatible
from reports.judge.result import Fit
from reports.predict.memory import all_memory, counted_law, largest_by_count
from reports.predict.prediction import Largest, Prediction, largest, open_size, predict
from reports.predict.questions import Budget, PredictionError, Questions
from reports.tables.units import in_unit, unit_of
from reports.text.wording import by_text, listed
from reports.verdicts.verdict_rows import labels


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
                answers.append(_largest(fit, one, questions.of_workspace))
            else:
                law = counted_law(fit, one) or _laws(fit)
                answers.append(predict(law, one, confidence=confidence, unit=unit))
        except PredictionError as problem:
            problems.append(str(problem))
    return answers, list(dict.fromkeys(problems))


def _largest(fit: Fit, budget: Budget, of_workspace: bool) -> Largest:
    """The largest size within a budget: by the law that the run counted, else by the cells.

    Raises:
        PredictionError: nothing is known of it.
        UnitError: the budget is in another unit than the cost.

    """
    unit = unit_of(fit.value)
    most = in_unit(budget.quantity, unit)
    counted = largest_by_count(fit, most, budget.at, of_workspace=of_workspace)
    if counted is not None:
        return counted
    ensemble, of = _laws_for(fit, of_workspace)
    name, at = open_size(ensemble, budget.at)
    return largest(ensemble, most, at, name, confidence=fit.confidence, unit=unit, of=of)


def _laws_for(fit: Fit, of_workspace: bool) -> tuple[Ensemble, str | None]:
    """The laws that a budget is compared with, and what they are the cost of.

    Raises:
        PredictionError: nothing is known of it.

    """
    if fit.tensors is None:
        return _laws(fit), None
    if of_workspace:
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
