"""Gradients only where they are asked for, and right for whoever asks alone."""

from __future__ import annotations

from collections.abc import Iterator

from bench.checks.probes.trial import GRADIENTS, Stopped, Trial, leaves_of, probe
from bench.checks.results import CheckResult


@probe
def check_asking(trial: Trial) -> Iterator[CheckResult]:
    """No input asks; none can, under no_grad; then each asks alone."""
    inputs = trial.inputs()
    unasked = trial.formed(trial.call(inputs), inputs)
    reasons: dict[str, None] = {}  # each once, in order
    if unasked.requires_grad:
        reasons["the output requires a gradient though no input does"] = None
    if _tracked_without_grad(trial):
        reasons["the output requires a gradient under no_grad"] = None
    try:
        for name in GRADIENTS if trial.wants_gradients else ():
            yield _asked_alone(trial, name, reasons)
    except Stopped as stopped:
        yield from stopped.results
    yield trial.judged("only_where_asked", not reasons, "; ".join(reasons))


def _asked_alone(trial: Trial, name: str, reasons: dict[str, None]) -> CheckResult:
    """The gradient of one input; what else was asked or stored is added to the reasons."""
    inputs = trial.inputs()
    leaves = leaves_of(inputs, [name])
    index = GRADIENTS.index(name)
    try:
        output = trial.call(inputs, leaves)
    except Exception as refusal:
        raise Stopped(trial.refused_gradients(refusal)) from refusal
    (gradient,) = trial.gradients(output, (leaves[index],), inputs, check=name)
    if [leaf.requires_grad for leaf in leaves] != [one == name for one in GRADIENTS]:
        reasons["an input was made to require a gradient"] = None
    if any(leaf.grad is not None for leaf in leaves):
        reasons["a gradient was stored that nobody asked for"] = None
    alone = f"where only {name.removeprefix('grad_')} asks for one"
    return trial.compared_gradient(name, gradient, leaves[index], output.requires_grad, alone)


def _tracked_without_grad(trial: Trial) -> bool:
    inputs = trial.inputs()
    try:
        return trial.forward(inputs, leaves=leaves_of(inputs)).requires_grad
    except Exception:
        if trial.implementation.declared:
            raise
        return False  # it refuses inputs that require gradients, which it may
