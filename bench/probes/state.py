"""What a kernel keeps between calls: buffers, caches, chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from bench.check_case import CheckCase
from bench.probes.gradients import gradients_of
from bench.probes.trial import Trial, leaves_of, same, shares_memory
from bench.results import CheckResult
from bench.timing.inputs import Inputs
from implementations.case import MaskKind
from implementations.interface import Feature

REPETITIONS = 5


def check_state(trial: Trial) -> Iterator[CheckResult]:
    """Repeatability, own memory, and answers that follow the inputs."""
    inputs = trial.inputs()
    first = trial.forward(inputs)
    problem = trial.objection(first, inputs)
    if problem is not None:
        yield trial.failed("output", problem)
        return
    expected = trial.expected()
    value, allowed = expected.values["output"], expected.allowed["output"]
    found = trial.compared("output", first, value, allowed)
    if found.bad:  # what follows compares answers with each other, which says nothing then
        yield found
        return
    kept = first.clone()
    trial.forward(trial.inputs(1))
    shared = shares_memory(first, inputs)
    if shared:
        yield trial.failed("own_memory", f"the output lies in the memory of {' and '.join(shared)}")
    else:
        reason = "a later call changed the output of an earlier one"
        yield trial.judged("own_memory", same(first, kept), reason)
    yield _repeatable(trial, kept)
    yield _fresh_answer(trial)


def _repeatable(trial: Trial, first: Tensor) -> CheckResult:
    for _ in range(REPETITIONS):
        if not same(first, trial.forward(trial.inputs())):
            return trial.failed("repeatable", "the same call gave another answer")
    # On a GPU gradients are summed by whichever block comes first.
    if trial.wants_gradients and trial.case.case.device == "cpu":
        try:
            rounds = [_gradients(trial) for _ in range(2)]
        except Exception:
            return trial.passed("repeatable")  # refused gradients are the business of other checks
        if not _same_gradients(*rounds):
            return trial.failed("repeatable", "the same call gave other gradients")
        if not _same_gradients(rounds[0], _gradients(trial, between=True)):
            return trial.failed("repeatable", "a call in between changes the backward pass")
        if not _same_gradients(rounds[0], _gradients(trial, twice=True)):
            return trial.failed("repeatable", "a second backward pass gave other gradients")
    return trial.passed("repeatable")


def _gradients(trial: Trial, twice: bool = False, between: bool = False) -> list[Tensor | None]:
    """The gradients; with `twice` those of a second backward pass over the same graph.

    With `between`, another call comes before the backward pass, as it does in a model of layers.
    """
    inputs = trial.inputs()
    leaves = leaves_of(inputs)
    output = trial.call(inputs, leaves)
    if between:
        other = trial.inputs(1)
        trial.call(other, leaves_of(other))
    first = list(gradients_of(output, leaves, inputs, retain_graph=twice))
    if not twice:
        return first
    try:
        return list(gradients_of(output, leaves, inputs))
    except RuntimeError:
        return first  # a graph that does not allow it says so


def _same_gradients(left: list[Tensor | None], right: list[Tensor | None]) -> bool:
    return all(
        a is b is None or (a is not None and b is not None and same(a, b))
        for a, b in zip(left, right, strict=True)
    )


def _fresh_answer(trial: Trial) -> CheckResult:
    """Other values in the same memory, then other cases of the same shapes, then other sizes."""
    worst: CheckResult | None = None
    held = trial.inputs()
    for name, expected_of, output in _turns(trial, held):
        inputs = expected_of.inputs(1 if name == "inputs changed in place" else 0)
        expected = expected_of.expected(1 if name == "inputs changed in place" else 0)
        problem = trial.objection(output, inputs)
        if problem is not None:
            return trial.failed("fresh_answer", f"{problem}, after {name}")
        value, allowed = expected.values["output"], expected.allowed["output"]
        reason = f"the answer is stale after {name}"
        found = trial.compared("fresh_answer", output, value, allowed, reason)
        if found.bad:
            return found
        if worst is None or (found.ratio or 0.0) > (worst.ratio or 0.0):
            worst = found
    assert worst is not None
    return worst


def _turns(trial: Trial, held: Inputs) -> Iterator[tuple[str, Trial, Tensor]]:
    yield "other calls", trial, trial.forward(held)
    other = trial.inputs(1)
    for mine, new in zip(
        (held.query, held.key, held.value), (other.query, other.key, other.value), strict=True
    ):
        mine.copy_(new)
    yield "inputs changed in place", trial, trial.forward(held)
    for name, case in _variants(trial):
        one = trial.at(case)
        try:
            output = one.forward(one.inputs())
        except Exception:
            if trial.implementation.declared:
                raise
            continue  # what it refuses is said by the checks of its own
        yield name, one, output
        yield f"{name} and back", trial, trial.forward(trial.inputs())


def _variants(trial: Trial) -> Iterator[tuple[str, CheckCase]]:
    base = trial.case

    def with_case(**changes: Any) -> CheckCase:
        return replace(base, case=replace(base.case, **changes))

    if trial.has(Feature.CAUSAL):
        yield "a causal call", with_case(is_causal=True)
    masks: tuple[tuple[Feature, MaskKind], ...] = (
        (Feature.BOOLEAN_MASK, "boolean"),
        (Feature.FLOAT_MASK, "float"),
    )
    for feature, kind in masks:
        if trial.has(feature):
            masked = with_case(mask=kind)
            yield f"a {kind} mask", masked
            yield (
                f"another {kind} mask",
                replace(masked, prepare=("attn_mask = attn_mask.flip(0)",)),
            )
    if trial.has(Feature.SCALE):
        yield "another scale", replace(base, scale=0.3)
    if trial.has(Feature.CROSS_LENGTH):
        yield "a longer call", base.resized(seq_len=base.case.seq_len + 32, key_len=97)
        yield "a shorter call", base.resized(seq_len=3, key_len=2)
    yield "a single item", base.resized(leading=(1, 1))
