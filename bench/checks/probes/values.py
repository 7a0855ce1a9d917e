"""Output and gradients against the reference; inputs as they were; the same answer twice."""

from __future__ import annotations

from collections.abc import Iterator

from bench.checks.probes.trial import (
    GRADIENTS,
    Stopped,
    Trial,
    changed_since,
    leaves_of,
    probe,
    same,
    shared_memory,
    snapshot,
)
from bench.checks.results import CheckResult


@probe
def check_output(trial: Trial) -> Iterator[CheckResult]:
    """The output alone, from a single call."""
    inputs = trial.inputs()
    yield trial.compared_output(trial.formed(trial.forward(inputs), inputs))


@probe
def check_values(trial: Trial) -> Iterator[CheckResult]:
    """Without gradients twice, then with them."""
    inputs = trial.inputs()
    before = snapshot(inputs)
    output = trial.formed(trial.forward(inputs), inputs)
    plain = trial.compared_output(output)
    first = output.clone()
    again = trial.forward(inputs)
    changed = changed_since(before, inputs)
    if not changed:
        if trial.objection(again, inputs) is not None or not same(first, again):
            yield trial.failed("repeatable", "the same call gave another answer")
        if not same(first, output):
            yield trial.failed("own_memory", "a later call changed the output of an earlier one")
    shared = shared_memory(output, inputs)
    if shared:
        yield trial.failed("own_memory", shared)
    if trial.wants_gradients and not plain.bad:
        yield from _with_gradients(trial, plain, changed)
        return
    yield plain
    yield _unmodified(trial, changed)
    if trial.case.case.is_backward and not plain.bad:
        reason = f"{trial.implementation.name} has no backward pass"
        yield from trial.unsupported(GRADIENTS, reason)


def _with_gradients(trial: Trial, plain: CheckResult, changed: list[str]) -> Iterator[CheckResult]:
    inputs = trial.inputs()
    before = snapshot(inputs)
    leaves = leaves_of(inputs)
    try:
        output = trial.call(inputs, leaves)
    except (Exception, SystemExit) as problem:
        yield plain
        yield _unmodified(trial, changed)
        yield from trial.refused_gradients(problem)
        return
    trial.formed(output, inputs, why=", where gradients are asked for")
    tracked = trial.compared_output(output, "where gradients are asked for")
    yield max(plain, tracked, key=CheckResult.severity)
    try:
        gradients = trial.gradients(output, leaves, inputs)
    except Stopped:
        yield _unmodified(trial, changed)
        raise
    yield _unmodified(trial, sorted({*changed, *changed_since(before, inputs)}))
    for name, gradient, leaf in zip(GRADIENTS, gradients, leaves, strict=True):
        yield trial.compared_gradient(name, gradient, leaf, output.requires_grad)


def _unmodified(trial: Trial, changed: list[str]) -> CheckResult:
    reason = f"changed its {' and '.join(changed)} in place"
    return trial.judged("inputs_unmodified", not changed, reason)
