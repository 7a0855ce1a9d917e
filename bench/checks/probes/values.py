"""Output and gradients against the reference; inputs as they were; the same answer twice."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from bench.checks.probes.gradients import compared_gradient, gradients_of, refused_gradients
from bench.checks.probes.trial import (
    GRADIENTS,
    Trial,
    changed_since,
    leaves_of,
    of_an_output,
    same,
    shares_memory,
    snapshot,
)
from bench.checks.results import CheckResult
from bench.timing.inputs import Inputs


@of_an_output
def check_output(trial: Trial, inputs: Inputs, output: Tensor) -> Iterator[CheckResult]:
    """The output alone, from a single call."""
    expected = trial.expected()
    yield trial.compared("output", output, expected.values["output"], expected.allowed["output"])


def check_values(trial: Trial) -> Iterator[CheckResult]:
    """Without gradients twice, then with them."""
    inputs = trial.inputs()
    before = snapshot(inputs)
    output = trial.forward(inputs)
    problem = trial.objection(output, inputs)
    if problem is not None:
        yield trial.failed("output", problem)
        return
    expected = trial.expected()
    plain = trial.compared("output", output, expected.values["output"], expected.allowed["output"])
    first = output.clone()
    again = trial.forward(inputs)
    changed = changed_since(before, inputs)
    if not changed:
        repeated = trial.objection(again, inputs) is None and same(first, again)
        if not repeated:
            yield trial.failed("repeatable", "the same call gave another answer")
        if not same(first, output):
            yield trial.failed("own_memory", "a later call changed the output of an earlier one")
    shared = shares_memory(output, inputs)
    if shared:
        yield trial.failed("own_memory", f"the output lies in the memory of {' and '.join(shared)}")
    if not trial.case.case.is_backward or plain.bad:
        yield plain
        yield _unmodified(trial, changed)
        return
    yield from _with_gradients(trial, plain, changed)


def _with_gradients(trial: Trial, plain: CheckResult, changed: list[str]) -> Iterator[CheckResult]:
    if not trial.wants_gradients:
        yield plain
        yield _unmodified(trial, changed)
        reason = f"{trial.implementation.name} has no backward pass"
        yield from trial.unsupported(GRADIENTS, reason)
        return
    inputs = trial.inputs()
    before = snapshot(inputs)
    expected = trial.expected()
    leaves = leaves_of(inputs)
    try:
        output = trial.call(inputs, leaves)
    except (Exception, SystemExit) as problem:
        yield plain
        yield _unmodified(trial, changed)
        yield from refused_gradients(trial, problem)
        return
    objection = trial.objection(output, inputs)
    why = "where gradients are asked for"
    if objection is not None:
        yield trial.failed("output", f"{objection}, {why}")
        return
    value, allowed = expected.values["output"], expected.allowed["output"]
    tracked = trial.compared("output", output, value, allowed, why)
    yield max(plain, tracked, key=lambda one: (one.bad, one.ratio or 0.0))
    try:
        gradients = gradients_of(output, leaves, inputs)
    except Exception as problem:
        yield _unmodified(trial, changed)
        yield trial.raised("grad_query", problem, "the backward pass ")
        return
    yield _unmodified(trial, sorted({*changed, *changed_since(before, inputs)}))
    for name, gradient, leaf in zip(GRADIENTS, gradients, leaves, strict=True):
        yield compared_gradient(trial, name, gradient, leaf, output.requires_grad)


def _unmodified(trial: Trial, changed: list[str]) -> CheckResult:
    reason = f"changed its {' and '.join(changed)} in place"
    return trial.judged("inputs_unmodified", not changed, reason)
