"""A layer against its oracle, and what holds for every layer: state, causality, items apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.checks.error_bound import Expected
from bench.checks.layer_bound import expect_layer
from bench.checks.probes.trial import (
    Trial,
    changed_since,
    gradients_of,
    no_gradient,
    of_the_kernel,
    probe,
    same,
    shared_memory,
    snapshot,
)
from bench.checks.recipe import build_for_layer
from bench.checks.results import CheckResult
from bench.timing.built_module import bound_module, build_module, parameters_of
from bench.timing.inputs import LayerInputs

# What must not be seen is so many times as large as what it replaces.
LOUD = 8.0


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """A layer's module in one situation."""

    trial: Trial
    module: nn.Module

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        return parameters_of(self.module)

    def inputs(self, seed_offset: int = 0) -> LayerInputs:
        """New inputs of the situation; another offset gives others of the same shapes."""
        trial = self.trial
        seed, needs_memory = trial.seed + seed_offset, trial.implementation.needs_memory
        return build_for_layer(trial.case, seed=seed, needs_memory=needs_memory)

    def expected(self, inputs: LayerInputs, *, with_gradients: bool = False) -> Expected:
        kernel, case = self.trial.implementation, self.trial.case.case
        return expect_layer(kernel, self.parameters, inputs, case, with_gradients=with_gradients)

    def call(self, inputs: LayerInputs) -> Tensor:
        kernel, case = self.trial.implementation, self.trial.case.case
        with of_the_kernel():
            return bound_module(kernel, self.module, inputs, case)()

    def forward(self, inputs: LayerInputs) -> Tensor:
        """The output as it is used, not trained."""
        self.module.eval()
        with torch.no_grad():
            return self.trial.formed(self.call(inputs), inputs)


@probe
def check_layer(trial: Trial) -> Iterator[CheckResult]:
    """Output, gradients and state; then what the output may not depend on."""
    module = build_module(trial.implementation, trial.case.case, seed=trial.seed)
    layer = _Layer(trial=trial, module=module)
    inputs = layer.inputs()
    expected = layer.expected(inputs, with_gradients=trial.wants_gradients)
    before, parameters = snapshot(inputs), _copies(layer.parameters)
    output = layer.forward(inputs)
    plain = _compared(trial, "output", output, expected)
    yield plain
    if plain.bad:  # what follows compares answers with each other
        return
    first = output.clone()
    yield trial.judged("repeatable", same(first, layer.forward(inputs)), "another answer")
    changed = [*changed_since(before, inputs), *_changed(parameters, layer.parameters)]
    yield trial.judged("inputs_unmodified", not changed, f"changed its {' and '.join(changed)}")
    layer.forward(layer.inputs(1))
    shared = shared_memory(output, inputs)
    if not shared and not same(first, output):
        shared = "a later call changed the output of an earlier one"
    yield trial.judged("own_memory", not shared, shared or "")
    if trial.case.case.is_backward:
        yield from _gradients(layer, expected)
    allowed = 2.0 * expected.allowed["output"]
    yield from _unseen(layer, inputs, first, allowed)
    yield _fresh_answer(layer)


def _gradients(layer: _Layer, expected: Expected) -> Iterator[CheckResult]:
    """The gradients of x, the memory and every parameter, as in training without dropout."""
    trial, inputs = layer.trial, layer.inputs()
    names = (*inputs.tensors, *layer.parameters)
    if not trial.wants_gradients:
        reason = f"{trial.implementation.name} has no backward pass"
        yield from trial.unsupported([f"grad_{name}" for name in names], reason)
        return
    before, parameters = snapshot(inputs), _copies(layer.parameters)
    leaves = {name: one.detach().requires_grad_() for name, one in inputs.tensors.items()}
    layer.module.train()
    output = layer.call(replace(inputs, **leaves))
    trial.formed(output, inputs, why=", where it is trained")
    yield _compared(trial, "output", output, expected, "where it is trained")
    found = gradients_of(output, (*leaves.values(), *layer.parameters.values()), inputs)
    changed = [*changed_since(before, inputs), *_changed(parameters, layer.parameters)]
    if changed:
        yield trial.failed("inputs_unmodified", f"changed its {' and '.join(changed)}")
    for name, gradient in zip(names, found, strict=True):
        value = expected.values[f"grad_{name}"]
        arrived = torch.zeros_like(value) if gradient is None else gradient
        reason = no_gradient(f"grad_{name}") if gradient is None else ""
        yield _compared(trial, f"grad_{name}", arrived, expected, reason)


def _unseen(
    layer: _Layer, inputs: LayerInputs, output: Tensor, allowed: float
) -> Iterator[CheckResult]:
    """What an output may not depend on: other items, what comes later, and what is masked."""
    trial, case, other = layer.trial, layer.trial.case.case, layer.inputs(1)
    if case.batch > 1:
        changed = layer.forward(_replaced(inputs, other, (slice(0, 1),)))
        found, reason = (changed[1:], output[1:].double()), "batch items see each other"
        yield trial.compared("batch_apart", found[0], found[1].cpu(), allowed, reason)
    if case.is_causal:
        last = case.seq_len // 2
        changed = layer.forward(_replaced(inputs, other, (slice(None), slice(last + 1, None))))
        kept = slice(None), slice(None, last + 1)
        reason = f"position {last} sees what comes later"
        before = output[kept].double().cpu()
        yield trial.compared("future_ignored", changed[kept], before, allowed, reason)
    if inputs.attn_mask is not None:
        yield _masked_ignored(layer, inputs, other, allowed)


def _masked_ignored(
    layer: _Layer, inputs: LayerInputs, other: LayerInputs, allowed: float
) -> CheckResult:
    """Positions that nobody may see, when they hold something else; they themselves may tell."""
    assert inputs.attn_mask is not None
    mask = inputs.attn_mask.clone()
    hidden = torch.arange(mask.shape[-1], device=mask.device) % 3 == 1
    mask[..., hidden] = False if mask.dtype == torch.bool else -torch.inf
    masked = replace(inputs, attn_mask=mask)
    before = layer.forward(masked)
    changed = layer.forward(_replaced(masked, other, (slice(None), hidden)))
    if inputs.memory is None:
        before, changed = before[:, ~hidden], changed[:, ~hidden]
    reason = "a masked position is seen"
    exact = before.double().cpu()
    return layer.trial.compared("masked_ignored", changed, exact, allowed, reason)


def _replaced(
    inputs: LayerInputs, other: LayerInputs, where: tuple[slice | Tensor, ...]
) -> LayerInputs:
    """The inputs with louder numbers of others in some places of all that positions are mixed of.

    Without a memory that is x. With one, x is of the same places only where both are items.
    """
    changed = {}
    for name, tensor in inputs.tensors.items():
        changed[name] = tensor.clone()
        if name == "memory" or inputs.memory is None or len(where) == 1:
            changed[name][where] = other.tensors[name][where] * LOUD
    return replace(inputs, **changed)


def _fresh_answer(layer: _Layer) -> CheckResult:
    """Other contents in the same tensors, then other numbers in the same parameters."""
    trial, inputs, other = layer.trial, layer.inputs(), layer.inputs(1)
    layer.forward(inputs)
    found = []
    for what in ("inputs", "parameters"):
        with torch.no_grad():
            if what == "inputs":
                for name, tensor in inputs.tensors.items():
                    tensor.copy_(other.tensors[name])
            else:
                for parameter in layer.parameters.values():
                    parameter.neg_()
        output, reason = layer.forward(inputs), f"the answer is stale after new {what}"
        found.append(_compared(trial, "fresh_answer", output, layer.expected(inputs), reason))
    return max(found, key=CheckResult.severity)


def _compared(
    trial: Trial, check: str, actual: Tensor, expected: Expected, reason: str = ""
) -> CheckResult:
    """A quantity against the oracle."""
    quantity = check if check in expected.values else "output"
    value = expected.values[quantity]
    if actual.shape != value.shape:
        got = f"expected shape {tuple(value.shape)}, got {tuple(actual.shape)}"
        return trial.failed(check, got)
    return trial.compared(check, actual, value, expected.allowed[quantity], reason)


def _copies(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in parameters.items()}


def _changed(before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> list[str]:
    """The names of the parameters that are not what they were."""
    return [name for name, old in before.items() if not same(old, now[name].detach())]
