"""Gradients only where they are asked for, and right for whoever asks alone."""

from __future__ import annotations

from collections.abc import Iterator

from bench.checks.probes.gradients import compared_gradient, gradients_of, refused_gradients
from bench.checks.probes.trial import GRADIENTS, Trial, leaves_of
from bench.checks.results import CheckResult


def check_asking(trial: Trial) -> Iterator[CheckResult]:
    """No input asks; none can, under no_grad; then each asks alone."""
    inputs = trial.inputs()
    unasked = trial.call(inputs)
    problem = trial.objection(unasked, inputs)
    if problem is not None:
        yield trial.failed("output", problem)
        return
    reasons = []
    if unasked.requires_grad:
        reasons.append("the output requires a gradient though no input does")
    if _tracked_without_grad(trial):
        reasons.append("the output requires a gradient under no_grad")
    if not trial.wants_gradients:
        yield trial.judged("only_where_asked", not reasons, "; ".join(reasons))
        return
    for index, name in enumerate(GRADIENTS):
        inputs = trial.inputs()
        leaves = leaves_of(inputs, [name])
        try:
            output = trial.call(inputs, leaves)
        except Exception as refusal:
            yield from refused_gradients(trial, refusal)
            break
        try:
            (gradient,) = gradients_of(output, (leaves[index],), inputs)
        except Exception as raised:
            yield trial.raised(name, raised, "the backward pass ")
            break
        if [leaf.requires_grad for leaf in leaves] != [one == name for one in GRADIENTS]:
            reasons.append("an input was made to require a gradient")
        if any(leaf.grad is not None for leaf in leaves):
            reasons.append("a gradient was stored that nobody asked for")
        alone = f"where only {name.removeprefix('grad_')} asks for one"
        yield compared_gradient(trial, name, gradient, leaves[index], output.requires_grad, alone)
    yield trial.judged("only_where_asked", not reasons, "; ".join(dict.fromkeys(reasons)))


def _tracked_without_grad(trial: Trial) -> bool:
    inputs = trial.inputs()
    try:
        return trial.forward(inputs, leaves=leaves_of(inputs)).requires_grad
    except Exception:
        if trial.implementation.declared:
            raise
        return False  # it refuses inputs that require gradients, which it may
